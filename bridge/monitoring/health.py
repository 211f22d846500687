"""The health of receiving, settling and sending: a grade each, the latest time, and the cure. And what needs attention.

Reads only indexes over rows that wait or failed, so that it costs the same with any history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from bridge.formatting import duration, quantity, sentence, timestamp
from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.sender import amount_rules
from bridge.store import arrivals, inbox, interventions, pauses, queues, refusals
from bridge.store.pauses import Pause
from bridge.store.queues import Queues
from bridge.store.refusals import RefusalSum
from processors.values import Value, field

REFUSED_WITHIN = timedelta(hours=1)
FEW_REFUSALS = 3  # fewer may be anybody's requests
MANY_UNSIGNED = 20  # in an hour: more than a port scanner sends, and a proxy that removes the header refuses all
OVERDUE_AFTER = timedelta(minutes=5)
START_A_WORKER = "Start one: pulsora-bridge serve (or worker)."

# The codes of refused webhooks, and the usual reason.
CAUSES: Mapping[str, str] = {
    "signature_mismatch": "the webhook secret belongs to another endpoint, or a proxy changes the body",
    "signature_missing": "the signature header is missing: a proxy removes it, or it was not the processor",
    "signature_malformed": "the signature header is malformed: a proxy changes it, or it was not the processor",
    "signature_stale": "the clock of this machine is wrong, or a proxy delays webhooks",
    "unreadable": "the signature is valid, but the body is no event of this processor",
    "too_large": "the body is larger than MAX_BODY_BYTES",
    "unknown_source": "the address names a source that is not configured",
}


# Anybody's requests look like this, as of a port scanner; the processor's only behind a proxy that changes them.
UNSIGNED = frozenset({"signature_missing", "signature_malformed", "too_large"})


class Grade(StrEnum):
    """How urgent something is: green, amber or red."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Notice(Value):
    """Something to look at: a sentence, and the page (with its query) where it is seen and cured.

    `brief`: the sentence in few words, where there is little room; by default the whole.
    """

    grade: Grade
    text: str
    brief: str = ""
    page: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)


class Stage(Value):
    """Receiving, settling or sending. `last_at`: when it last happened; None: never."""

    name: str
    last: str
    last_at: datetime | None
    notices: Sequence[Notice]

    @property
    def grade(self) -> Grade:
        """The worst grade of its notices."""
        order = list(Grade)
        return max((one.grade for one in self.notices), key=order.index, default=Grade.OK)


class Health(Value):
    """The three stages, and the numbers of rows that wait or failed."""

    stages: Sequence[Stage]
    queues: Queues

    @property
    def refusals(self) -> list[Notice]:
        """The webhooks that were refused in the last hour, by source and cause."""
        return [one for one in self.stages[0].notices if one.brief]

    @property
    def attention(self) -> list[Notice]:
        """The notices that need an operator, the most urgent first. One that two stages have is there once."""
        order = list(Grade)
        found = {one.text: one for stage in self.stages for one in stage.notices if one.grade is not Grade.OK}
        return sorted(found.values(), key=lambda one: -order.index(one.grade))


def read_health(tx: Connection, now: datetime) -> Health:
    """Reads the health. Grades need no settings: each is a fact of the store."""
    waiting = queues.read(tx, now)
    heartbeat_at = latest_heartbeat(tx)
    refused = [one for one in refusals.since(tx, now - REFUSED_WITHIN) if one.last_at > now - REFUSED_WITHIN]
    stages = (
        Stage(
            name="Receiving",
            last="last webhook",
            last_at=waiting.last_received_at,
            notices=list(_receiving(tx, refused, waiting)),
        ),
        Stage(
            name="Settling",
            last="last settled",
            last_at=waiting.last_settled_at,
            notices=[*_worker(heartbeat_at, waiting, now), *_settling(tx, waiting, now)],
        ),
        Stage(
            name="Sending",
            last="last delivered",
            last_at=waiting.last_delivered_at,
            notices=[
                *(_worker(heartbeat_at, waiting, now) if waiting.pending else ()),
                *_sending(tx, waiting, pauses.active(tx, now), now),
            ],
        ),
    )
    return Health(stages=stages, queues=waiting)


def _receiving(tx: Connection, refused: Sequence[RefusalSum], waiting: Queues) -> Iterator[Notice]:
    if waiting.last_received_at is None and not refused:
        yield Notice(grade=Grade.WARNING, text="Waiting for the first webhook. Set up the endpoint.", page="sources")
    for one in refused:
        whose = "an unknown source" if one.cause == "unknown_source" else one.source
        count = f"{quantity(one.count, 'webhook')} of {whose} refused"
        yield Notice(
            grade=refusal_grade(one, arrivals.last_at(tx, one.source)),
            text=f"{count} in the last hour: {one.cause}, {CAUSES.get(one.cause, 'see the log')}.",
            brief=f"{count}: {one.cause}",
            page="sources",
        )


