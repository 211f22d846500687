"""The causes of alerts, and which of them hold. Pure: the same causes are sent as messages, shown, and scraped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.formatting import duration, quantity, timestamp
from bridge.monitoring.health import CAUSES as REFUSAL_REASONS
from bridge.monitoring.health import FEW_REFUSALS, MANY_UNSIGNED, UNSIGNED
from bridge.monitoring.silence import Silence
from bridge.store.pauses import Pause
from bridge.store.reconciliations import Run
from bridge.store.refusals import RefusalSum
from bridge.store.rejected_visits import RejectedVisits
from processors.values import Value, field

REFUSED_SHARE = 0.2  # of a source's webhooks in the last hour, so that one wrong endpoint of two is found
WORKER_GONE_AFTER = timedelta(minutes=2)  # longer than a restart
PAUSED_AFTER = timedelta(minutes=15)  # a pause that Pulsora asked for is normal; a rejected token alerts at once
SETTLING_LATE_AFTER = timedelta(minutes=15)
SENDING_LATE_AFTER = timedelta(hours=1)
UNRECONCILED_AFTER = timedelta(hours=24)
RECENT = timedelta(hours=24)
MIN_FREE_BYTES = 500 * 1024 * 1024


class Cause(StrEnum):
    """A reason for an alert. One message is sent for each, whatever the number of its subjects."""

    WORKER = "worker"
    DISK = "disk"
    REFUSED = "refused"
    SILENT = "silent"
    ENDPOINT = "endpoint"
    RECONCILE = "reconcile"
    FAILED = "failed"
    OVERDUE = "overdue"
    PAUSED = "paused"
    REJECTED = "rejected"
    VISITS = "visits"
    CONFLICTS = "conflicts"
    AUDIT = "audit"


class Explained(Value):
    """A cause in words: what happens, the cure, the console's page. `rule`: the alert in Prometheus."""

    title: str
    cure: str
    page: str
    rule: str
    is_critical: bool = False


EXPLAINED: Mapping[Cause, Explained] = {
    Cause.WORKER: Explained(
        title="No worker is running",
        cure="Webhooks are stored, but nothing is sent to Pulsora. Start one: pulsora-bridge serve (or worker).",
        page="",
        rule="PulsoraBridgeNoWorker",
        is_critical=True,
    ),
    Cause.DISK: Explained(
        title="The disk of the database is nearly full",
        cure="Free space or enlarge the volume. When it is full, webhooks get a 503 and processors retry them.",
        page="",
        rule="PulsoraBridgeDiskFull",
        is_critical=True,
    ),
    Cause.REFUSED: Explained(
        title="Webhooks are refused",
        cure="Processors retry for about three days. pulsora-bridge check shows what does not fit.",
        page="sources",
        rule="PulsoraBridgeRefused",
        is_critical=True,
    ),
    Cause.SILENT: Explained(
        title="A source is silent",
        cure="Check that its endpoint exists and is enabled: pulsora-bridge check. SILENCE_HOURS sets the limit.",
        page="sources",
        rule="PulsoraBridgeSilent",
        is_critical=True,
    ),
    Cause.ENDPOINT: Explained(
        title="A webhook endpoint is wrong",
        cure="Until it is right, events are fetched from the processor's list every 15 minutes.",
        page="sources",
        rule="PulsoraBridgeEndpointWrong",
        is_critical=True,
    ),
    Cause.RECONCILE: Explained(
        title="A processor's list of events cannot be read",
        cure="Webhooks that do not arrive would go unnoticed. Check the API key: pulsora-bridge check.",
        page="sources",
        rule="PulsoraBridgeNotReconciled",
    ),
    Cause.FAILED: Explained(
        title="Webhooks could not be processed",
        cure="They are retried every hour. The reasons: pulsora-bridge webhooks list --status failed.",
        page="webhooks?status=failed",
        rule="PulsoraBridgeWebhooksFailed",
    ),
    Cause.OVERDUE: Explained(
        title="Processing is overdue",
        cure="The log of the worker shows why. Nothing is lost: pulsora-bridge status shows the backlog.",
        page="",
        rule="PulsoraBridgeOverdue",
    ),
    Cause.PAUSED: Explained(
        title="Sending to Pulsora is paused",
        cure="Nothing is lost: sending continues when Pulsora accepts a delivery. Check PULSORA_SECRET_TOKEN.",
        page="deliveries?status=pending",
        rule="PulsoraBridgePaused",
        is_critical=True,
    ),
    Cause.REJECTED: Explained(
        title="Pulsora rejected revenue events",
        cure="Correct the reason, then send them again: pulsora-bridge deliveries retry --failed.",
        page="deliveries?status=failed",
        rule="PulsoraBridgeDeliveriesFailed",
    ),
    Cause.VISITS: Explained(
        title="Checkouts carry a placeholder instead of the visit",
        cure="Correct the code that starts the checkout: its revenue is not attributed. pulsora-bridge check names it.",
        page="attribution",
        rule="PulsoraBridgeVisitsRejected",
    ),
    Cause.CONFLICTS: Explained(
        title="A revenue event was not sent, because another customer's had reported the same fact",
        cure="pulsora-bridge webhooks show names both.",
        page="webhooks?status=failed",
        rule="PulsoraBridgeConflicts",
    ),
    Cause.AUDIT: Explained(
        title="The audit found a difference without an explanation",
        cure="The rows and the webhooks behind them: pulsora-bridge audit.",
        page="audit",
        rule="PulsoraBridgeAuditDiffers",
    ),
}


