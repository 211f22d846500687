"""Connections that were answered and are on their way out.

To close one while the other side still sends resets it, and the answer may be lost: so it is only half closed, and what
still comes is read and dropped for a while (RFC 9112, section 9.6). gunicorn does that in its event loop, and waits:
five clients that did not hang up kept everybody else out for ten seconds.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

SECONDS = 2.0
MOST = 64  # at once; then the first of them has to go
MOST_BYTES = 4 * 1024 * 1024
AT_ONCE = 64 * 1024


@dataclass(slots=True)
class Guest:
    """Until when it may stay, and how much it may still send."""

    until: float
    bytes_left: int = MOST_BYTES


class Leaving:
    """All of them, for one event loop. Nothing here waits."""

    def __init__(self) -> None:
        self._guests: dict[socket.socket, Guest] = {}  # the first that left first

    def see_off(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        """Says that nothing more comes, and lets the other side hang up."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            poller.register(sock, selectors.EVENT_READ, lambda _: self._hear(sock, poller))
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        self._guests[sock] = Guest(until=time.monotonic() + SECONDS)
        if len(self._guests) > MOST:
            self._close(next(iter(self._guests)), poller)

    def close_late(self, poller: selectors.BaseSelector) -> None:
        """Closes those that have stayed for too long."""
        now = time.monotonic()
        for sock in [sock for sock, guest in self._guests.items() if guest.until <= now]:
            self._close(sock, poller)

    def _hear(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        """Drops what comes; closes when there will be no more, or it becomes too much."""
        guest = self._guests[sock]
        try:
            count = len(sock.recv(AT_ONCE))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        guest.bytes_left -= count
        if not count or guest.bytes_left < 0:
            self._close(sock, poller)

    def _close(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        del self._guests[sock]
        with suppress(OSError, ValueError, KeyError):
            poller.unregister(sock)
        sock.close()
