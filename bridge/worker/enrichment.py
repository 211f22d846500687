"""Asks the processor's API for what webhooks leave out: tiers, coupons, a charge's invoice, an unseen subscription.

Only where a read key is configured. An outage delays nothing but this: what is not known is estimated and marked, and
corrected when it becomes known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from bridge.ledger.catalog import Catalog, CatalogKey, coupon_keys, dump_entry, key_of, missing_keys
from bridge.scope import Scope
from bridge.settings import Settings, Source
from bridge.store import Store, catalog
from bridge.worker.batch import Work
from processors import processors
from processors.facts import CatalogEntry, Fact
from processors.interface import Api, ApiError

log = structlog.get_logger()

ASK_AGAIN = timedelta(minutes=10)  # after a refusal or an answer that did not help
REST_AFTER_ERROR = timedelta(seconds=60)


def connected(settings: Settings) -> dict[str, Api]:
    """The APIs of all sources that have a key."""
    return {source.name: api for source in settings.sources.values() if (api := connect(source)) is not None}


def hydrator(store: Store, apis: dict[str, Api]) -> Callable[[Sequence[Work]], None] | None:
    """The step between reading and settling, or None: no source has an API key."""
    if not apis:
        return None
    return Hydrator(store=store, apis=apis).hydrate


def connect(source: Source) -> Api | None:
    """The API of a source's processor, or None: it has no key, or its processor has no API."""
    return None if source.api_key is None else processors()[source.processor].connect(source.api_key, source.options)


@dataclass(kw_only=True)
class Hydrator:
    """Completes what is known, and remembers what it asked for lately: a gap costs one call, not one a stream."""

    store: Store
    apis: dict[str, Api]
    asked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    theirs: dict[str, Api] = field(default_factory=dict)  # by ledger: each connected account has one of its own
    resting: dict[str, datetime] = field(default_factory=dict)  # by ledger

    def hydrate(self, works: Sequence[Work]) -> None:
        """Adds to each stream's knowledge and facts what its source's API can tell."""
        for work in works:
            api = self._api_of(work)
            if api is None or self._rests(work.scope):
                continue
            try:
                self._complete(work, api)
            except ApiError as error:
                self.resting[work.scope] = datetime.now(UTC) + REST_AFTER_ERROR
                log.warning("api_unavailable", source=work.source.name, reason=str(error))

    def _api_of(self, work: Work) -> Api | None:
        api = self.apis.get(work.source.name)
        if api is None:
            return None
        if work.scope not in self.theirs:
            self.theirs[work.scope] = api.for_account(Scope.parse(work.scope).account)
        return self.theirs[work.scope]

    def _complete(self, work: Work, api: Api) -> None:
        seen = set(work.state.subscriptions) | set(work.state.references.invoice_of) | set(work.state.receivables)
        work.extra += self._fresh_context(work, api, seen)
        wanted = missing_keys(work.state, work.all_facts, work.catalog)
        self._learn(work, api.lookup(self._unasked(work.scope, wanted)))
        coupons = coupon_keys(work.catalog.entries)
        self._learn(work, api.lookup(self._unasked(work.scope, coupons)))

    def _fresh_context(self, work: Work, api: Api, seen: set[str]) -> list[Fact]:
        refs = {ref for fact in work.all_facts for ref in fact.ids.refs()}
        unasked = self._unasked(work.scope, (("context", ref) for ref in refs))
        return api.related_facts(work.all_facts, seen) if unasked else []

    def _unasked(self, scope: str, wanted: Iterable[CatalogKey]) -> list[CatalogKey]:
        """What was not asked for within the last minutes; from now on it was."""
        now = datetime.now(UTC)
        self.asked = {key: at for key, at in self.asked.items() if now - at < ASK_AGAIN}
        fresh = [key for key in wanted if (scope, "|".join(key)) not in self.asked]
        self.asked |= {(scope, "|".join(key)): now for key in fresh}
        return fresh

    def _learn(self, work: Work, told: Iterable[CatalogEntry]) -> None:
        entries = {key: known for known in told if (key := key_of(known)) is not None}
        if not entries:
            return
        work.catalog = Catalog(entries={**work.catalog.entries, **entries})
        with self.store.transaction() as tx:
            rows = [(kind, ident, dump_entry(known)) for (kind, ident), known in entries.items()]
            catalog.upsert(tx, work.scope, rows)

    def _rests(self, scope: str) -> bool:
        until = self.resting.get(scope)
        return until is not None and datetime.now(UTC) < until
