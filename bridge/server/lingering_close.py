"""Closing connections without losing the response (RFC 9112, section 9.6).

Closing while the client still sends resets the connection, and the response may be lost. So the connection is half
closed first, and further input is discarded for a while. gunicorn does that in its event loop and blocks it: five
clients that did not hang up delayed everybody else by ten seconds.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

LINGER_SECONDS = 2.0
MAX_CONNECTIONS = 64  # the oldest is closed for a further one
MAX_DISCARDED_BYTES = 4 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024


@dataclass(slots=True)
class ClosingConnection:
    """When a half-closed connection is closed for good, and how much more input it may send."""

    deadline: float
    bytes_left: int = MAX_DISCARDED_BYTES


class LingeringCloser:
    """The half-closed connections of one event loop. No method blocks."""

    def __init__(self) -> None:
        self._closing: dict[socket.socket, ClosingConnection] = {}  # oldest first

    def close(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        """Half closes a connection, and closes it once the client hangs up."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            poller.register(sock, selectors.EVENT_READ, lambda _: self._discard_input(sock, poller))
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        self._closing[sock] = ClosingConnection(deadline=time.monotonic() + LINGER_SECONDS)
        if len(self._closing) > MAX_CONNECTIONS:
            self._finish(next(iter(self._closing)), poller)

    def close_expired(self, poller: selectors.BaseSelector) -> None:
        """Closes the connections past their deadline."""
        now = time.monotonic()
        for sock in [sock for sock, closing in self._closing.items() if closing.deadline <= now]:
            self._finish(sock, poller)

    def _discard_input(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        closing = self._closing[sock]
        try:
            count = len(sock.recv(RECEIVE_BYTES))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        closing.bytes_left -= count
        if not count or closing.bytes_left < 0:
            self._finish(sock, poller)

    def _finish(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        del self._closing[sock]
        with suppress(OSError, ValueError, KeyError):
            poller.unregister(sock)
        sock.close()
