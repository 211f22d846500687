"""From the streams to the outbox: what has been quiet for long enough is settled, and committed in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge.ledger import RevenueEvent, Settlement, settle
from bridge.ledger.catalog import Catalog, CatalogKey, coupon_keys, load_entry, required_keys
from bridge.ledger.policy import Unattributed
from bridge.ledger.settle_window import AWAITING_FIRST_PAYMENT, payment_awaited_until
from bridge.ledger.state import dump, load
from bridge.scope import Scope
from bridge.sender import payload
from bridge.settings import Settings, Source
from bridge.store import Store, catalog, inbox, outbox, streams
from bridge.store.outbox import DeliveryStatus, NewDelivery
from bridge.store.streams import LeaseLost, SettledStream
from bridge.internal_events import imports
from bridge.worker.translation import NO_SOURCE, Untranslatable, translation
from bridge.worker.batch import Work
from processors.facts import CatalogEntry

log = structlog.get_logger()

BATCH = 100
LEASE = timedelta(minutes=2)
TRY_AGAIN = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=5)  # a fact dated further ahead than this is meant for later

Hydrate = Callable[[Sequence[Work]], None]


def settle_due(store: Store, settings: Settings, owner: str, now: datetime, hydrate: Hydrate | None = None) -> int:
    """Settles one batch of streams that are due; how many there were.

    After an outage all are overdue. Then only those are settled whose window had closed before the first webhook that
    is still to be routed came: what belongs to them is in their stream by now.
    """
    with store.reading() as tx:
        due_by = inbox.routed_until(tx, now)
        if not streams.is_any_due(tx, now, due_by):
            return 0
    with store.transaction() as tx:
        claims = streams.claim_due(tx, now, BATCH, owner, now + LEASE, due_by)
    if not claims:
        return 0
    with store.reading() as tx:
        works = _opened(tx, claims, settings, now)
        _recall(tx, works)
    awaited = [(work, until) for work in works if (until := payment_awaited_until(work.state, work.all_facts, now)) is not None]
    works = [work for work in works if all(work is not one for one, _ in awaited)]
    if hydrate is not None:
        hydrate(works)
    for work in works:
        _settle(work)
    orphans = [claim for claim in claims if source_of(claim.scope, settings) is None]
    postponed = [(work.claim, until, AWAITING_FIRST_PAYMENT) for work, until in awaited]
    postponed += [(claim, now + TRY_AGAIN, NO_SOURCE) for claim in orphans]
    try:
        with store.transaction() as tx:
            _write(tx, works, now)
            for claim, until, reason in postponed:
                streams.postpone(tx, claim, until, reason)
    except LeaseLost:  # another worker took one of them over: nothing was written, and the others go back at once
        with store.transaction() as tx:
            for claim in claims:
                streams.release(tx, claim)
    return len(claims)


def _opened(tx: Connection, claims: Sequence[streams.Claim], settings: Settings, now: datetime) -> list[Work]:
    """The claimed streams with their rows translated. Facts dated ahead stay where they are until their time."""
    rows = inbox.of_streams(tx, [claim.stream_id for claim in claims])
    by_stream: dict[str, list[inbox.InboxRow]] = {}
    for row in rows:
        by_stream.setdefault(row.stream_id or "", []).append(row)
    works = []
    for claim in claims:
        source = source_of(claim.scope, settings)
        if source is not None:
            work = Work(claim=claim, source=source, rows=by_stream.get(claim.stream_id, []))
            _translate(work, settings, now)
            works.append(work)
    return works


def _translate(work: Work, settings: Settings, now: datetime) -> None:
    try:
        work.state = load(work.claim.state)
    except ValueError as error:
        work.failed = {row.id: f"the ledger state cannot be read: {error}" for row in work.rows}
        return
    for row in work.rows:
        try:
            facts = translation(row, settings).facts
        except Untranslatable as error:
            work.failed[row.id] = str(error)
            continue
        ahead = [fact.at for fact in facts if fact.at > now + CLOCKS_DIFFER]
        if ahead:
            work.later[row.id] = min(ahead)
        work.facts[row.id] = tuple(fact for fact in facts if fact.at <= now + CLOCKS_DIFFER)


def _recall(tx: Connection, works: Sequence[Work]) -> None:
    """Gives each stream the part of the catalogue that its facts rest on, one look-up a ledger."""
    by_scope: dict[str, list[Work]] = {}
    for work in works:
        by_scope.setdefault(work.scope, []).append(work)
    for scope, own in by_scope.items():
        keys = {key for work in own for key in required_keys(work.state, work.all_facts)}
        entries = recalled(tx, scope, keys)
        entries |= recalled(tx, scope, coupon_keys(entries))
        for work in own:
            work.catalog = Catalog(entries=entries)


def recalled(tx: Connection, scope: str, keys: set[CatalogKey] | frozenset[CatalogKey]) -> dict[CatalogKey, CatalogEntry]:
    """What the catalogue knows of these keys."""
    return {key: load_entry(key[0], text) for key, text in catalog.lookup(tx, scope, sorted(keys)).items()}


def _settle(work: Work) -> None:
    """Folds the stream. Where one odd event breaks the fold, the others are folded without it."""
    try:
        work.settlement = settle(work.state, work.all_facts, work.source.policy, work.catalog)
    except Exception as error:  # the ledger is pure: an error of its own is one of these facts' doing
        log.error("not_settled", stream=work.claim.stream_id, reason=f"{type(error).__name__}: {error}")
        _settle_one_by_one(work)


def _settle_one_by_one(work: Work) -> None:
    for row_id, facts in list(work.facts.items()):
        try:
            settle(work.state, facts, work.source.policy, work.catalog)
        except Exception as error:
            work.failed[row_id] = f"settling failed: {type(error).__name__}: {error}"
            del work.facts[row_id]
    try:
        work.settlement = settle(work.state, work.all_facts, work.source.policy, work.catalog)
    except Exception as error:
        work.failed |= {row_id: f"settling failed: {type(error).__name__}: {error}" for row_id in work.facts}
        work.facts.clear()


def _write(tx: Connection, works: Sequence[Work], now: datetime) -> None:
    """Invariant 5: state, revenue events and the marks of their rows, all or none."""
    settled: list[tuple[int, int, Sequence[str]]] = []
    added: list[NewDelivery] = []
    saved: list[SettledStream] = []
    for work in works:
        for row_id, problem in work.failed.items():
            inbox.fail(tx, row_id, problem, now + TRY_AGAIN)
        settlement = work.settlement
        if settlement is None:
            streams.release(tx, work.claim)
            continue
        due_at = min(work.later.values(), default=None)
        saved.append(SettledStream(claim=work.claim, state=dump(settlement.state), due_at=due_at))
        added += [_delivery(event, work, now) for event in settlement.events]
        outbox.release(tx, work.scope, {event.output_key: payload.dump(event) for event in settlement.released})
        settled += _marks(work, settlement)
    streams.save(tx, saved, now)
    outbox.add(tx, added)
    inbox.mark_settled(tx, settled, now)


def _marks(work: Work, settlement: Settlement) -> list[tuple[int, int, Sequence[str]]]:
    """Each settled row with the number of revenue events it is the first cause of, and what the ledger remarked."""
    produced = Counter(event.caused_by[0] for event in settlement.events if event.caused_by)
    return [
        (row.id, produced[row.event_id], settlement.notes.get(row.event_id, ()))
        for row in work.rows
        if row.id in work.facts and row.id not in work.later
    ]


def _delivery(event: RevenueEvent, work: Work, now: datetime) -> NewDelivery:
    """The outbox row of an event: to be sent, held for its visit, dropped by policy, or kept for its being a test."""
    status, hold_until = _status(event, work, now)
    return NewDelivery(
        stream_id=work.claim.stream_id,
        scope=work.scope,
        source=work.source.name,
        livemode=Scope.parse(work.scope).livemode,
        output_key=event.output_key,
        status=status,
        body=payload.dump(event),
        next_at=now,
        hold_until=hold_until,
        priority=_priority(event, work),
        created_at=now,
        event_ids=event.caused_by,
        event_type=event.event_type.value,
        currency=event.currency,
        amount=event.amount,
        mrr_impact=event.mrr_impact,
    )


def _priority(event: RevenueEvent, work: Work) -> int:
    """What is happening goes before what was imported: an import of thousands may take hours of the budget."""
    imported = {row.event_id for row in work.rows if row.type == imports.TYPE}
    return int(bool(event.caused_by) and imported.issuperset(event.caused_by))


def _status(event: RevenueEvent, work: Work, now: datetime) -> tuple[DeliveryStatus, datetime | None]:
    source = work.source
    if source.dry_run or not (Scope.parse(work.scope).livemode or source.forward_test_events):
        return DeliveryStatus.NOT_FORWARDED, None
    if event.is_attributed or source.policy.unattributed is Unattributed.SEND:
        return DeliveryStatus.PENDING, None
    if source.policy.unattributed is Unattributed.DROP:
        return DeliveryStatus.DROPPED, None
    return DeliveryStatus.HELD, now + timedelta(hours=source.hold_hours)


def source_of(scope: str, settings: Settings) -> Source | None:
    """The source that a ledger belongs to, while it is configured."""
    return settings.sources.get(Scope.parse(scope).source)