def refusal_grade(refused: RefusalSum, last_accepted_at: datetime | None) -> Grade:
    """A problem if several were refused since the last accepted webhook, or one before the first.

    A few requests without a readable signature may come from anybody, and the next webhook shows that all is well.
    """
    if refused.cause == "unknown_source":
        return Grade.WARNING
    is_signed = refused.cause not in UNSIGNED
    if last_accepted_at is None:
        return Grade.PROBLEM if is_signed or refused.count >= FEW_REFUSALS else Grade.WARNING
    is_current = refused.last_at > last_accepted_at
    return Grade.PROBLEM if is_current and is_failing(refused.cause, refused.count) else Grade.WARNING


def pause_advice(pause: Pause) -> str:
    """The cure of a pause, for the pages, `status` and `check`; without a full stop."""
    if pause.probing:  # Pulsora rejects the token or the address
        return "Nothing is lost: correct PULSORA_SECRET_TOKEN or PULSORA_ENDPOINT, and restart"
    return "Nothing needs to be done: Pulsora asked for this pause, and sending continues after it"


def is_failing(cause: str, count: int) -> bool:
    """Whether this many refusals are more than anybody's requests. The rule of the pages and `check`."""
    return count >= (MANY_UNSIGNED if cause in UNSIGNED else FEW_REFUSALS)


def _worker(heartbeat_at: datetime | None, waiting: Queues, now: datetime) -> Iterator[Notice]:
    """The missing worker: a notice of settling, and of sending if something waits for it."""
    if is_worker_alive(heartbeat_at, now):
        return
    since = "is running" if heartbeat_at is None else f"has been running for {duration(now - heartbeat_at)}"
    count = waiting.pending
    waits = f", and {quantity(count, 'revenue event')} {'waits' if count == 1 else 'wait'} for it" if count else ""
    yield Notice(grade=Grade.PROBLEM, text=f"No worker {since}{waits}. {START_A_WORKER}")


def _settling(tx: Connection, waiting: Queues, now: datetime) -> Iterator[Notice]:
    if waiting.failed_webhooks:
        yield Notice(
            grade=Grade.PROBLEM,
            text=f"{quantity(waiting.failed_webhooks, 'webhook')} failed. Each names its error and can be replayed.",
            page="webhooks",
            query={"status": "failed"},
        )
    if waiting.failed_webhooks and (count := inbox.conflict_count(tx)):
        yield Notice(
            grade=Grade.PROBLEM,
            text=f"{quantity(count, 'webhook')} with a conflict: the revenue event was not sent, because another "
            "customer had reported the same payment or movement. The reason names both.",
            page="webhooks",
            query={"status": "failed", "q": inbox.CONFLICT},
        )
    if waiting.due_since is not None and now - waiting.due_since > OVERDUE_AFTER:
        yield Notice(
            grade=Grade.WARNING,
            text=f"Customers have been due for settling for {duration(now - waiting.due_since)}.",
            page="webhooks",
            query={"status": "waiting"},
        )


def _amount_rules(tx: Connection) -> Iterator[Notice]:
    """The settings that cure deliveries which were rejected because of their amount."""
    for setting in amount_rules.SETTINGS:
        if count := interventions.failed_with(tx, setting):
            yield Notice(
                grade=Grade.PROBLEM,
                text=f"{quantity(count, 'revenue event')} rejected because of the amount. To cure it, "
                f"{amount_rules.advice(setting)}",
                page="deliveries",
                query={"status": "failed", "q": setting},
            )


def _sending(tx: Connection, waiting: Queues, paused: Sequence[Pause], now: datetime) -> Iterator[Notice]:
    for pause in paused:
        yield Notice(
            grade=Grade.PROBLEM,
            text=f"Paused until {timestamp(pause.until)} UTC: {sentence(pause.reason)} {pause_advice(pause)}.",
            page="deliveries",
            query={"status": "pending"},
        )
    if waiting.failed_deliveries:
        yield Notice(
            grade=Grade.PROBLEM,
            text=f"{quantity(waiting.failed_deliveries, 'revenue event')} rejected by Pulsora. Review and resend.",
            page="deliveries",
            query={"status": "failed"},
        )
        yield from _amount_rules(tx)
    if not paused and waiting.ready_since is not None and now - waiting.ready_since > OVERDUE_AFTER:
        yield Notice(
            grade=Grade.WARNING,
            text=f"Revenue events have been ready to send for {duration(now - waiting.ready_since)}.",
            page="deliveries",
            query={"status": "pending"},
        )
    if waiting.held:
        until = f", the first until {timestamp(waiting.first_hold_until)} UTC" if waiting.first_hold_until else ""
        yield Notice(
            grade=Grade.OK,
            text=f"{quantity(waiting.held, 'revenue event')} held for their attribution{until}.",
            brief=f"{quantity(waiting.held, 'revenue event')} held for their attribution",  # the page has the time
            page="deliveries",
            query={"status": "held"},
        )
