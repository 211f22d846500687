"""What follows from one answer: for the event, and for all that goes the same way. Clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sender.client import Answer
from bridge.sender.destinations import Destination
from bridge.sender.schedule import Verdict, longer_of, next_probe, next_try, retry_after, verdict
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome

# What was refused steps behind the others, so that the next probe is another event: perhaps only this one displeases.
BEHIND = timedelta(seconds=30)
UNROUTED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A delivery on its way. `refused_since`: it is the probe of a destination that has been refusing since then."""

    delivery: Delivery
    destination: Destination
    refused_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Nothing goes to `name`, a destination's id or an origin, until then. `probing`: after it one event goes ahead."""

    name: str
    until: datetime
    reason: str
    probing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of a delivery. `verdict` None: it was not sent. `resumes`: its destination takes events again."""

    verdict: Verdict | None
    outcome: Outcome
    halt: Halt | None = None
    resumes: bool = False


def ruling(trial: Trial, answer: Answer, now: datetime, chance: float) -> Ruling:
    """What follows from the answer that a delivery got. `chance` is in [0, 1)."""
    match _meaning(trial, answer):
        case Verdict.DELIVERED:
            return _delivered(trial, answer, now)
        case Verdict.GIVE_UP:
            return _given_up(Verdict.GIVE_UP, trial, answer, now)
        case Verdict.BUSY:
            return _put_off(trial, answer, now)
        case Verdict.REFUSED:
            return _refused(trial, answer, now)
        case _:
            return _tried_again(trial, answer, now, chance)


def broken(delivery: Delivery, problems: Sequence[str], now: datetime) -> Ruling:
    """For an event that the contract forbids to send: dead, with what is wrong."""
    error = f"not sent: {' '.join(problems)}"
    return Ruling(verdict=None, outcome=_outcome(delivery, DeliveryStatus.DEAD, now, error=error))


def unrouted(delivery: Delivery, now: datetime) -> Ruling:
    """For an event whose source is configured no more: it waits, and is looked at every hour."""
    error = f"not sent: no source {delivery.source} is configured"
    waiting = _outcome(delivery, DeliveryStatus.PENDING, now, next_at=now + UNROUTED, error=error)
    return Ruling(verdict=None, outcome=waiting)


def handed_back(delivery: Delivery, now: datetime) -> Ruling:
    """For an event that was claimed and not sent: as if nothing had been."""
    waiting = Outcome(
        id=delivery.id,
        status=DeliveryStatus.PENDING,
        next_at=now,  # it was due when it was claimed
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        at=now,
    )
    return Ruling(verdict=None, outcome=waiting)


def told(answer: Answer) -> str:
    """An answer in a line for the operator."""
    if answer.status is None:
        return f"no answer: {answer.reason}"
    if answer.is_page:
        return f"{answer.status}: a web page answered, not the ingest; see PULSORA_ENDPOINT"
    if 300 <= answer.status < 400:
        return f"{answer.status}: a redirect, which is not followed; see PULSORA_ENDPOINT"
    return f"{answer.status}: {answer.reason}" if answer.reason else str(answer.status)


def _meaning(trial: Trial, answer: Answer) -> Verdict:
    """The verdict, but for a second 403 after the destination has taken others: that speaks of this event alone.

    It comes of a firewall that dislikes a text, and must not stop everybody again and again.
    """
    twice = answer.status == 403 and trial.delivery.last_status == 403
    if twice and trial.refused_since is None:
        return Verdict.TRY_AGAIN
    return verdict(answer.status, is_page=answer.is_page)


def _delivered(trial: Trial, answer: Answer, now: datetime) -> Ruling:
    outcome = _outcome(trial.delivery, DeliveryStatus.DELIVERED, now, answer, burnt=1)
    return Ruling(verdict=Verdict.DELIVERED, outcome=outcome, resumes=trial.refused_since is not None)


def _given_up(meaning: Verdict, trial: Trial, answer: Answer, now: datetime) -> Ruling:
    outcome = _outcome(trial.delivery, DeliveryStatus.DEAD, now, answer, error=told(answer), burnt=1)
    return Ruling(verdict=meaning, outcome=outcome)


def _tried_again(trial: Trial, answer: Answer, now: datetime, chance: float) -> Ruling:
    scheduled = next_try(trial.delivery.attempts + 1, now, chance)
    if scheduled is None:
        return _given_up(Verdict.TRY_AGAIN, trial, answer, now)
    next_at = longer_of(scheduled, answer.retry_after, now)
    error = told(answer)
    outcome = _outcome(trial.delivery, DeliveryStatus.PENDING, now, answer, next_at=next_at, error=error, burnt=1)
    return Ruling(verdict=Verdict.TRY_AGAIN, outcome=outcome)


def _put_off(trial: Trial, answer: Answer, now: datetime) -> Ruling:
    until = now + retry_after(answer.retry_after, now)
    error = told(answer)
    outcome = _outcome(trial.delivery, DeliveryStatus.PENDING, now, answer, next_at=until, error=error)
    halt = Halt(name=trial.destination.origin, until=until, reason=error, probing=False)
    return Ruling(verdict=Verdict.BUSY, outcome=outcome, halt=halt)


def _refused(trial: Trial, answer: Answer, now: datetime) -> Ruling:
    until = now + next_probe(trial.refused_since or now, now)
    error = told(answer)
    outcome = _outcome(trial.delivery, DeliveryStatus.PENDING, now, answer, next_at=until + BEHIND, error=error)
    halt = Halt(name=trial.destination.id, until=until, reason=error, probing=True)
    return Ruling(verdict=Verdict.REFUSED, outcome=outcome, halt=halt)


def _outcome(
    delivery: Delivery,
    status: DeliveryStatus,
    now: datetime,
    answer: Answer | None = None,
    *,
    next_at: datetime | None = None,
    error: str | None = None,
    burnt: int = 0,
) -> Outcome:
    return Outcome(
        id=delivery.id,
        status=status,
        next_at=next_at,
        attempts=delivery.attempts + burnt,
        last_status=answer.status if answer else None,
        last_error=error,
        at=now,
    )
