"""When a message about a cause is sent, repeated and cleared. Pure.

Bounded: a cause sends at most one message in an hour, and one all-clear, however often it comes and goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.alerts.causes import EXPLAINED, Cause, Found
from bridge.formatting import duration, timestamp
from bridge.store.alerts import AlertState
from processors.values import Value, replace

SPACING = timedelta(hours=1)  # between two messages about one cause
CLEARED_AFTER = timedelta(minutes=5)  # absent that long: a retry in between would raise it again
REMINDER = timedelta(days=1)
RARE_AFTER = timedelta(days=7)  # from then on a reminder a week
RARE_REMINDER = timedelta(days=7)
RETRY_AFTER = timedelta(minutes=1)  # after a failure to send, doubled each time
LONGEST_RETRY = timedelta(hours=1)
MAX_LINES = 10


class Kind(StrEnum):
    """The kind of a message: the cause is new, more of it, still there, or gone."""

    RAISED = "raised"
    MORE = "more"
    REMINDER = "reminder"
    CLEARED = "cleared"


PREFIXES: Mapping[Kind, str] = {
    Kind.RAISED: "",
    Kind.MORE: "More: ",
    Kind.REMINDER: "Still: ",
    Kind.CLEARED: "Resolved: ",
}


class Message(Value):
    """A message to the operator."""

    cause: Cause
    kind: Kind
    title: str
    body: str


class Step(Value):
    """A state to write, and the message to send before. `state` None: there is nothing left to remember.

    `sent`: the state once the message has been sent; `state` is the one if it could not be.
    """

    cause: Cause
    state: AlertState | None
    message: Message | None = None
    sent: AlertState | None = None


def decide(
    states: Mapping[str, AlertState], found: Sequence[Found], now: datetime, public_url: str | None = None
) -> list[Step]:
    """The messages to send and the states to write now. Nothing: all is as it was."""
    by_cause: dict[Cause, list[Found]] = {}
    for one in found:
        by_cause.setdefault(one.cause, []).append(one)
    return [
        step
        for cause in Cause
        for step in _steps(cause, states.get(cause.value), by_cause.get(cause, []), now, public_url)
    ]


def failed(step: Step, error: str, now: datetime) -> AlertState | None:
    """The state after a message could not be sent."""
    if step.state is None:
        return None
    failures = step.state.failures + 1
    wait = min(RETRY_AFTER * 2 ** min(failures - 1, 10), LONGEST_RETRY)
    return replace(step.state, failures=failures, retry_at=now + wait, error=error)


def _steps(
    cause: Cause, state: AlertState | None, found: Sequence[Found], now: datetime, public_url: str | None
) -> Iterator[Step]:
    if found:
        yield from _present(cause, state, found, now, public_url)
    elif state is not None:
        yield from _absent(cause, state, now, public_url)


def _present(
    cause: Cause, old: AlertState | None, found: Sequence[Found], now: datetime, public_url: str | None
) -> Iterator[Step]:
    subjects = tuple(dict.fromkeys(one.subject for one in found))
    state = AlertState(cause=cause.value, since=now, subjects=()) if old is None else old
    if old is not None and old.sent_at is None and old.absent_since is not None:
        state = replace(state, since=now)  # it was gone in between
    state = replace(state, absent_since=None)
    kind = _kind(state, subjects, now)
    if kind is None:
        if state != old:
            yield Step(cause=cause, state=state)
        return
    sent = replace(state, subjects=subjects, sent_at=now, cleared_at=None, retry_at=None, failures=0, error=None)
    lines = [one.text for one in found]
    yield Step(cause=cause, state=state, message=_message(cause, kind, lines, state.since, now, public_url), sent=sent)


def _kind(state: AlertState, subjects: Sequence[str], now: datetime) -> Kind | None:
    """The message that is due; None: none is."""
    if state.retry_at is not None and now < state.retry_at:
        return None
    if state.sent_at is None:
        return None if state.cleared_at is not None and now - state.cleared_at < SPACING else Kind.RAISED
    since_last = now - state.sent_at
    if since_last >= SPACING and not set(subjects) <= set(state.subjects):
        return Kind.MORE
    wait = RARE_REMINDER if now - state.since > RARE_AFTER else REMINDER
    return Kind.REMINDER if since_last >= wait else None


def _absent(cause: Cause, state: AlertState, now: datetime, public_url: str | None) -> Iterator[Step]:
    gone_since = state.absent_since or now
    marked = replace(state, absent_since=gone_since)
    if state.sent_at is None:
        if state.cleared_at is None or now - state.cleared_at >= SPACING:
            yield Step(cause=cause, state=None)
        elif marked != state:
            yield Step(cause=cause, state=marked)
        return
    is_waiting = state.retry_at is not None and now < state.retry_at
    if now - gone_since < CLEARED_AFTER or is_waiting:
        if marked != state:
            yield Step(cause=cause, state=marked)
        return
    cleared = replace(marked, subjects=(), sent_at=None, cleared_at=now, retry_at=None, failures=0, error=None)
    text = f"It lasted {duration(gone_since - state.since)}, until {timestamp(gone_since)} UTC."
    subjects = f"It was about: {', '.join(state.subjects[:MAX_LINES])}."
    message = _message(cause, Kind.CLEARED, [subjects, text], state.since, now, public_url)
    yield Step(cause=cause, state=marked, message=message, sent=cleared)


def _message(
    cause: Cause, kind: Kind, lines: Sequence[str], since: datetime, now: datetime, public_url: str | None
) -> Message:
    about = EXPLAINED[cause]
    more = [f"… and {len(lines) - MAX_LINES} more."] if len(lines) > MAX_LINES else []
    shown = [*dict.fromkeys(lines)][:MAX_LINES] + more
    if kind is not Kind.CLEARED:
        shown += [about.cure]
    if kind in (Kind.MORE, Kind.REMINDER):
        shown += [f"First seen {duration(now - since)} ago."]
    if public_url is not None and kind is not Kind.CLEARED:
        shown += [f"{public_url}/admin/{about.page}"]
    return Message(cause=cause, kind=kind, title=f"{PREFIXES[kind]}{about.title}", body="\n".join(shown))
