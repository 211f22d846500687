"""gunicorn's threaded worker, with buffering: a request gets a thread only once all of it has arrived.

Plain gthread reads head and body in a thread, without any time limit: one slow client per thread blocks the service.
Here the event loop receives, so a slow client costs a connection and the bytes it has sent so far.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from gunicorn.http.errors import ParseException
from gunicorn.util import close
from gunicorn.workers.gthread import ThreadWorker

from bridge.server.chunked_body import ChunkedBody, MalformedRequest
from bridge.server.cpu_affinity import pin_to_one_cpu
from bridge.server.lingering_close import MAX_CONNECTIONS, LingeringCloser
from bridge.settings.declarations import DEFAULT_MAX_BODY_BYTES

log = structlog.get_logger()

RECEIVE_SECONDS = 20  # for a whole request, from the connection's start or from the request's first byte
RECEIVE_SECONDS_WHEN_STOPPING = 2
SOCKET_TIMEOUT = struct.pack("ll", RECEIVE_SECONDS, 0)
MAX_HEAD_BYTES = 64 * 1024
MIN_BUFFER_BYTES = 64 * 1024 * 1024  # for all incomplete requests together
RECEIVE_BYTES = 256 * 1024
SPARE_FILES = 100 + MAX_CONNECTIONS  # for closing connections, the database, logs and gunicorn's own sockets
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTS = re.compile(rb"(?i)\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)")
LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
ENCODING = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)")


def _response(status: str, code: str, message: str) -> bytes:
    body = json.dumps({"error": code, "message": message}).encode()
    fields = f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


TIMEOUT = _response("408 Request Timeout", "timeout", "The request took too long to arrive.")
BAD_REQUEST = _response("400 Bad Request", "bad_request", "The request is malformed.")
BODY_TOO_LARGE = _response("413 Content Too Large", "too_large", "The request body is too large.")
HEAD_TOO_LARGE = _response("431 Request Header Fields Too Large", "too_large", "The request header is too large.")


@dataclass(slots=True)
class IncomingRequest:
    """A request as far as it has arrived. `expected`: the length of head and body, None until known or if chunked."""

    since: float
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    data: bytearray = field(default_factory=bytearray)
    head: int = 0  # its length, once complete
    expected: int | None = None
    chunked: ChunkedBody | None = None
    is_polled: bool = False

    def add(self, data: bytes) -> None:
        """Adds received data, and parses the head once it is complete. Raises MalformedRequest."""
        self.data += data
        if not self.head and (end := self.data.find(b"\r\n\r\n")) >= 0:
            self.head = end + 4
            self._parse_framing()
        if self.chunked:
            self.chunked.parse(self.data, self.head)

    def _parse_framing(self) -> None:
        """Finds out how the body's end is recognised. Ambiguity is refused: it allows request smuggling."""
        length = LENGTH.search(self.data, 0, self.head)
        encodings = ENCODING.findall(self.data, 0, self.head)
        if not encodings:
            self.expected = self.head + (int(length[1]) if length else 0)
        elif length is None and self._is_chunked(encodings):
            self.chunked = ChunkedBody()
        else:
            raise MalformedRequest("the length of the body is ambiguous")

    def _is_chunked(self, encodings: list[bytes]) -> bool:
        is_http_1_1 = self.data.find(b" HTTP/1.1\r\n", 0, self.data.find(b"\n") + 1) > 0
        return is_http_1_1 and [encoding.lower() for encoding in encodings] == [b"chunked"]

    def is_complete(self) -> bool:
        """Whether all of the request has arrived."""
        if self.chunked:
            return self.chunked.end is not None
        return self.expected is not None and len(self.data) >= self.expected

    def is_body_too_large(self) -> bool:
        """Whether the body is, or announces to become, larger than the limit."""
        if self.chunked:
            return self.chunked.size > self.max_body_bytes
        return self.expected is not None and self.expected - self.head > self.max_body_bytes

    def is_head_too_large(self) -> bool:
        """Whether the head is larger than the limit."""
        return not self.head and len(self.data) > MAX_HEAD_BYTES

    def with_length(self) -> bytes:
        """The data for gunicorn: a chunked body is replaced by its content, with a Content-Length."""
        if not self.chunked or self.chunked.end is None:
            return bytes(self.data)
        body = self.chunked.content(self.data, self.head)
        head = ENCODING.sub(b"\r\nContent-Length: %d" % len(body), bytes(self.data[: self.head]))
        return head + body + self.data[self.head + self.chunked.end :]

    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        return bool(self.head and EXPECTS.search(self.data, 0, self.head))

    def remove_expect(self) -> int:
        """Removes the Expect field, which gunicorn would respond to again; the number of bytes removed."""
        head = EXPECTS.sub(b"", bytes(self.data[: self.head]))
        removed = self.head - len(head)
        self.data[: self.head] = head
        self.head -= removed
        self.expected = None if self.expected is None else self.expected - removed
        return removed


