"""The outcome of an attempt, for the delivery and for its destination. Clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bridge.sender.amount_rules import advice, remedy
from bridge.sender.destinations import Destination
from bridge.sender.http_client import Response
from bridge.sender.retry_policy import Verdict, at_earliest, next_attempt, pause_length, probe_delay, verdict
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome
from processors.values import Value

# A refused event is due this much after the end of the pause, so that the next probe is another event: this event may
# be the only one rejected.
AFTER_PROBE = timedelta(seconds=30)
NO_DESTINATION_RETRY = timedelta(hours=1)


class Attempt(Value):
    """A claimed delivery and where it is sent.

    `refused_since`: this attempt is the probe of a destination that has been refusing since then.
    """

    delivery: Delivery
    destination: Destination
    refused_since: datetime | None = None

    @property
    def origin(self) -> str:
        """The destination's origin, whose rate limit the attempt counts against."""
        return self.destination.origin


class PauseRequest(Value):
    """Send nothing to `target`, a destination's id or an origin, until then. `probing`: then send one event first."""

    target: str
    until: datetime
    reason: str
    probing: bool


class Decision(Value):
    """The consequences of an attempt. `verdict` None: it was not sent. `resumes`: the destination's pause ends."""

    verdict: Verdict | None
    outcome: Outcome
    pause: PauseRequest | None = None
    resumes: bool = False


def decide(attempt: Attempt, response: Response, now: datetime, chance: float) -> Decision:
    """The decision on the response to an attempt. `chance` is in [0, 1)."""
    match _verdict(attempt, response):
        case Verdict.DELIVERED:
            return _delivered(attempt, response, now)
        case Verdict.GIVE_UP:
            return _failed(Verdict.GIVE_UP, attempt, response, now)
        case Verdict.BUSY:
            return _busy(attempt, response, now)
        case Verdict.REFUSED:
            return _refused(attempt, response, now)
        case _:
            return _retried(attempt, response, now, chance)


def invalid(delivery: Delivery, problems: Sequence[str], now: datetime) -> Decision:
    """An event that breaks Pulsora's schema: failed without being sent."""
    error = f"not sent: {' '.join(problems)}"
    return Decision(verdict=None, outcome=_outcome(delivery, DeliveryStatus.FAILED, now, error=error))


def no_destination(delivery: Delivery, now: datetime) -> Decision:
    """An event whose source is not configured any more: looked at again every hour."""
    error = f"not sent: no source {delivery.source} is configured"
    next_at = now + NO_DESTINATION_RETRY
    return Decision(verdict=None, outcome=_outcome(delivery, DeliveryStatus.PENDING, now, next_at=next_at, error=error))


def unclaim(delivery: Delivery, now: datetime) -> Decision:
    """An event that was claimed and not sent: as if it had not been claimed."""
    outcome = Outcome(
        id=delivery.id,
        status=DeliveryStatus.PENDING,
        next_at=now,  # it was due when it was claimed
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        at=now,
    )
    return Decision(verdict=None, outcome=outcome)


def describe(response: Response) -> str:
    """A response in one line, for the operator."""
    if response.status is None:
        return f"no response: {response.reason}"
    if response.is_page:
        return f"{response.status}: the response is a web page, not the ingest's; see PULSORA_ENDPOINT"
    if 300 <= response.status < 400:
        return f"{response.status}: a redirect, which is not followed; see PULSORA_ENDPOINT"
    return f"{response.status}: {response.reason}" if response.reason else str(response.status)


def _verdict(attempt: Attempt, response: Response) -> Verdict:
    # A second 403 after the destination has accepted other events is about this event alone (a firewall that rejects
    # a text), and must not pause the destination again and again.
    is_repeated = response.status == 403 and attempt.delivery.last_status == 403
    if is_repeated and attempt.refused_since is None:
        return Verdict.RETRY
    return verdict(response.status, is_page=response.is_page)


def _delivered(attempt: Attempt, response: Response, now: datetime) -> Decision:
    outcome = _outcome(attempt.delivery, DeliveryStatus.DELIVERED, now, response, attempts_used=1)
    return Decision(verdict=Verdict.DELIVERED, outcome=outcome, resumes=attempt.refused_since is not None)


def _failed(meaning: Verdict, attempt: Attempt, response: Response, now: datetime) -> Decision:
    error = describe(response)
    if setting := remedy(attempt.delivery, response.status, response.reason):
        error = f"{error} To cure it, {advice(setting)}"
    outcome = _outcome(attempt.delivery, DeliveryStatus.FAILED, now, response, error=error, attempts_used=1)
    return Decision(verdict=meaning, outcome=outcome)


def _retried(attempt: Attempt, response: Response, now: datetime, chance: float) -> Decision:
    scheduled = next_attempt(attempt.delivery.attempts + 1, now, chance)
    if scheduled is None:
        return _failed(Verdict.RETRY, attempt, response, now)
    next_at = at_earliest(scheduled, response.retry_after, now)
    outcome = _pending(attempt, response, now, next_at, attempts_used=1)
    return Decision(verdict=Verdict.RETRY, outcome=outcome)


def _busy(attempt: Attempt, response: Response, now: datetime) -> Decision:
    until = now + pause_length(response.retry_after, now)
    pause = PauseRequest(target=attempt.origin, until=until, reason=describe(response), probing=False)
    return Decision(verdict=Verdict.BUSY, outcome=_pending(attempt, response, now, until), pause=pause)


def _refused(attempt: Attempt, response: Response, now: datetime) -> Decision:
    until = now + probe_delay(attempt.refused_since or now, now)
    pause = PauseRequest(target=attempt.destination.id, until=until, reason=describe(response), probing=True)
    return Decision(verdict=Verdict.REFUSED, outcome=_pending(attempt, response, now, until + AFTER_PROBE), pause=pause)


def _pending(
    attempt: Attempt, response: Response, now: datetime, next_at: datetime, *, attempts_used: int = 0
) -> Outcome:
    return _outcome(
        attempt.delivery, DeliveryStatus.PENDING, now, response,
        next_at=next_at, error=describe(response), attempts_used=attempts_used,
    )  # fmt: skip


def _outcome(
    delivery: Delivery,
    status: DeliveryStatus,
    now: datetime,
    response: Response | None = None,
    *,
    next_at: datetime | None = None,
    error: str | None = None,
    attempts_used: int = 0,
) -> Outcome:
    return Outcome(
        id=delivery.id,
        status=status,
        next_at=next_at,
        attempts=delivery.attempts + attempts_used,
        last_status=response.status if response else None,
        last_error=error,
        at=now,
    )