class Found(Value):
    """A cause that holds, for one subject: a source, a destination, or the bridge itself."""

    cause: Cause
    subject: str
    text: str


class SourceSeen(Value):
    """A source. `refused`: of the last 24 hours; `refused_now`, `accepted_now`: of the last hour; `run`: the last."""

    name: str
    silence: Silence
    refused: Sequence[RefusalSum] = ()
    refused_now: int = 0
    accepted_now: int = 0
    run: Run | None = None
    failing_since: datetime | None = None


class Observed(Value):
    """The state of the bridge at `now`.

    `worker_gone_since`: since when no worker is alive; None: one is. `worker_seen_at`: its last heartbeat; None: a
    worker that stopped as it should deletes it.
    `is_limited`: the hourly limit is used up, so that waiting for it is normal. `free_bytes` None: not known.
    """

    now: datetime
    sources: Sequence[SourceSeen] = ()
    worker_gone_since: datetime | None = None
    worker_seen_at: datetime | None = None
    free_bytes: int | None = None
    pauses: Sequence[Pause] = ()
    unrouted_since: datetime | None = None
    due_since: datetime | None = None
    ready_since: datetime | None = None
    is_limited: bool = False
    failed_webhooks: int = 0
    failed_deliveries: int = 0
    rejected_visits: Sequence[RejectedVisits] = ()
    conflicts: int = 0
    audit_differences: Mapping[str, str] = field(default_factory=dict)


def current(seen: Observed) -> list[Found]:
    """The causes that hold, in the order of `Cause`."""
    found = [*_of_machine(seen), *_of_sources(seen), *_of_queues(seen), *_of_facts(seen)]
    order = list(Cause)
    return sorted(found, key=lambda one: (order.index(one.cause), one.subject))


def counts(found: Sequence[Found]) -> dict[str, int]:
    """How many subjects each cause has; 0 for those that do not hold."""
    return {cause.value: sum(one.cause is cause for one in found) for cause in Cause}


def _of_machine(seen: Observed) -> Iterator[Found]:
    since = seen.worker_gone_since
    if since is not None and seen.now - since > WORKER_GONE_AFTER:
        last = None if seen.worker_seen_at is None else duration(seen.now - seen.worker_seen_at)
        text = f"The last one was seen {last} ago." if last else "It was stopped, or has never been started."
        yield Found(cause=Cause.WORKER, subject="bridge", text=text)
    if seen.free_bytes is not None and seen.free_bytes < MIN_FREE_BYTES:
        text = f"{seen.free_bytes // 2**20} MiB are free for the database."
        yield Found(cause=Cause.DISK, subject="bridge", text=text)


