"""Whether a source is quieter than its own history allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

FACTOR = 3
MIN_HISTORY = timedelta(days=14)  # two weekends, so that one of them is not taken for an outage
MIN_HOURS = 10  # hours with a webhook, below which nothing is usual yet
MIN_LIMIT = timedelta(hours=1)  # and the resolution of the history
HOUR = timedelta(hours=1)


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
    """When a source became quieter than it may be; None: it is not, or nothing is known of it."""
    if last_at is None or allowed is None or now - last_at <= allowed:
        return None
    return last_at + allowed
