"""Settles due streams: facts, ledger state and revenue events of each are committed in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge.errors import Deadlock
from bridge.internal_events import imports
from bridge.ledger import RevenueEvent, Settlement, settle
from bridge.ledger.state import Subscription, dump
from bridge.scope import Scope
from bridge.sender import payload
from bridge.sender.forwarding import first_status
from bridge.settings import Settings
from bridge.store import Store, inbox, outbox, ownership, rejected_visits, streams, subscriptions
from bridge.store.outbox import NewDelivery
from bridge.store.rejected_visits import RejectedVisits
from bridge.store.streams import Claim, LeaseLost, SettledStream
from bridge.store.subscriptions import SubscriptionRow
from bridge.worker.batch import StreamBatch, open_batches, source_of
from bridge.worker.settled_log import log_settled, trace_settled
from bridge.worker.translation import NO_SOURCE, Translations
from processors.money import Money, major
from processors.visit import REJECTED

log = structlog.get_logger()

BATCH = 200  # half as many cost an eighth more processor time for each stream; twice as many save nothing
# Longer than a batch takes, processor API included. A worker that is slower finds its lease taken over, and writes
# nothing (LeaseLost).
LEASE = timedelta(minutes=4)
RETRY_AFTER = timedelta(hours=1)
REPETITIONS = 3  # a repetition can begin before the other transaction continues, and wait for it once more

Enrich = Callable[[Sequence[StreamBatch]], None]
Postponed = tuple[Claim, datetime, str]  # until when, and why


def settle_due(
    store: Store,
    settings: Settings,
    owner: str,
    now: datetime,
    enrich: Enrich | None = None,
    translations: Translations | None = None,
) -> int:
    """Settles one batch of due streams; returns how many there were."""
    claims, routed_until = _claim(store, owner, now)
    if not claims:
        return 0
    with store.reading() as tx:
        batches = open_batches(tx, claims, settings, now, translations or Translations(settings))
    ready, postponed = _split(batches, routed_until)
    postponed += [(claim, now + RETRY_AFTER, NO_SOURCE) for claim in claims if source_of(claim.scope, settings) is None]
    # The API and the ledger are asked between the transactions: no lock is held meanwhile, only the lease.
    if enrich is not None:
        enrich(ready)
    for batch in ready:
        _settle(batch)
    results = _results(ready, now)
    try:
        _repeat(lambda: _write(store, ready, results, postponed, now))
    except LeaseLost:  # another worker took over one of them: nothing was written, and the others are released at once
        with store.transaction() as tx:
            for claim in claims:
                streams.release(tx, claim)
    else:
        log_settled(ready)
        trace_settled(ready, now)
    return len(claims)


def _repeat(write: Callable[[], None]) -> None:
    for _ in range(REPETITIONS):
        try:
            write()
            return
        except Deadlock as error:  # nothing was written, and the other transaction is free to commit
            log.info("settling_repeated", reason=str(error))
    write()


def _claim(store: Store, owner: str, now: datetime) -> tuple[list[Claim], datetime]:
    """Claims the due streams. With the instant until which all received webhooks are routed."""
    with store.reading() as tx:
        if not streams.is_any_due(tx, now):  # as a rule: one statement
            return [], now
        # After an outage all streams are overdue while their webhooks are still being routed. Only those are settled
        # whose window closed before the first unrouted webhook was received: all their webhooks have been routed.
        due_by = inbox.routed_until(tx, now)
        if not streams.is_any_due(tx, now, due_by):
            return [], due_by
    with store.transaction() as tx:
        return streams.claim_due(tx, now, BATCH, owner, now + LEASE, due_by), due_by


def _split(batches: Sequence[StreamBatch], routed_until: datetime) -> tuple[list[StreamBatch], list[Postponed]]:
    """The batches with the rows that are settled now, and those of which nothing is settled yet."""
    ready: list[StreamBatch] = []
    postponed: list[Postponed] = []
    for batch in batches:
        found = batch.readiness(routed_until)
        if found.next_at is not None and not found.ready:
            log.info("stream_waits", stream=batch.claim.stream_id, until=found.next_at.isoformat(), reason=found.reason)
            postponed.append((batch.claim, found.next_at, found.reason or ""))
            continue
        if found.next_at is not None:
            batch.leave_waiting(found.ready)
            batch.next_at, batch.waits_for = found.next_at, found.reason
        ready.append(batch)
    return ready, postponed


def _settle(batch: StreamBatch) -> None:
    """Settles the stream. If a webhook breaks the settlement, the others are settled without it."""
    if batch.unreadable is not None:
        return
    try:
        batch.settlement = batch.settled_on_trial() or settle(
            batch.state, batch.all_facts, batch.source.policy, batch.catalog
        )
    except Exception as error:  # the ledger does no I/O, so the cause is one of these facts
        log.error("not_settled", stream=batch.claim.stream_id, reason=f"{type(error).__name__}: {error}")
        _settle_one_by_one(batch)


def _settle_one_by_one(batch: StreamBatch) -> None:
    for row_id, facts in list(batch.facts.items()):
        try:
            settle(batch.state, facts, batch.source.policy, batch.catalog)
        except Exception as error:
            batch.failed[row_id] = f"settling failed: {type(error).__name__}: {error}"
            del batch.facts[row_id]
    try:
        batch.settlement = settle(batch.state, batch.all_facts, batch.source.policy, batch.catalog)
    except Exception as error:
        batch.failed |= {row_id: f"settling failed: {type(error).__name__}: {error}" for row_id in batch.facts}
        batch.facts.clear()


@dataclass(slots=True)
class Results:
    """Rows that several settlements write, encoded before the transaction so that the write lock is held shortly."""

    rows: list[tuple[int, int, Sequence[str]]] = field(default_factory=list)
    deliveries: list[NewDelivery] = field(default_factory=list)
    states: list[SettledStream] = field(default_factory=list)
    changed: list[SubscriptionRow] = field(default_factory=list)


def _results(batches: Sequence[StreamBatch], now: datetime) -> Results:
    results = Results()
    for batch in batches:
        if batch.unreadable is None and (settlement := batch.settlement) is not None:
            results.states.append(_settled_stream(batch, settlement))
            results.deliveries += [_delivery(event, batch, now) for event in settlement.events]
            results.changed += _changed_subscriptions(batch, settlement)
            results.rows += _settled_rows(batch, settlement)
    return results


def _write(
    store: Store, ready: Sequence[StreamBatch], results: Results, postponed: Sequence[Postponed], now: datetime
) -> None:
    with store.transaction() as tx:
        _write_settled(tx, ready, results, now)
        for claim, until, reason in postponed:
            streams.postpone(tx, claim, until, reason)


def _write_settled(tx: Connection, batches: Sequence[StreamBatch], results: Results, now: datetime) -> None:
    # State, revenue events and the status of the rows are written together or not at all. Separated, a crash would
    # report a payment twice (events without state) or never (state without events).
    for batch in batches:
        for row_id, error in batch.failed.items():
            inbox.fail(tx, row_id, error, now + RETRY_AFTER)
        settlement = batch.settlement
        if batch.unreadable is not None:  # the state is left as it is: writing an empty one would lose the ledger
            streams.postpone(tx, batch.claim, now + RETRY_AFTER, batch.unreadable)
        elif settlement is None:
            streams.release(tx, batch.claim)
        else:
            outbox.release(tx, batch.scope, {event.output_key: payload.dump(event) for event in settlement.released})
    streams.save(tx, results.states, now)
    is_complete = outbox.add(tx, results.deliveries) == len(results.deliveries)
    subscriptions.save(tx, results.changed)
    rejected_visits.add(tx, _rejected_visits(batches, now))
    inbox.mark_settled(tx, results.rows, now)
    if not is_complete:  # normally a repetition, after a replay or a late duplicate
        for delivery, owner in ownership.owned_elsewhere(tx, results.deliveries):
            _report_conflict(tx, delivery, owner, batches)


def _report_conflict(tx: Connection, delivery: NewDelivery, owner: str, batches: Sequence[StreamBatch]) -> None:
    """Marks the webhooks of a revenue event that is not sent, because another stream has its output key."""
    money = f"{delivery.event_type} of {delivery.amount} {delivery.currency}"
    log.error("output_key_taken", key=delivery.output_key, stream=delivery.stream_id, owner=owner, money=money)
    (batch,) = (batch for batch in batches if batch.claim.stream_id == delivery.stream_id)
    reason = f"{inbox.CONFLICT}: {money} was not sent, {owner} has already reported {delivery.output_key}"
    settled = [row for row in batch.rows if row.id in batch.facts and row.id not in batch.future]
    for row in [row for row in settled if row.event_id in delivery.event_ids] or settled:
        inbox.fail(tx, row.id, reason, None)


def _settled_stream(batch: StreamBatch, settlement: Settlement) -> SettledStream:
    """The new state, and when the rows that still wait are due."""
    times = [*batch.future.values(), *([batch.next_at] if batch.next_at is not None else [])]
    due_at = min(times, default=None)
    return SettledStream(
        claim=batch.claim, state=dump(settlement.state), due_at=due_at, reason=batch.waits_for if due_at else None
    )


def _settled_rows(batch: StreamBatch, settlement: Settlement) -> list[tuple[int, int, Sequence[str]]]:
    """Each settled row, the number of revenue events that it is the first cause of, and the ledger's notes on it."""
    event_counts = Counter(event.caused_by[0] for event in settlement.events if event.caused_by)
    return [
        (row.id, event_counts[row.event_id], settlement.notes.get(row.event_id, ()))
        for row in batch.rows
        if row.id in batch.facts and row.id not in batch.future
    ]


