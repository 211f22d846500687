"""Slow and stalled clients do not delay other clients."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import LoadGenerator, charge, percentile, signed
from tests.faults.service import Service, running
from tests.settings import TOKEN

HALF_OPEN = 200
HEAD = b"POST /webhooks/stripe HTTP/1.1\r\nHost: bridge\r\n"
PARTIAL_REQUESTS: Mapping[str, bytes] = {
    "idle": b"",
    "half of the headers": HEAD + b"X-Slow: ye",
    "half of the body": HEAD + b"Content-Length: 5000\r\n\r\n{",
    "half of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{",
    "stays open after the response": HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    "stays open after an error": HEAD + b"Transfer-Encoding: none\r\n\r\n",
    "waits for 100 Continue": HEAD + b"Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
}


@pytest.fixture(scope="module")
def service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("slow")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'bridge.db')}"
    with FakePulsora(TOKEN) as pulsora, running(folder, database_url=url, endpoint=pulsora.endpoint) as service:
        yield service


@contextmanager
def half_open(port: int, partial_request: bytes, count: int = HALF_OPEN) -> Iterator[list[socket.socket]]:
    """Connections that have sent the beginning of a request, then nothing."""
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for connection in connections:
            connection.sendall(partial_request)
        yield connections


@pytest.mark.parametrize("partial_request", PARTIAL_REQUESTS.values(), ids=PARTIAL_REQUESTS)
def test_two_hundred_half_open_connections_hold_up_nobody(
    service: Service, partial_request: bytes, request: pytest.FixtureRequest
) -> None:
    with (
        half_open(service.port, partial_request),
        LoadGenerator(ports=(service.port,), threads=4, tag=request.node.name, pause_seconds=0.02) as clients,
    ):
        clients.await_acknowledged(100)

    # the first four wait until two hundred connections are accepted
    assert percentile(clients.latencies, 0.95) < 3  # a sender that held a thread would hold it for 20 s
    assert max(clients.latencies) < 15
    assert clients.refused == []


def test_a_body_that_comes_in_drops_is_taken_all_the_same(service: Service) -> None:
    webhook = signed(charge(1))
    fields = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items()).encode()
    request = HEAD + fields + b"Content-Length: %d\r\n\r\n" % len(webhook.body) + webhook.body

    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        for start in range(0, len(request), 50):
            connection.sendall(request[start : start + 50])
            time.sleep(0.01)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()

    assert (response.status, json.loads(body)["received"]) == (200, "evt_t_1")
