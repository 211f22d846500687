"""The doorway: gunicorn's threaded worker, which gives a thread to a request only when all of it is here.

Plain gthread reads head and body in a thread, without any limit of time: as many slow senders as there are threads, and
nobody else gets in. Here the event loop collects, so a slow sender costs a connection and what it has sent so far.
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

from bridge.affinity import keep_to_one_processor
from bridge.chunks import Chunks, Malformed
from bridge.leaving import MOST, Leaving

log = structlog.get_logger()

SECONDS = 20  # for a whole request, from the connection's beginning or from the request's first byte
SECONDS_WHEN_STOPPING = 2
NEVER_FOR_EVER = struct.pack("ll", SECONDS, 0)
LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 2 * 1024 * 1024
ROOM_BYTES = 64 * 1024 * 1024  # for all that is not complete yet
AT_ONCE = 256 * 1024
SPARE_FILES = 100 + MOST  # for those who leave, and for the database, logs and sockets of gunicorn's own
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTS = re.compile(rb"(?i)\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)")
LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
ENCODING = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)")


def _answer(status: str, code: str, message: str) -> bytes:
    body = json.dumps({"error": code, "message": message}).encode()
    fields = f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


TOO_LATE = _answer("408 Request Timeout", "timeout", "The request took too long to arrive.")
MALFORMED = _answer("400 Bad Request", "bad_request", "The request cannot be read.")
TOO_LARGE = _answer("413 Content Too Large", "too_large", "The body is larger than this service reads.")
TOO_MUCH = _answer("431 Request Header Fields Too Large", "too_large", "The head of the request is too large.")


@dataclass(slots=True)
class Arriving:
    """What has come of a request so far. `wanted`: the length of head and body, None for one in chunks."""

    since: float
    data: bytearray = field(default_factory=bytearray)
    head: int = 0
    wanted: int | None = None
    chunks: Chunks | None = None
    is_polled: bool = False

    def add(self, data: bytes) -> None:
        """Takes what has come, and reads the head once it is complete. Raises `Malformed`."""
        self.data += data
        if not self.head and (end := self.data.find(b"\r\n\r\n")) >= 0:
            self.head = end + 4
            length = LENGTH.search(self.data, 0, self.head)
            encodings = ENCODING.findall(self.data, 0, self.head)
            if not encodings:
                self.wanted = self.head + (int(length[1]) if length else 0)
            elif length is None and self._is_chunked(encodings):
                self.chunks = Chunks()
            else:
                raise Malformed("how long the body is cannot be told for sure")
        if self.chunks:
            self.chunks.read_on(self.data, self.head)

    def _is_chunked(self, encodings: list[bytes]) -> bool:
        is_new = self.data.find(b" HTTP/1.1\r\n", 0, self.data.find(b"\n") + 1) > 0
        return is_new and [encoding.lower() for encoding in encodings] == [b"chunked"]

    def is_complete(self) -> bool:
        """Whether a thread need not wait: all is here, or more is promised than the doorway has room for."""
        if self.chunks:
            return self.chunks.end is not None
        most = self.head + LARGEST_BODY
        return self.wanted is not None and (len(self.data) >= self.wanted or self.wanted > most)

    def is_too_large(self) -> bool:
        """Whether the chunks have become more than is taken."""
        return self.chunks is not None and len(self.data) > self.head + LARGEST_BODY

    def whole(self) -> bytes:
        """All that is here, as gunicorn is to see it: a body in chunks as one of a known length."""
        if not self.chunks or self.chunks.end is None:
            return bytes(self.data)
        body = self.chunks.joined(self.data, self.head)
        head = ENCODING.sub(b"\r\nContent-Length: %d" % len(body), bytes(self.data[: self.head]))
        return head + body + self.data[self.head + self.chunks.end :]

    def is_hopeless(self) -> bool:
        """Whether the head is larger than any that is taken."""
        return not self.head and len(self.data) > LARGEST_HEAD

    def asks_for_word(self) -> bool:
        """Whether the sender waits to be told to go on."""
        return bool(self.head and EXPECTS.search(self.data, 0, self.head))

    def drop_question(self) -> int:
        """Takes out the line that asks, or gunicorn would answer it again; how many bytes that were."""
        head = EXPECTS.sub(b"", bytes(self.data[: self.head]))
        cut = self.head - len(head)
        self.data[: self.head] = head
        self.head -= cut
        self.wanted = None if self.wanted is None else self.wanted - cut
        return cut


class Doorway(ThreadWorker):
    """gunicorn's gthread with a doorway before the threads. All of this runs in its event loop's thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[Any, Arriving] = {}  # by connection, the oldest first
        self._held = 0
        self._leaving = Leaving()
        self.signals_before_boot: SimpleQueue[int] = SimpleQueue()  # the master's, in a service of this program's

    def init_process(self) -> None:
        """Called by gunicorn after the fork. Without files left to open, accepting would end the whole process."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + SPARE_FILES
        if soft < wanted and soft != resource.RLIM_INFINITY:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.worker_connections = min(self.worker_connections, soft - SPARE_FILES)
        keep_to_one_processor(self.age)
        super().init_process()

    def init_signals(self) -> None:
        """Called by gunicorn once its own handlers may go. A stop that came to those would be lost with them."""
        super().init_signals()
        with suppress(Empty):
            while True:
                self.alive &= self.signals_before_boot.get_nowait() not in STOPPING

    def enqueue_req(self, conn: Any) -> None:
        """Called by gunicorn for every connection that is new or has something to read."""
        if self.cfg.is_ssl or self.cfg.http2_cleartext != "off":
            super().enqueue_req(conn)
            return
        conn.close = partial(self._close, conn)
        self._arriving[conn] = arriving = Arriving(since=time.monotonic())
        conn.sock.setblocking(False)
        if conn.parser is None:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, NEVER_FOR_EVER)  # setblocking() leaves these be
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, NEVER_FOR_EVER)
        # Something may have come on the heels of the request before.
        self._collect(conn, conn.parser.unreader.take_buffered() if conn.parser else b"")
        if conn in self._arriving:
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._collect(conn))
            arriving.is_polled = True

    def murder_pending(self) -> None:
        """Called by gunicorn once a second or more often: turns away what takes too long."""
        super().murder_pending()
        self._leaving.close_late(self.poller)
        latest = time.monotonic() - (SECONDS if self.alive else SECONDS_WHEN_STOPPING)
        while self._arriving:
            conn, arriving = next(iter(self._arriving.items()))
            if arriving.since > latest:
                return
            self._turn_away(conn, TOO_LATE if arriving.data else b"")

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Called by gunicorn for what is no request. Its words stay out of the log: they may be a token gone astray."""
        super().handle_error(req, client, addr, _wordless(exc) if isinstance(exc, ParseException) else exc)

    def _collect(self, conn: Any, before: bytes = b"") -> None:
        """Takes what has come. A request that is complete goes to a thread."""
        arriving, data = self._arriving[conn], _received(conn.sock)
        try:
            self._take(arriving, before + (data or b""))
        except Malformed as problem:
            log.warning("malformed", reason=str(problem))
            self._turn_away(conn, MALFORMED)
            return
        if arriving.is_complete():
            self._pass_on(conn)
        elif data == b"":
            self._turn_away(conn)
        elif arriving.is_too_large():
            self._turn_away(conn, TOO_LARGE)
        elif arriving.is_hopeless():
            self._turn_away(conn, TOO_MUCH)
        elif arriving.asks_for_word():
            self._held -= arriving.drop_question()
            conn.sock.send(GO_ON)
        if self._held > ROOM_BYTES or len(self._arriving) > self.worker_connections * 3 // 4:
            self._turn_away(next(iter(self._arriving)), TOO_LATE)

    def _take(self, arriving: Arriving, data: bytes) -> None:
        self._held += len(data)
        arriving.add(data)

    def _pass_on(self, conn: Any) -> None:
        arriving = self._forget(conn)
        conn.init()
        conn.data_ready = True
        conn.parser.unreader.unread(arriving.whole())
        super().enqueue_req(conn)

    def _turn_away(self, conn: Any, answer: bytes = b"") -> None:
        self._forget(conn)
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.send(answer)
        conn.close(graceful=bool(answer))

    def _close(self, conn: Any, graceful: bool = False) -> None:
        """In place of the connection's own, which waits."""
        if graceful and self.alive:
            self._leaving.see_off(conn.sock, self.poller)
        else:
            close(conn.sock)

    def _forget(self, conn: Any) -> Arriving:
        arriving = self._arriving.pop(conn)
        self._held -= len(arriving.data)
        if arriving.is_polled:
            self.poller.unregister(conn.sock)
        return arriving


def _wordless(problem: ParseException) -> ParseException:
    """A problem of the same kind that tells its kind, and nothing of what came."""
    kind = type(problem)
    told: type[ParseException] = type(kind.__name__, (kind,), {"__str__": lambda _: kind.__name__})
    return told.__new__(told)


def _received(sock: socket.socket) -> bytes | None:
    """What has come; None: nothing yet; nothing: the other side is gone."""
    try:
        return sock.recv(AT_ONCE)
    except BlockingIOError:
        return None
    except OSError:
        return b""
