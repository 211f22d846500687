"""Counts accepted webhooks by source and hour: from this a source's usual gaps are known."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from bridge.store import arrivals
from bridge.store.arrivals import Arrivals
from bridge.web.hourly_counts import Counts, HourlyCounter


class ArrivalCounter(HourlyCounter):
    """The accepted webhooks that are not counted in the store yet, of one process."""

    def add(self, tx: Connection, counts: Counts, now: datetime) -> None:
        """Adds them to the store."""
        rows = [
            Arrivals(source=source, hour=hour, count=number, last_at=last_at)
            for (source, _, hour), (number, last_at) in counts.items()
        ]
        arrivals.add(tx, rows, now)
