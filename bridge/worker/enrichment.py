"""Asks the processor's API for what webhooks leave out: tiers, coupons, a charge's invoice, an unseen subscription.

Only with an API key. If the API fails, settling continues with estimates, which are marked and corrected later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from bridge.ledger.catalog import (
    Catalog,
    CatalogKey,
    coupon_keys,
    dump_entry,
    key_of,
    missing_keys,
    unlimited_keys,
    unpriced_keys,
)
from bridge.ledger.pseudonyms import is_pseudonym
from bridge.scope import Scope
from bridge.settings import Settings, Source
from bridge.store import Store, catalog
from bridge.worker.batch import StreamBatch
from processors import processors
from processors.facts import CatalogEntry, Fact
from processors.interface import Api, ApiError

log = structlog.get_logger()

REPEAT_AFTER = timedelta(minutes=10)  # the same question, after a refusal or a response that did not help
PAUSE_AFTER_ERROR = timedelta(seconds=60)


def connect(source: Source) -> Api | None:
    """The API of a source's processor. None: it has no key, or its processor has no API."""
    return None if source.api_key is None else processors()[source.processor].connect(source.api_key, source.options)


def connect_all(settings: Settings) -> dict[str, Api]:
    """The API of each source that has a key, by the source's name."""
    return {source.name: api for source in settings.sources.values() if (api := connect(source)) is not None}


@dataclass(kw_only=True)
class Enricher:
    """Completes facts and catalog. It remembers recent questions: a gap costs one call, not one per stream."""

    store: Store
    apis: dict[str, Api]
    recent_questions: dict[tuple[str, str], datetime] = field(default_factory=dict)
    scope_apis: dict[str, Api] = field(default_factory=dict)  # each connected account has its own
    paused_until: dict[str, datetime] = field(default_factory=dict)  # by scope

    def enrich(self, batches: Sequence[StreamBatch]) -> None:
        """Adds to each batch the facts and catalog entries that its source's API has."""
        for batch in batches:
            api = self._api_of(batch)
            if api is None or self._is_paused(batch.scope):
                continue
            try:
                self._complete(batch, api)
            except ApiError as error:
                self.paused_until[batch.scope] = datetime.now(UTC) + PAUSE_AFTER_ERROR
                log.warning("api_unavailable", source=batch.source.name, reason=str(error))

    def _api_of(self, batch: StreamBatch) -> Api | None:
        api = self.apis.get(batch.source.name)
        if api is None:
            return None
        if batch.scope not in self.scope_apis:
            self.scope_apis[batch.scope] = api.for_account(Scope.parse(batch.scope).account)
        return self.scope_apis[batch.scope]

    def _is_paused(self, scope: str) -> bool:
        until = self.paused_until.get(scope)
        return until is not None and datetime.now(UTC) < until

    def _complete(self, batch: StreamBatch, api: Api) -> None:
        state = batch.state
        seen = set(state.subscriptions) | set(state.references.invoice_of) | set(state.receivables)
        batch.api_facts += self._related_facts(batch, api, seen)
        missing = missing_keys(state.current_terms, batch.all_facts, batch.catalog, state.customer_discounts)
        self._add_entries(batch, api.lookup(self._new_questions(batch.scope, missing)))
        coupons = {key for key in coupon_keys(batch.catalog.entries) if key[0] == "coupon"}  # of discounts just found
        unlimited = unlimited_keys(state.current_terms, batch.all_facts, batch.catalog)
        unpriced = unpriced_keys(state.current_terms, batch.all_facts, batch.catalog)
        self._add_entries(batch, api.lookup(self._new_questions(batch.scope, coupons | unlimited | unpriced)))

    def _related_facts(self, batch: StreamBatch, api: Api, seen: set[str]) -> list[Fact]:
        facts = [fact for fact in batch.all_facts if not _is_erased(fact)]
        refs = {ref for fact in facts for ref in fact.ids.refs()}
        is_new = self._new_questions(batch.scope, (("context", ref) for ref in refs))
        return api.related_facts(facts, seen) if is_new else []

    def _new_questions(self, scope: str, keys: Iterable[CatalogKey]) -> list[CatalogKey]:
        """The keys that were not asked for in the last minutes, now recorded as asked; none of an erased customer."""
        now = datetime.now(UTC)
        self.recent_questions = {key: at for key, at in self.recent_questions.items() if now - at < REPEAT_AFTER}
        known = (key for key in keys if not is_pseudonym(key[1]))  # the processor knows no pseudonym
        new = [key for key in known if (scope, "|".join(key)) not in self.recent_questions]
        self.recent_questions |= {(scope, "|".join(key)): now for key in new}
        return new

    def _add_entries(self, batch: StreamBatch, found: Iterable[CatalogEntry]) -> None:
        entries = {key: entry for entry in found if (key := key_of(entry)) is not None}
        if not entries:
            return
        batch.catalog = Catalog(entries={**batch.catalog.entries, **entries})
        with self.store.transaction() as tx:
            rows = [(kind, entry_id, dump_entry(entry)) for (kind, entry_id), entry in entries.items()]
            catalog.upsert(tx, batch.scope, rows)


def _is_erased(fact: Fact) -> bool:
    return any(is_pseudonym(one) for one in (*fact.ids.refs(), fact.ids.customer_id or ""))
