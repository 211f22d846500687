"""Routes received webhooks: translates each, stores its catalog entries, and assigns it to its customer's stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Connection

from bridge.ledger.catalog import CatalogKey, dump_entry, key_of
from bridge.privacy.withholding import withhold
from bridge.settings import Settings
from bridge.store import Store, catalog, inbox, leases
from bridge.store.inbox import InboxRow
from bridge.worker import thin_events
from bridge.worker.assignment import Translated, assign
from bridge.worker.translation import TranslationError, Translations
from processors.interface import Api, Translation

log = structlog.get_logger()

BATCH = 400
MAX_FETCHES = 50  # thin events completed at a time
ROUTER = "router"
LEASE = timedelta(seconds=30)
RETRY_AFTER = timedelta(hours=1)
NO_FACTS = "remembered for later: it names no customer"


def route(
    store: Store,
    settings: Settings,
    owner: str,
    now: datetime,
    apis: Mapping[str, Api] | None = None,
    translations: Translations | None = None,
) -> int:
    """Routes one batch of received webhooks; returns how many. Thin events are completed by `apis`."""
    translate = (translations or Translations(settings)).of
    with store.reading() as tx:
        if not inbox.unrouted(tx, 1, now) or leases.is_held_elsewhere(tx, ROUTER, owner, now):
            return 0
    # One worker at a time routes, under a lease. Two at once would read the same links, and could assign one customer's
    # webhooks to two streams that neither knows of.
    if not _acquire(store, owner, now):
        return 0
    with store.reading() as tx:
        rows = inbox.unrouted(tx, BATCH, now)
    routed = withhold(store, rows, translate)  # what belongs to erased customers
    # Before the transaction: the write lock is held shortly.
    translated = [_translated(row, translate) for row in routed]
    thin = [(one.row, path) for one in translated if (path := one.translation.fetch) and one.row.source in (apis or {})]
    thin_ids = {row.id for row, _ in thin}
    whole = [one for one in translated if one.row.id not in thin_ids]
    left = 0  # for the next pass, because another worker is settling their streams
    with store.transaction() as tx:
        # The lease again: if translating took longer than it lasts, another worker has routed these rows by now.
        if not leases.acquire(tx, ROUTER, owner, now, now + LEASE):
            return 0
        _mark_unusable(tx, whole, now)
        _store_catalog(tx, whole)
        for scope, group in groupby(sorted(whole, key=_scope), key=_scope):
            with_facts = [one for one in group if one.translation.facts]
            left += len(with_facts) - assign(tx, scope, with_facts, settings, now)
    thin_events.complete(store, settings, apis or {}, thin[:MAX_FETCHES], now)
    return len(rows) - left


def _acquire(store: Store, owner: str, now: datetime) -> bool:
    with store.transaction() as tx:
        return leases.acquire(tx, ROUTER, owner, now, now + LEASE)


def _scope(one: Translated) -> str:
    return one.row.scope


def _translated(row: InboxRow, translate: Callable[[InboxRow], Translation]) -> Translated:
    try:
        return Translated(row=row, translation=translate(row))
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
