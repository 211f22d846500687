"""The retry policy: what a response of the ingest means, and when to send again. Clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from processors.http_client import retry_after_seconds

# The wait after the first failure, the second, …: about three days in total, then the delivery has failed.
WAITS: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    *[timedelta(hours=6)] * 11,
)

MIN_PAUSE = timedelta(seconds=1)
MAX_PAUSE = timedelta(hours=1)
DEFAULT_PAUSE = timedelta(minutes=1)

MIN_PROBE_DELAY = timedelta(minutes=1)
MAX_PROBE_DELAY = timedelta(minutes=15)


class Verdict(StrEnum):
    """The meaning of a response."""

    DELIVERED = "delivered"
    RETRY = "retry"  # this event, later
    GIVE_UP = "give_up"  # this event is invalid: sending it again changes nothing
    BUSY = "busy"  # the whole origin, for a while
    REFUSED = "refused"  # every event to this destination, until the operator corrects the settings


# A 4xx is about this event (give up) or about token or address, and so about every event alike (refused). An unknown
# 4xx is retried: the event is kept, delays only its own stream, and fails after three days.
CLIENT_ERRORS: Mapping[int, Verdict] = {
    400: Verdict.GIVE_UP,
    401: Verdict.REFUSED,
    402: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.REFUSED,
    405: Verdict.REFUSED,
    407: Verdict.REFUSED,  # from a proxy on the way
    409: Verdict.GIVE_UP,
    410: Verdict.REFUSED,
    413: Verdict.GIVE_UP,
    415: Verdict.REFUSED,
    422: Verdict.GIVE_UP,
    429: Verdict.BUSY,
    451: Verdict.REFUSED,
}


def verdict(status: int | None, *, is_page: bool = False) -> Verdict:
    """The meaning of a response. `status` None: no response. `is_page`: its body is a web page."""
    if status is None:
        return Verdict.RETRY
    if 200 <= status < 300:
        # A web page with status 200 comes from a proxy or a website, not from the ingest: nothing was accepted.
        return Verdict.RETRY if is_page and status != 202 else Verdict.DELIVERED
    return CLIENT_ERRORS.get(status, Verdict.RETRY)


def is_expected(status: int | None) -> bool:
    """Whether it is the success status that Pulsora's reference documents."""
    return status == 202


def next_attempt(failures: int, now: datetime, chance: float) -> datetime | None:
    """When to send again after that many failures (1: the first), or None: never. `chance` is in [0, 1).

    The jitter ranges from half of the wait to one and a half, so the schedule keeps its total length.
    """
    if failures > len(WAITS):
        return None
    return now + WAITS[max(failures, 1) - 1] * (0.5 + chance)


def pause_length(retry_after: str | None, now: datetime) -> timedelta:
    """The pause that a `Retry-After` header asks for: 1 s to 1 h, a minute if it is absent or unreadable."""
    requested = _requested(retry_after, now)
    return DEFAULT_PAUSE if requested is None else requested


def at_earliest(scheduled: datetime, retry_after: str | None, now: datetime) -> datetime:
    """The scheduled time, or the later one that the `Retry-After` header of a 5xx asks for (at most 1 h from now)."""
    requested = _requested(retry_after, now)
    return scheduled if requested is None else max(scheduled, now + requested)


def probe_delay(refused_since: datetime, now: datetime) -> timedelta:
    """How long a refusing destination is left alone: as long as it has been refusing, 1 to 15 minutes."""
    return min(max(now - refused_since, MIN_PROBE_DELAY), MAX_PROBE_DELAY)


def _requested(retry_after: str | None, now: datetime) -> timedelta | None:
    seconds = retry_after_seconds(retry_after, now)
    if seconds is None:
        return None
    return timedelta(seconds=min(max(seconds, MIN_PAUSE.total_seconds()), MAX_PAUSE.total_seconds()))