class BufferingWorker(ThreadWorker):
    """gunicorn's gthread, receiving whole requests in its event loop. Every method runs in the event loop's thread.

    `max_body_bytes` is set after the fork, from the settings (gunicorn_config).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_body_bytes = DEFAULT_MAX_BODY_BYTES
        self._incoming: dict[Any, IncomingRequest] = {}  # by connection, oldest first
        self._buffered = 0
        self._closer = LingeringCloser()
        self.signals_before_boot: SimpleQueue[int] = SimpleQueue()  # the master's own queue, set after the fork

    def init_process(self) -> None:
        """Called by gunicorn after the fork. Raises the limit of open files: `accept` without one ends the process."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + SPARE_FILES
        if soft < wanted and soft != resource.RLIM_INFINITY:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.worker_connections = min(self.worker_connections, soft - SPARE_FILES)
        pin_to_one_cpu(self.age)
        super().init_process()

    def init_signals(self) -> None:
        """Called by gunicorn before it serves. A stop signal that the master's inherited handler took is honoured."""
        super().init_signals()
        with suppress(Empty):
            while True:
                self.alive &= self.signals_before_boot.get_nowait() not in STOP_SIGNALS

    def enqueue_req(self, conn: Any) -> None:
        """Called by gunicorn for every connection that is new or readable again."""
        if self.cfg.is_ssl or self.cfg.http2_cleartext != "off":
            super().enqueue_req(conn)
            return
        conn.close = partial(self._close, conn)
        self._incoming[conn] = request = IncomingRequest(time.monotonic(), self.max_body_bytes)
        conn.sock.setblocking(False)
        if conn.parser is None:
            # setblocking() of Python leaves these alone; they limit the threads' blocking reads and writes.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, SOCKET_TIMEOUT)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SOCKET_TIMEOUT)
        # A pipelined request may have been received together with the previous one.
        self._receive(conn, conn.parser.unreader.take_buffered() if conn.parser else b"")
        if conn in self._incoming:
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._receive(conn))
            request.is_polled = True

    def murder_pending(self) -> None:
        """Called by gunicorn at least once a second. Rejects requests that take too long."""
        super().murder_pending()
        self._closer.close_expired(self.poller)
        earliest = time.monotonic() - (RECEIVE_SECONDS if self.alive else RECEIVE_SECONDS_WHEN_STOPPING)
        while self._incoming:
            conn, request = next(iter(self._incoming.items()))
            if request.since > earliest:
                return
            self._reject(conn, TIMEOUT if request.data else b"")

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Called by gunicorn for invalid requests. Their content is not logged: it may be a misplaced token."""
        super().handle_error(req, client, addr, _without_content(exc) if isinstance(exc, ParseException) else exc)

    def _receive(self, conn: Any, buffered: bytes = b"") -> None:
        """Receives what is available. A complete request goes to a thread, an unacceptable one is rejected."""
        request, data = self._incoming[conn], _received(conn.sock)
        received = buffered + (data or b"")
        self._buffered += len(received)
        try:
            request.add(received)
        except MalformedRequest as problem:
            log.warning("malformed_request", reason=str(problem))
            self._reject(conn, BAD_REQUEST)
            return
        if request.is_body_too_large():
            self._reject(conn, BODY_TOO_LARGE)
        elif request.is_complete():
            self._dispatch(conn)
        elif data == b"":
            self._reject(conn)
        elif request.is_head_too_large():
            self._reject(conn, HEAD_TOO_LARGE)
        elif request.expects_continue():
            self._buffered -= request.remove_expect()
            conn.sock.send(CONTINUE)
        self._reject_oldest_if_full()

    def _reject_oldest_if_full(self) -> None:
        # Four of the largest bodies fit at any limit, so that one client cannot make the others time out.
        max_buffered = max(MIN_BUFFER_BYTES, 4 * self.max_body_bytes)
        if self._buffered > max_buffered or len(self._incoming) > self.worker_connections * 3 // 4:
            self._reject(next(iter(self._incoming)), TIMEOUT)

    def _dispatch(self, conn: Any) -> None:
        request = self._remove(conn)
        conn.init()
        conn.data_ready = True
        conn.parser.unreader.unread(request.with_length())
        super().enqueue_req(conn)

    def _reject(self, conn: Any, response: bytes = b"") -> None:
        self._remove(conn)
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.send(response)
        conn.close(graceful=bool(response))

    def _close(self, conn: Any, graceful: bool = False) -> None:
        """Replaces the connection's own `close`, which blocks the event loop."""
        if graceful and self.alive:
            self._closer.close(conn.sock, self.poller)
        else:
            close(conn.sock)

    def _remove(self, conn: Any) -> IncomingRequest:
        request = self._incoming.pop(conn)
        self._buffered -= len(request.data)
        if request.is_polled:
            self.poller.unregister(conn.sock)
        return request


def _without_content(problem: ParseException) -> ParseException:
    """An exception of the same type whose text is only the type's name."""
    kind = type(problem)
    silent: type[ParseException] = type(kind.__name__, (kind,), {"__str__": lambda _: kind.__name__})
    return silent.__new__(silent)


def _received(sock: socket.socket) -> bytes | None:
    """The data available; None if there is none yet, empty if the client has hung up."""
    try:
        return sock.recv(RECEIVE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
