"""The silence of a source, read from the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.monitoring import silence
from bridge.store import arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class Quietness:
    """When the last webhook of a source arrived, how long none may arrive, and since when that is exceeded."""

    last_at: datetime | None
    allowed: timedelta | None
    silent_since: datetime | None


def read_quietness(tx: Connection, source: str, silence_hours: float | None, now: datetime) -> Quietness:
    """Reads it. Only webhooks count, not the events that `reconcile` has fetched."""
    last_at = arrivals.last_at(tx, source)
    if last_at is None:
        return Quietness(last_at=None, allowed=None, silent_since=None)
    # Up to the last webhook: the silence that is judged is no part of the history it is judged by.
    hours = [] if silence_hours is not None else arrivals.hours_of(tx, source, last_at - arrivals.RETENTION)
    allowed = silence.limit(hours, silence_hours)
    return Quietness(last_at=last_at, allowed=allowed, silent_since=silence.silent_since(last_at, allowed, now))
