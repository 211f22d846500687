"""Webhooks in the event loop of a web process: verified there, and answered there once they are on disk.

Verifying takes less than handing the request to a thread and through Flask, and no thread waits for the commit. Only
plain requests that the route would accept (`bridge/web/direct.py`); all others go to the route, in a thread.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn import SERVER
from gunicorn.util import http_date

from bridge.store import ACCEPT_SECONDS
from bridge.web import direct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.server.gunicorn_worker import IncomingRequest
    from bridge.web.context import Context
    from bridge.web.direct import Submitted

log = structlog.get_logger()

ROUTE = "/webhooks/"
BEGINNING = b"POST " + ROUTE.encode()
MAX_BYTES = 64 * 1024  # hashing and reading more would keep the loop from its other connections
POLL_SECONDS = 0.25  # while webhooks wait, so that none waits much longer than ACCEPT_SECONDS


class WebhookLoop:
    """The webhooks of one web process. Every method but `wake` runs in the event loop's thread."""

    def __init__(self, worker: Any, here: Context) -> None:
        self._worker, self._here = worker, here
        self._waiting: dict[Any, tuple[float, bool, Submitted]] = {}  # by connection: since, keep alive; oldest first
        self._is_submitted = self._is_woken = False

    def takes(self, request: IncomingRequest) -> bool:
        """Whether this is a small webhook with nothing received after it."""
        return (
            request.data.startswith(BEGINNING)
            and len(request.data) == request.expected
            and request.expected <= MAX_BYTES
        )

    def submit(self, conn: Any, request: IncomingRequest) -> bool:
        """Verifies a webhook and submits it to be stored. False: gunicorn has to handle the request."""
        head, body = bytes(request.data[: request.head]), bytes(request.data[request.head :])
        parser = conn.parser
        parser.unreader.unread(head)
        try:
            parsed = next(parser)
            submitted = self._submitted(parsed, body)
        except Exception:  # the same problem appears again, where it is reported
            submitted = None
        parser.mesg = None  # its body is not in the parser
        if submitted is None:
            parser.unreader.take_buffered()
            return False
        self._waiting[conn] = (time.monotonic(), not parsed.should_close(), submitted)
        self._is_submitted = True
        self._worker.count_request()
        return True

    def flush(self) -> None:
        """Begins to store what was submitted in this round of the loop, together."""
        if self._is_submitted:
            self._is_submitted = False
            self._here.store.flush()

    def poll_seconds(self) -> float | None:
        """How long the loop may wait for connections; None: any time."""
        return POLL_SECONDS if self._waiting else None

    def expire(self) -> None:
        """Responds to webhooks that were not stored in time."""
        earliest = time.monotonic() - ACCEPT_SECONDS
        while self._waiting:
            conn, (since, _, _) = next(iter(self._waiting.items()))
            if since > earliest:
                return
            self._respond(conn)

    def wake(self) -> None:
        """Called by the thread that stores: outcomes are known."""
        if not self._is_woken:
            self._is_woken = True
            self._worker.method_queue.defer(self._respond_to_stored)

    def _submitted(self, parsed: Any, body: bytes) -> Submitted | None:
        if parsed.method != "POST" or not parsed.path.startswith(ROUTE) or parsed.version != (1, 1):
            return None
        return direct.submit(self._here, parsed.path[len(ROUTE) :], _fields(parsed.headers), body, self.wake)

    def _respond_to_stored(self) -> None:
        self._is_woken = False  # before looking: what becomes known after this wakes again
        for conn in [conn for conn, (_, _, submitted) in self._waiting.items() if submitted.is_stored()]:
            self._respond(conn)

    def _respond(self, conn: Any) -> None:
        """Sends the response. One that the client does not take at once is lost: it sends the webhook again."""
        _, keep_alive, submitted = self._waiting.pop(conn)
        keep_alive = keep_alive and self._worker.can_keep_alive()
        status, text, fields = submitted.response(self._here)
        data = _http(status, text, fields, keep_alive)
        is_sent = False
        with suppress(OSError):
            is_sent = conn.sock.send(data, socket.MSG_DONTWAIT) == len(data)
        done: Future[bool] = Future()
        done.set_result(is_sent and keep_alive)
        self._worker.finish_request(conn, done)


def _fields(headers: list[tuple[str, str]]) -> dict[str, str]:
    """The header fields, repeated ones joined as gunicorn does."""
    fields: dict[str, str] = {}
    for name, value in headers:
        name = name.title()
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def _http(status: int, text: str, more: Mapping[str, str], keep_alive: bool) -> bytes:
    """The response as gunicorn sends it."""
    fields = {
        "Server": SERVER,
        "Date": _date(int(time.time())),
        "Connection": "keep-alive" if keep_alive else "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(text.encode())),
        **more,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n{text}".encode()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return str(http_date(second))