def _rejected_visits(batches: Sequence[StreamBatch], now: datetime) -> list[RejectedVisits]:
    """The ledger's notes on rejected visits, counted by source and cause, with the latest webhook of each."""
    noted = [
        (batch.source.name, note.removeprefix(REJECTED), event_id)
        for batch in batches
        if batch.settlement is not None
        for event_id, notes in batch.settlement.notes.items()
        for note in notes
        if note.startswith(REJECTED)
    ]
    latest = {(source, cause): event_id for source, cause, event_id in noted}
    counts = Counter((source, cause) for source, cause, _ in noted)
    return [
        RejectedVisits(source=source, cause=cause, count=count, last_at=now, event_id=latest[source, cause])
        for (source, cause), count in counts.items()
    ]


def _changed_subscriptions(batch: StreamBatch, settlement: Settlement) -> list[SubscriptionRow]:
    """The subscriptions of the new state that differ from the old one in currency, plan, MRR or baseline."""
    scope = Scope.parse(batch.scope)
    before, after = batch.state.subscriptions, settlement.state.subscriptions
    return [
        SubscriptionRow(
            stream_id=batch.claim.stream_id,
            subscription_id=one.id,
            source=scope.source,
            livemode=scope.livemode,
            currency=one.currency.code,
            plan=one.plan_details.plan or "",
            mrr=major(Money(minor=one.reported_mrr, currency=one.currency)),
            baseline=major(Money(minor=one.baseline, currency=one.currency)),
            changed_at=one.moment,
        )
        for one in after.values()
        if one.id not in before or _listed(before[one.id]) != _listed(one)
    ]


