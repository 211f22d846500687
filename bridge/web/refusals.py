"""Counts refused webhooks in memory and adds them to the store every two seconds.

An unauthenticated request must not cause a write each: a flood of them costs one small transaction in two seconds,
and the table has one row for each source, cause and hour.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from bridge.errors import BridgeError
from bridge.store import Store, refusals
from bridge.store.refusals import Refusals

log = structlog.get_logger()

WRITE_AFTER_SECONDS = 2.0
UNKNOWN_SOURCE = "(unknown)"

Key = tuple[str, str, datetime]  # source, cause, hour


class RefusalCounter:
    """The refused webhooks that are not in the store yet, of one process."""

    def __init__(self, store: Store, seconds: float = WRITE_AFTER_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._counts: dict[Key, tuple[int, datetime]] = {}
        self._timer: threading.Timer | None = None

    def count(self, source: str, cause: str) -> None:
        """Counts one. It is in the store two seconds later, unless the process ends before."""
        now = datetime.now(UTC)
        key = (source, cause, refusals.hour_of(now))
        with self._lock:
            self._counts[key] = (self._counts.get(key, (0, now))[0] + 1, now)
            if self._timer is None or not self._timer.is_alive():  # after a fork the parent's is not
                self._timer = threading.Timer(self._seconds, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Adds the counts to the store. If it is unavailable they are kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._timer = None
        if not counts:
            return
        try:
            with self._store.transaction() as tx:
                refusals.add(tx, list(_rows(counts)), datetime.now(UTC))
        except BridgeError as error:
            log.warning("refusals_not_counted", reason=str(error))
            self._put_back(counts)

    def _put_back(self, counts: dict[Key, tuple[int, datetime]]) -> None:
        with self._lock:
            for key, (number, at) in counts.items():
                known, last_at = self._counts.get(key, (0, at))
                self._counts[key] = (known + number, max(last_at, at))


def _rows(counts: dict[Key, tuple[int, datetime]]) -> Iterable[Refusals]:
    for (source, cause, hour), (number, last_at) in counts.items():
        yield Refusals(source=source, cause=cause, hour=hour, count=number, last_at=last_at)
