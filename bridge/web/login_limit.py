"""Delays and limits wrong admin tokens, by address, so that a token cannot be guessed.

In memory of each web process, and bounded: at most a thousand addresses are remembered.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

DELAY_SECONDS = 0.5
ALLOWED = 10  # wrong tokens of one address in the window
WINDOW_SECONDS = 300.0
MAX_ADDRESSES = 1000


class LoginLimit:
    """The wrong tokens of the last minutes, by address."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """How long this address must wait before its next token is looked at; 0: not at all."""
        with self._lock:
            failures = self._recent(address)
            return 0 if len(failures) < ALLOWED else max(1, round(failures[-ALLOWED] + WINDOW_SECONDS - self._clock()))

    def failed(self, address: str) -> int:
        """Remembers a wrong token and delays the response. Returns how many there were in the window."""
        with self._lock:
            failures = [*self._recent(address), self._clock()][-ALLOWED:]
            self._failures[address] = failures
            self._failures.move_to_end(address)
            while len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)
        self._sleep(DELAY_SECONDS)
        return len(failures)

    def succeeded(self, address: str) -> None:
        """Forgets the wrong tokens of an address."""
        with self._lock:
            self._failures.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - WINDOW_SECONDS
        return [at for at in self._failures.get(address, ()) if at > since]
