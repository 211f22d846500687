"""Counts refused webhooks. The table has one row for each source, cause and hour, however many there are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bridge.store import refusals
from bridge.store.refusals import Refusals
from bridge.web.hourly_counts import Counts, HourlyCounter

UNKNOWN_SOURCE = "(unknown)"


class RefusalCounter(HourlyCounter):
    """The refused webhooks that are not in the store yet, of one process."""

    def add(self, tx: Connection, counts: Counts, now: datetime) -> None:
        """Adds them to the store."""
        rows = [
            Refusals(source=source, cause=cause, hour=hour, count=number, last_at=last_at)
            for (source, cause, hour), (number, last_at) in counts.items()
        ]
        refusals.add(tx, rows, now)
