"""When to send again, and what an answer of the ingest means. Clock and chance are arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

# The wait after the first failure, the second, …: about three days in all, then the event is given up.
WAITS: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    *[timedelta(hours=6)] * 11,
)

SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=1)
DEFAULT_PAUSE = timedelta(minutes=1)

FIRST_PROBE = timedelta(minutes=1)
LAST_PROBE = timedelta(minutes=15)


class Verdict(StrEnum):
    """What an answer means."""

    DELIVERED = "delivered"
    TRY_AGAIN = "try_again"  # this event, later
    GIVE_UP = "give_up"  # this event is wrong: sending it again changes nothing
    BUSY = "busy"  # the whole ingest, for a while
    REFUSED = "refused"  # everything that goes to this destination, until the operator mends it


# Of the 4xx, those that speak of the event, and those that speak of token or address and so of every event alike.
# A stranger among them is tried again: the event stays, delays only its own stream, and ends as dead in three days.
CLIENT_ERRORS: Mapping[int, Verdict] = {
    400: Verdict.GIVE_UP,
    401: Verdict.REFUSED,
    402: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.REFUSED,
    405: Verdict.REFUSED,
    407: Verdict.REFUSED,  # the proxy's, on the way
    409: Verdict.GIVE_UP,
    410: Verdict.REFUSED,
    413: Verdict.GIVE_UP,
    415: Verdict.REFUSED,
    422: Verdict.GIVE_UP,
    429: Verdict.BUSY,
    451: Verdict.REFUSED,
}

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def verdict(status: int | None, *, is_page: bool = False) -> Verdict:
    """What an answer means. `status` None: there was none (time-out, reset, TLS). `is_page`: its body is a web page.

    A web page with status 200 is a proxy's or a site's, not the ingest's: nobody took the event.
    """
    if status is None:
        return Verdict.TRY_AGAIN
    if 200 <= status < 300:
        return Verdict.TRY_AGAIN if is_page and status != 202 else Verdict.DELIVERED
    return CLIENT_ERRORS.get(status, Verdict.TRY_AGAIN)


def is_expected(status: int | None) -> bool:
    """Whether an answer that counts as delivered is the one that the reference promises."""
    return status == 202


def next_try(failures: int, now: datetime, chance: float) -> datetime | None:
    """When to send again after so many failures (1: the first), or None: never. `chance` is in [0, 1).

    The jitter is as wide as the wait itself, from half of it to one and a half, so the schedule keeps its length.
    """
    if failures > len(WAITS):
        return None
    return now + WAITS[max(failures, 1) - 1] * (0.5 + chance)


def retry_after(header: str | None, now: datetime) -> timedelta:
    """How long a `Retry-After` (seconds or an HTTP date) asks to wait: 1 s to 1 h, a minute where it says nothing."""
    asked = _asked(header, now)
    return DEFAULT_PAUSE if asked is None else _bounded(asked)


def longer_of(scheduled: datetime, header: str | None, now: datetime) -> datetime:
    """The scheduled instant, or the later one that a `Retry-After` beside a 5xx asks for, within its bounds."""
    asked = _asked(header, now)
    return scheduled if asked is None else max(scheduled, now + _bounded(asked))


def next_probe(refused_since: datetime, now: datetime) -> timedelta:
    """How long a refusing destination is left alone: as long as it has been refusing, 1 to 15 minutes."""
    return min(max(now - refused_since, FIRST_PROBE), LAST_PROBE)


def _asked(header: str | None, now: datetime) -> timedelta | None:
    stated = (header or "").strip()
    if _SECONDS.fullmatch(stated):
        return timedelta(seconds=min(float(stated), LONGEST_PAUSE.total_seconds()))
    try:
        moment = parsedate_to_datetime(stated)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, SHORTEST_PAUSE), LONGEST_PAUSE)