def _of_sources(seen: Observed) -> Iterator[Found]:
    for source in seen.sources:
        if reason := _refusals(source):
            yield Found(cause=Cause.REFUSED, subject=source.name, text=reason)
        if source.silence.silent_since is not None:
            yield Found(cause=Cause.SILENT, subject=source.name, text=_silence(source, seen.now))
        for fault in (source.run.faults or ()) if source.run else ():
            yield Found(cause=Cause.ENDPOINT, subject=source.name, text=f"{source.name}: {fault}.")
        if source.failing_since is not None and seen.now - source.failing_since > UNRECONCILED_AFTER:
            since, error = duration(seen.now - source.failing_since), source.run.error if source.run else None
            text = f"{source.name}: not compared for {since}: {error}"
            yield Found(cause=Cause.RECONCILE, subject=source.name, text=text)


def _refusals(source: SourceSeen) -> str | None:
    """Webhooks that are refused, by a rule that neither a few forged requests nor one good webhook of many change."""
    total = sum(one.count for one in source.refused)
    signed = sum(one.count for one in source.refused if one.cause not in UNSIGNED)
    if signed < FEW_REFUSALS and total - signed < MANY_UNSIGNED:
        return None
    worst, accepted_at = max(source.refused, key=lambda one: one.last_at), source.silence.last_at
    is_last = accepted_at is None or worst.last_at > accepted_at
    of_now = source.refused_now + source.accepted_now
    is_share = source.refused_now >= FEW_REFUSALS and source.refused_now >= REFUSED_SHARE * of_now
    if not is_last and not is_share:
        return None
    reason = REFUSAL_REASONS.get(worst.cause, "see the log")
    return f"{source.name}: {quantity(total, 'webhook')} in the last 24 hours: {worst.cause}, {reason}."


def _silence(source: SourceSeen, now: datetime) -> str:
    silence = source.silence
    assert silence.last_at is not None
    assert silence.allowed is not None
    last = f"no webhook for {duration(now - silence.last_at)}, since {timestamp(silence.last_at)} UTC"
    return f"{source.name}: {last}. Its limit is {duration(silence.allowed)}."


def _of_queues(seen: Observed) -> Iterator[Found]:
    for pause in seen.pauses:
        if pause.probing or seen.now - pause.since > PAUSED_AFTER:
            text = f"{pause.address}, since {timestamp(pause.since)} UTC: {pause.reason}"
            yield Found(cause=Cause.PAUSED, subject=pause.destination, text=text)
    if seen.worker_gone_since is not None:
        return  # everything waits then, for a reason that has an alert
    for subject, since, after in (
        ("webhooks", seen.unrouted_since, SETTLING_LATE_AFTER),
        ("customers", seen.due_since, SETTLING_LATE_AFTER),
        ("revenue events", None if seen.pauses or seen.is_limited else seen.ready_since, SENDING_LATE_AFTER),
    ):
        if since is not None and seen.now - since > after:
            text = f"{subject.capitalize()} have been waiting to be processed for {duration(seen.now - since)}."
            yield Found(cause=Cause.OVERDUE, subject=subject, text=text)


def _of_facts(seen: Observed) -> Iterator[Found]:
    for cause, count, noun, text in (
        (Cause.FAILED, seen.failed_webhooks, "webhook", "failed."),
        (Cause.REJECTED, seen.failed_deliveries, "revenue event", "rejected or given up."),
        (Cause.CONFLICTS, seen.conflicts, "webhook", "with such an event."),
    ):
        if count:
            yield Found(cause=cause, subject=f"{noun}s", text=f"{quantity(count, noun)} {text}")
    for one in seen.rejected_visits:
        if seen.now - one.last_at <= RECENT:
            text = f"{one.source}: {one.cause}, last in {one.event_id}."
            yield Found(cause=Cause.VISITS, subject=f"{one.source}: {one.cause}", text=text)
    for source, text in seen.audit_differences.items():
        yield Found(cause=Cause.AUDIT, subject=source, text=f"{source}: {text}")
