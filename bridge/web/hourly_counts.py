"""Counts in memory by hour, added to the store every two seconds.

A request must not cause a write each: a flood of them costs one small transaction in two seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection

from bridge.errors import BridgeError
from bridge.store import Store
from bridge.store.refusals import hour_of

log = structlog.get_logger()

WRITE_AFTER_SECONDS = 2.0

Key = tuple[str, str, datetime]  # source, cause (empty for accepted webhooks), hour
Counts = Mapping[Key, tuple[int, datetime]]  # how many, and when the last one was


class HourlyCounter:
    """The counts of one process that are not in the store yet. Subclasses say where they are added."""

    def __init__(self, store: Store, seconds: float = WRITE_AFTER_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._counts: dict[Key, tuple[int, datetime]] = {}
        self._timer: threading.Timer | None = None

    def count(self, source: str, cause: str = "") -> None:
        """Counts one. It is in the store two seconds later, unless the process ends before."""
        now = datetime.now(UTC)
        key = (source, cause, hour_of(now))
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
                self.add(tx, counts, datetime.now(UTC))
        except BridgeError as error:
            log.warning("not_counted", counter=type(self).__name__, reason=str(error))
            self._put_back(counts)

    def add(self, tx: Connection, counts: Counts, now: datetime) -> None:
        """Adds these counts to the store."""
        raise NotImplementedError

    def _put_back(self, counts: Counts) -> None:
        with self._lock:
            for key, (number, at) in counts.items():
                known, last_at = self._counts.get(key, (0, at))
                self._counts[key] = (known + number, max(last_at, at))
