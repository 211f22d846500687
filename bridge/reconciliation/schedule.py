"""When a source is reconciled, and from when on. Pure.

Every run continues where the last complete one ended, so that no time is left out; the reasons only bring it forward.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from bridge.store.reconciliations import Run
from processors.values import Value

IN_FLIGHT = timedelta(minutes=5)  # the webhook of a younger event may still be on its way
OVERLAP = timedelta(minutes=10)  # an event may appear in the list a little after the time it states
AFTER_ERROR = timedelta(minutes=10)
SPACING = timedelta(minutes=15)  # between two runs for any other reason: anybody can cause a refusal
AFTER_START = timedelta(minutes=10)  # a start sooner after the last run needs no other one
RETRY_SPAN = timedelta(days=3)  # a processor repeats a webhook that long: younger ones may have arrived before it


class Reason(StrEnum):
    """The reason for a run."""

    FIRST = "first start with an API key"
    START = "start of the worker"
    SCHEDULE = "schedule"
    SILENCE = "the source is silent"
    REFUSALS = "refused webhooks are accepted again"
    ENDPOINT = "the endpoint is wrong"
    ERROR = "the last run failed"


class Situation(Value):
    """The state of a source.

    `silent_since`: when it became quieter than usual; None: it is not. `refused_at`: its last refused webhook;
    `accepted_at`: its last accepted one. `first_at`, `last_at`: of all its stored webhooks.
    """

    started_at: datetime
    last: Run | None = None
    complete: Run | None = None
    silent_since: datetime | None = None
    refused_at: datetime | None = None
    accepted_at: datetime | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None


class Span(Value):
    """The part of the list to read. `lost_since`: from then until `since` the processor keeps nothing any more."""

    since: datetime
    until: datetime
    lost_since: datetime | None = None


def reason_to_run(of: Situation, now: datetime, interval: timedelta) -> Reason | None:
    """Why a source is reconciled now; None: there is no reason yet."""
    last = of.last
    if last is None:
        return Reason.FIRST
    if last.error is not None:
        return Reason.ERROR if now - last.at >= AFTER_ERROR else None
    if last.at < of.started_at - AFTER_START:
        return Reason.START
    if now - last.at >= SPACING:
        if last.faults:
            return Reason.ENDPOINT
        if of.silent_since is not None and last.at < of.silent_since:
            return Reason.SILENCE
        if _were_refused_until(of) > last.at:
            return Reason.REFUSALS
    return Reason.SCHEDULE if now - last.at >= interval else None


def span(of: Situation, now: datetime, oldest_kept: datetime, *, is_faulty: bool = False) -> Span:
    """The part of the list to read. Nothing from before the bridge's first start: `reconcile --days` fetches that.

    `is_faulty`: no webhook can be on its way, so that the youngest events are read too.
    """
    since = _since(of, now)
    until = now if is_faulty else max(now - IN_FLIGHT, since)
    if since >= oldest_kept:
        return Span(since=since, until=until)
    return Span(since=oldest_kept, until=until, lost_since=since)


def _since(of: Situation, now: datetime) -> datetime:
    if of.complete is not None:
        return of.complete.until - OVERLAP
    if of.first_at is None or of.last_at is None:
        return now if of.last is None else of.last.since
    return max(of.first_at, of.last_at - RETRY_SPAN)


def _were_refused_until(of: Situation) -> datetime:
    """The last refusal, if a webhook was accepted since."""
    if of.refused_at is None or of.accepted_at is None or of.accepted_at <= of.refused_at:
        return datetime.min.replace(tzinfo=of.started_at.tzinfo)
    return of.refused_at
