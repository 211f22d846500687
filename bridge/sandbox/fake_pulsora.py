"""A fake Pulsora on 127.0.0.1: an ingest that enforces the contract of the real one and remembers every request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from bridge.sender import payload

PATH = "/api/ingest"
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response to one request; the default accepts a revenue event."""

    status: int = 202
    body: bytes = b'{"success": true}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request. `data` is None if the body is no valid envelope, `status` is None if no response was sent."""

    at: float  # monotonic seconds
    body: bytes
    headers: Mapping[str, str]  # names in lower case
    data: Mapping[str, Any] | None
    status: int | None


class Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the `FakePulsora` decide, and writes the response."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    server: _Server

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return self.respond(_error(413, "message", "The body must have a Content-Length of at most 1 MiB."))
        body = self.rfile.read(int(length))
        if self.path != PATH:
            return self.respond(_error(404, "error", "Not found"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self.respond(self.server.pulsora.handle(body, headers))

    def do_GET(self) -> None:
        self.respond(_error(405, "error", "Method not allowed"))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def respond(self, response: Response) -> None:
        """Writes a whole response."""
        self.write_head(response, len(response.body))
        self.wfile.write(response.body)
        self.wfile.flush()

    def write_head(self, response: Response, content_length: int) -> None:
        """Writes the status line and the headers."""
        self.send_response(response.status)
        for name, value in {"Content-Type": "application/json", **response.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(content_length))
        self.end_headers()


class FakePulsora:
    """A real HTTP server on a free port, started by `with`. It responds as Pulsora's API reference says.

    `received` and `accepted` are in the order in which the requests arrived. `positive_only`: amounts of 0 and below
    are rejected, as the reference's table of fields says ("Positive numbers only").
    """

    handler: ClassVar[type[Handler]] = Handler

    def __init__(self, token: str, *, port: int = 0, positive_only: bool = False) -> None:
        self.server = _Server(self, port)
        self._token = token
        self._positive_only = positive_only
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), name="fake-pulsora", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def endpoint(self) -> str:
        """The URL to post revenue events to."""
        return f"http://127.0.0.1:{self.server.server_address[1]}{PATH}"

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far, whatever its response was."""
        with self._lock:
            return tuple(self._received)

    @property
    def accepted(self) -> tuple[Mapping[str, Any], ...]:
        """The `data` of every event whose response was 202."""
        return tuple(request.data for request in self.received if request.status == 202 and request.data is not None)

    def handle(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Chooses the response to a request and records both."""
        envelope = _envelope(body)
        with self._lock:
            response, status = self.choose(envelope, headers)
            self._received.append(
                Received(at=time.monotonic(), body=body, headers=headers, data=event_of(envelope), status=status)
            )
        return response

    def choose(self, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Response, int | None]:
        """The response to an envelope, and the status to record for it. Called with the lock held."""
        response = self._by_contract(envelope, headers)
        return response, response.status

    def _by_contract(self, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        token = envelope.get("token")
        if isinstance(token, str) and token.startswith("pub_"):
            return _error(403, "error", "Revenue events require secret token")
        if token != self._token or headers.get("x-api-token") != self._token:
            return _error(401, "error", "Invalid API token")
        if envelope.get("type") != "revenue":
            return _error(400, "message", "type must be revenue.")
        data = envelope.get("data")
        problems = payload.problems(data)
        if not problems and self._positive_only:
            problems = positive_problems(data)
        return _error(400, "message", " ".join(problems)) if problems else Response()


def positive_problems(data: Any) -> tuple[str, ...]:
    """The violation of "Positive numbers only" by the amount of a valid event, if any."""
    return () if data["amount"] > 0 else ("amount must be a positive number.",)


def event_of(envelope: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The revenue event in an envelope; None if it has none."""
    data = envelope.get("data")
    return data if isinstance(data, dict) else None


def _error(status: int, key: str, sentence: str) -> Response:
    return Response(status=status, body=json.dumps({key: sentence}).encode())


def _envelope(body: bytes) -> Mapping[str, Any]:
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: deeply nested arrays
        return {}
    return envelope if isinstance(envelope, dict) else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, pulsora: FakePulsora, port: int) -> None:
        self.pulsora = pulsora
        super().__init__(("127.0.0.1", port), pulsora.handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: clients that disconnect are expected."""
