"""What the tests of both API clients share: waits without waiting, and the requests that a server received."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs

from pytest_httpserver import HTTPServer


class Waits(list[float]):
    """Records the requested waits without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def asked(httpserver: HTTPServer) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each request's path and parameters, in order."""
    for request, _ in httpserver.log:
        yield request.path, parse_qs(request.query_string.decode())
