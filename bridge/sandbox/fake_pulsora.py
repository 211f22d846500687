"""A stand-in for Pulsora's ingest on 127.0.0.1, for the demo and the tests: it keeps the contract, and any script."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from bridge.sender import contract

PATH = "/api/ingest"
LARGEST_BODY = 1024 * 1024


class Fault(StrEnum):
    """Ways not to answer."""

    HANG = "hang"  # take the request and say nothing
    RESET = "reset"  # take the request and reset the connection
    CLOSE = "close"  # take the request and close the connection
    CUT = "cut"  # the head, and half of the body that it promises
    DRIP = "drip"  # a header without end, a byte at a time
    FLOOD = "flood"  # a body without end, as fast as it goes
    NOISE = "noise"  # bytes that are no HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer: a status with headers and a body, after a delay, or a `fault` in its place."""

    status: int = 202
    body: bytes = b'{"success": true}'
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came. `data` is None where the body is no envelope. `status` None: it got no answer."""

    at: float  # monotonic seconds
    body: bytes
    headers: Mapping[str, str]
    data: Mapping[str, Any] | None
    status: int | None


Rule = Callable[[Mapping[str, Any]], Reply | None]


class FakePulsora:
    """A real HTTP server on a free port, started by `with`. Without a script it answers as the reference says.

    `script(…)` queues replies for the next requests; a `rule` answers by what is in the event, None leaves it to the
    contract. `received` and `accepted` are in the order in which the requests came in.
    """

    def __init__(
        self, token: str, *, rule: Rule | None = None, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.rule = rule
        self.stopping = threading.Event()
        self._token = token
        self._lock = threading.Lock()
        self._script: deque[Reply] = deque()
        self._received: list[Received] = []
        self._connections = 0
        self._server = _Server(self, port)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="standin", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Where to post to."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}{PATH}"

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far, whatever it was answered."""
        with self._lock:
            return tuple(self._received)

    @property
    def accepted(self) -> tuple[Mapping[str, Any], ...]:
        """The `data` of every event that got a 202."""
        return tuple(request.data for request in self.received if request.status == 202 and request.data is not None)

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        with self._lock:
            return self._connections

    def script(self, *replies: Reply) -> None:
        """Answer the next requests so, one each; after them as before."""
        with self._lock:
            self._script.extend(replies)

    def forget(self) -> None:
        """Drop what was received."""
        with self._lock:
            self._received.clear()

    def connected(self) -> None:
        """Count a connection."""
        with self._lock:
            self._connections += 1

    def take(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Decide on a request and keep it."""
        envelope = _envelope(body)
        data = envelope.get("data") if isinstance(envelope.get("data"), dict) else None
        with self._lock:
            reply = self._script.popleft() if self._script else None
            reply = reply or (self.rule(data) if self.rule and data is not None else None)
            reply = reply or self._by_contract(envelope, headers)
            status = None if reply.fault else reply.status
            self._received.append(Received(at=time.monotonic(), body=body, headers=headers, data=data, status=status))
        return reply

    def _by_contract(self, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        token = envelope.get("token")
        if isinstance(token, str) and token.startswith("pub_"):
            return _error(403, "error", "Revenue events require secret token")
        if token != self._token or headers.get("x-api-token") != self._token:
            return _error(401, "error", "Invalid API token")
        if envelope.get("type") != "revenue":
            return _error(400, "message", "type must be revenue.")
        problems = contract.problems(envelope.get("data"))
        return _error(400, "message", " ".join(problems)) if problems else Reply()


def page(status: int = 200) -> Reply:
    """A web page, such as a proxy or a wrong address answers with."""
    return Reply(status=status, body=b"<!doctype html><title>Hello</title>", headers={"Content-Type": "text/html"})


def _error(status: int, key: str, sentence: str) -> Reply:
    return Reply(status=status, body=json.dumps({key: sentence}).encode())


def _envelope(body: bytes) -> Mapping[str, Any]:
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, standin: FakePulsora, port: int) -> None:
        self.standin = standin
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.standin.connected()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            return self._send(_error(413, "message", "A body of at most 1 MiB, with its length, is wanted."))
        body = self.rfile.read(int(length))
        if self.path != PATH:
            return self._send(_error(404, "error", "Not found"))
        reply = self.server.standin.take(body, {name.lower(): value for name, value in self.headers.items()})
        if reply.delay_seconds:
            self.server.standin.stopping.wait(reply.delay_seconds)
        if reply.fault is None:
            return self._send(reply)
        self.close_connection = True
        return FAULTS[reply.fault](self)

    def do_GET(self) -> None:
        self._send(_error(405, "error", "Method not allowed"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _send(self, reply: Reply, *, promised: int = 0) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(promised or len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()


def _hang(handler: _Handler) -> None:
    handler.server.standin.stopping.wait()


def _reset(handler: _Handler) -> None:
    # With lingering for no time, closing sends a reset instead of an end.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _close(handler: _Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def _cut(handler: _Handler) -> None:
    whole = Reply()
    handler._send(whole, promised=2 * len(whole.body))


def _drip(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
    while not handler.server.standin.stopping.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def _flood(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: http://[elsewhere\r\n\r\n")
    while not handler.server.standin.stopping.is_set():
        handler.wfile.write(b"x" * 65536)


def _noise(handler: _Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.wfile.flush()


FAULTS: Mapping[Fault, Callable[[_Handler], None]] = {
    Fault.HANG: _hang,
    Fault.RESET: _reset,
    Fault.CLOSE: _close,
    Fault.CUT: _cut,
    Fault.DRIP: _drip,
    Fault.FLOOD: _flood,
    Fault.NOISE: _noise,
}