def _listed(one: Subscription) -> tuple[object, ...]:
    return one.currency, one.plan_details.plan, one.reported_mrr, one.baseline


def _delivery(event: RevenueEvent, batch: StreamBatch, now: datetime) -> NewDelivery:
    livemode = Scope.parse(batch.scope).livemode
    status, hold_until = first_status(
        batch.source, livemode=livemode, is_attributed=event.is_attributed, created_at=now
    )
    return NewDelivery(
        stream_id=batch.claim.stream_id,
        scope=batch.scope,
        source=batch.source.name,
        livemode=livemode,
        output_key=event.output_key,
        status=status,
        body=payload.dump(event),
        next_at=now,
        hold_until=hold_until,
        priority=_priority(event, batch),
        created_at=now,
        event_ids=event.caused_by,
        received_at=min((row.received_at for row in batch.rows if row.event_id in event.caused_by), default=None),
        event_type=event.event_type.value,
        currency=event.currency,
        amount=event.amount,
        mrr_impact=event.mrr_impact,
    )


def _priority(event: RevenueEvent, batch: StreamBatch) -> int:
    """Live events before imported ones: thousands of them may use up the rate limit for hours."""
    imported = {row.event_id for row in batch.rows if row.type == imports.TYPE}
    return outbox.IMPORTED if event.caused_by and imported.issuperset(event.caused_by) else outbox.LIVE
