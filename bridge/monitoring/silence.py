"""Whether a source is silent for longer than its own history allows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from bridge.store import arrivals
from processors.values import Value

FACTOR = 3
MIN_HISTORY = timedelta(days=14)  # two weekends, so that one of them is not taken for an outage
MIN_HOURS = 10  # hours with a webhook, below which nothing is usual yet
MIN_LIMIT = timedelta(hours=1)  # and the resolution of the history
HOUR = timedelta(hours=1)


class Silence(Value):
    """When the last webhook of a source arrived, how long none may arrive, and since when that is exceeded."""

    last_at: datetime | None
    allowed: timedelta | None
    silent_since: datetime | None


def read_silence(tx: Connection, source: str, silence_hours: float | None, now: datetime) -> Silence:
    """Reads it from the store. Only webhooks count, not the events that `reconcile` has fetched."""
    last_at = arrivals.last_at(tx, source)
    if last_at is None:
        return Silence(last_at=None, allowed=None, silent_since=None)
    # Up to the last webhook: the silence that is judged is no part of the history it is judged by.
    hours = [] if silence_hours is not None else arrivals.hours_of(tx, source, last_at - arrivals.RETENTION)
    allowed = limit(hours, silence_hours)
    return Silence(last_at=last_at, allowed=allowed, silent_since=silent_since(last_at, allowed, now))


def limit(hours: Iterable[int], silence_hours: float | None = None) -> timedelta | None:
    """How long a source may be silent: three times its longest usual gap.

    `hours`: those in which webhooks arrived, as whole numbers.
    None: its history is too short, or SILENCE_HOURS is 0. SILENCE_HOURS, if set, replaces the history.
    """
    if silence_hours is not None:
        return timedelta(hours=silence_hours) if silence_hours else None
    known = sorted(set(hours))
    if len(known) < MIN_HOURS or (known[-1] - known[0]) * HOUR < MIN_HISTORY:
        return None
    return max(longest_usual(later - earlier for earlier, later in pairwise(known)) * FACTOR * HOUR, MIN_LIMIT)


def longest_usual(gaps: Iterable[int]) -> int:
    """The longest gap that is not itself an outage: one more than three times the next shorter is left out."""
    longest, *others = sorted(gaps, reverse=True)
    return others[0] if others and longest > others[0] * FACTOR else longest


def silent_since(last_at: datetime | None, allowed: timedelta | None, now: datetime) -> datetime | None:
    """Since when a source has been silent for too long; None: it is not, or nothing is known of it."""
    if last_at is None or allowed is None or now - last_at <= allowed:
        return None
    return last_at + allowed
