"""Routes received webhooks: translates each, stores its catalog entries, and assigns it to its customer's stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Connection

from bridge.ledger.catalog import CatalogKey, dump_entry, key_of
from bridge.ledger.routing import RoutableWebhook, Routes, route_webhooks
from bridge.settings import Settings, Source
from bridge.store import Store, catalog, inbox, leases, streams
from bridge.store.inbox import InboxRow
from bridge.worker import thin_events
from bridge.worker.translation import TranslationError, translate
from processors.interface import Api, Translation

log = structlog.get_logger()

BATCH = 400
MAX_FETCHES = 50  # thin events completed at a time
ROUTER = "router"
LEASE = timedelta(seconds=30)
RETRY_AFTER = timedelta(hours=1)
MAX_WINDOWS = 4  # a stream that never becomes quiet is settled after this many quiet windows
MAX_WAIT_WITHOUT_MONEY = timedelta(days=30)  # for the customer of facts that report no money
NOTHING = Translation()
NO_FACTS = "remembered for later: it names no customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A received row with its translation, or the error of translating it."""

    row: InboxRow
    translation: Translation = NOTHING
    error: str | None = None


def route(store: Store, settings: Settings, owner: str, now: datetime, apis: Mapping[str, Api] | None = None) -> int:
    """Routes one batch of received webhooks; returns how many there were. Thin events are completed by `apis`."""
    with store.reading() as tx:
        if not inbox.unrouted(tx, 1, now):
            return 0
    # One worker at a time routes, under a lease. Two at once would read the same links, and could assign one customer's
    # webhooks to two streams that neither knows of.
    if not _acquire(store, owner, now):
        return 0
    with store.reading() as tx:
        rows = inbox.unrouted(tx, BATCH, now)
    translated = [_translate(row, settings) for row in rows]  # before the transaction: the write lock is held shortly
    thin = [(one.row, path) for one in translated if (path := one.translation.fetch) and one.row.source in (apis or {})]
    thin_ids = {row.id for row, _ in thin}
    whole = [one for one in translated if one.row.id not in thin_ids]
    with store.transaction() as tx:
        # The lease again: if translating took longer than it lasts, another worker has routed these rows by now.
        if not leases.acquire(tx, ROUTER, owner, now, now + LEASE):
            return 0
        _mark_unusable(tx, whole, now)
        _store_catalog(tx, whole)
        for scope, group in groupby(sorted(whole, key=_scope), key=_scope):
            _assign(tx, scope, [one for one in group if one.translation.facts], settings, now)
    thin_events.complete(store, settings, apis or {}, thin[:MAX_FETCHES], now)
    return len(rows)


def _acquire(store: Store, owner: str, now: datetime) -> bool:
    with store.transaction() as tx:
        return leases.acquire(tx, ROUTER, owner, now, now + LEASE)


def _scope(one: Translated) -> str:
    return one.row.scope


def _translate(row: InboxRow, settings: Settings) -> Translated:
    try:
        return Translated(row=row, translation=translate(row, settings))
    except TranslationError as error:
        log.warning("not_translated", source=row.source, event_id=row.event_id, reason=str(error))
        return Translated(row=row, error=str(error))


def _mark_unusable(tx: Connection, translated: Sequence[Translated], now: datetime) -> None:
    """Marks rows that failed, to be retried, and rows without facts, with their reason."""
    for one in translated:
        if one.error is not None:
            inbox.fail(tx, one.row.id, one.error, now + RETRY_AFTER)
    without_facts = [one for one in translated if one.error is None and not one.translation.facts]
    inbox.ignore(tx, [(one.row.id, one.translation.reason or NO_FACTS) for one in without_facts], now)


def _store_catalog(tx: Connection, translated: Sequence[Translated]) -> None:
    """Stores the prices, coupons and products of the webhooks."""
    entries: dict[str, dict[CatalogKey, str]] = {}
    for one in translated:
        for entry in one.translation.catalog:
            key = key_of(entry)
            if key is not None:
                entries.setdefault(one.row.scope, {})[key] = dump_entry(entry)
    for scope, texts in entries.items():
        catalog.upsert(tx, scope, [(kind, entry_id, text) for (kind, entry_id), text in texts.items()])


def _assign(tx: Connection, scope: str, translated: Sequence[Translated], settings: Settings, now: datetime) -> None:
    """Assigns the webhooks of one ledger to streams, and sets when these are settled."""
    if not translated:
        return
    webhooks = [RoutableWebhook(row_id=one.row.id, scope=scope, facts=one.translation.facts) for one in translated]
    links = streams.links(tx, scope, sorted({ref for webhook in webhooks for ref in webhook.refs}))
    stored = streams.find(tx, sorted(set(links.values()))).values()
    # A stream that another worker is settling counts as settled: its rows must not be moved away meanwhile.
    settled = {row.stream_id for row in stored if row.settled_at is not None or _is_leased(row, now)}
    routes = route_webhooks(webhooks, links, settled)
    for old, new in routes.merged.items():
        if old in links.values():
            streams.merge(tx, old, new)
    streams.link(tx, scope, routes.links)
    inbox.assign(tx, sorted(routes.stream_of.items()))
    rows = {one.row.id: one.row for one in translated}
    streams.upsert(tx, _stream_updates(tx, routes, webhooks, rows, settings))


def _is_leased(row: streams.StreamRow, now: datetime) -> bool:
    return row.leased_until is not None and row.leased_until > now


def _stream_updates(
    tx: Connection,
    routes: Routes,
    webhooks: Sequence[RoutableWebhook],
    rows: Mapping[int, InboxRow],
    settings: Settings,
) -> list[streams.StreamUpdate]:
    stored = streams.find(tx, sorted(set(routes.stream_of.values())))
    updates: dict[str, streams.StreamUpdate] = {}
    for webhook in webhooks:
        row, stream_id = rows[webhook.row_id], routes.stream_of[webhook.row_id]
        before, earlier = stored.get(stream_id), updates.get(stream_id)
        has_customer = webhook.has_customer or any(one is not None and one.has_customer for one in (before, earlier))
        opened_at = min(
            [row.received_at]
            + ([before.first_at] if before is not None and before.due_at is not None and before.first_at else [])
            + ([earlier.at] if earlier is not None else [])
        )
        source = settings.sources[row.source]
        updates[stream_id] = streams.StreamUpdate(
            stream_id=stream_id,
            scope=webhook.scope,
            has_customer=has_customer,
            at=row.received_at,
            due_at=_due_at(webhook, has_customer, opened_at, row.received_at, source),
        )
    return list(updates.values())


def _due_at(
    webhook: RoutableWebhook, has_customer: bool, opened_at: datetime, received_at: datetime, source: Source
) -> datetime:
    """When the stream has been quiet for long enough, or must not wait any longer for its customer."""
    if not has_customer:
        wait = timedelta(hours=source.hold_hours) if webhook.carries_money else MAX_WAIT_WITHOUT_MONEY
        return opened_at + wait
    quiet = timedelta(seconds=source.settle_seconds)
    return min(received_at + quiet, opened_at + MAX_WINDOWS * quiet)
