"""The batch of one claimed stream: its waiting rows, their facts, the ledger state, and the result of settling."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.internal_events import imports
from bridge.ledger import EMPTY, Settlement, State, settle
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog, CatalogKey, coupon_keys, load_entry, required_keys
from bridge.ledger.completeness import missing
from bridge.ledger.policy import Policy
from bridge.ledger.settle_window import Readiness, WaitingWebhook, WaitRules, readiness
from bridge.ledger.state import load
from bridge.scope import Scope
from bridge.settings import Settings, Source
from bridge.store import catalog, inbox
from bridge.store.inbox import InboxRow
from bridge.store.streams import Claim
from bridge.worker.translation import TranslationError, Translations
from processors.facts import CatalogEntry, Fact
from processors.values import Value

MAX_CLOCK_SKEW = timedelta(minutes=5)  # facts dated further ahead than this wait until their date


class TrialSettlement(Value):
    """A settlement on trial, and what was settled."""

    facts: Sequence[Fact]
    catalog: Catalog
    settlement: Settlement

    def is_of(self, facts: Sequence[Fact], catalog: Catalog) -> bool:
        """Whether these very facts were settled, in whatever order."""
        return catalog is self.catalog and sorted(map(id, facts)) == sorted(map(id, self.facts))


@dataclass(slots=True, kw_only=True)
class StreamBatch:
    """A claimed stream while it is settled.

    `unreadable`: why the stored state cannot be read, else None. `api_facts`: facts from the processor's API, which no
    row contains. `future`: rows with facts dated ahead, with the time when these are due. `failed`: rows that could not
    be translated or settled, with the error. `on_trial`: the settlement by which it was decided whether anything is
    missing. `next_at`, `waits_for`: until when the rows wait that are not settled now, and for what.
    """

    claim: Claim
    source: Source
    rows: Sequence[InboxRow] = ()
    state: State = EMPTY
    unreadable: str | None = None
    facts: dict[int, tuple[Fact, ...]] = field(default_factory=dict)
    api_facts: list[Fact] = field(default_factory=list)
    future: dict[int, datetime] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    catalog: Catalog = EMPTY_CATALOG
    settlement: Settlement | None = None
    on_trial: TrialSettlement | None = None
    next_at: datetime | None = None
    waits_for: str | None = None

    @property
    def scope(self) -> str:
        """The ledger that the stream belongs to."""
        return self.claim.scope

    def readiness(self, now: datetime) -> Readiness:
        """Which rows are to be settled, when all webhooks received until `now` are routed."""
        waiting = [self._waiting(row) for row in self.rows if row.id in self.facts]
        rules = wait_rules(self.source)
        return readiness(self.state, waiting, rules, now, has_customer=self.claim.has_customer, missing=self._missing)

    def _waiting(self, row: InboxRow) -> WaitingWebhook:
        facts = self.facts[row.id]
        effective_at = None if facts else self.future.get(row.id)
        since = row.waiting_since or row.received_at
        return WaitingWebhook(row_id=row.id, since=since, facts=facts, effective_at=effective_at)

    def _missing(self, webhooks: Sequence[WaitingWebhook]) -> str | None:
        if self.unreadable is not None or self.failed:
            return "webhooks that could not be translated"
        if any(row.type == imports.TYPE for row in self.rows):
            return "the other webhooks of an import"
        arrived = [(fact, one.since) for one in webhooks for fact in one.facts]
        try:
            return missing(self.state, arrived, self.source.policy, self.catalog, self._settle_on_trial)
        except Exception as error:  # found again, and marked, when the window is over
            return f"nothing: settling failed with {type(error).__name__}"

    def _settle_on_trial(self, state: State, facts: Sequence[Fact], policy: Policy, catalog: Catalog) -> Settlement:
        settlement = settle(state, facts, policy, catalog)
        self.on_trial = TrialSettlement(facts=facts, catalog=catalog, settlement=settlement)
        return settlement

    def settled_on_trial(self) -> Settlement | None:
        """The settlement of all facts on trial; None if there was none, or if something came from the API since."""
        trial = self.on_trial
        return trial.settlement if trial is not None and trial.is_of(self.all_facts, self.catalog) else None

    def leave_waiting(self, ready: Collection[int]) -> None:
        """Takes out the rows that are not to be settled yet."""
        self.facts = {row_id: facts for row_id, facts in self.facts.items() if row_id in ready}
        self.future = {row_id: at for row_id, at in self.future.items() if row_id in ready}
        self.rows = [row for row in self.rows if row.id in ready or row.id in self.failed]

    @property
    def all_facts(self) -> list[Fact]:
        """The facts of all rows that could be translated, and those of the API."""
        return [fact for facts in self.facts.values() for fact in facts] + self.api_facts


def wait_rules(source: Source) -> WaitRules:
    """The source's settings for waiting."""
    return WaitRules(
        window=timedelta(seconds=source.settle_seconds),
        hold=timedelta(hours=source.hold_hours),
        quiet=timedelta(seconds=source.settle_quiet_seconds),
    )


def source_of(scope: str, settings: Settings) -> Source | None:
    """The source of a ledger. None: it is not configured any more."""
    return settings.sources.get(Scope.parse(scope).source)


def open_batches(
    tx: Connection, claims: Sequence[Claim], settings: Settings, now: datetime, translations: Translations
) -> list[StreamBatch]:
    """The batches of the claimed streams whose source is configured, with facts and catalog."""
    by_stream: dict[str, list[InboxRow]] = {}
    for row in inbox.of_streams(tx, [claim.stream_id for claim in claims]):
        by_stream.setdefault(row.stream_id or "", []).append(row)
    batches = []
    for claim in claims:
        source = source_of(claim.scope, settings)
        if source is not None:
            batch = StreamBatch(claim=claim, source=source, rows=by_stream.get(claim.stream_id, []))
            _translate_rows(batch, translations, now)
            batches.append(batch)
    _add_catalogs(tx, batches)
    return batches


def _translate_rows(batch: StreamBatch, translations: Translations, now: datetime) -> None:
    try:
        batch.state = load(batch.claim.state)
    except ValueError as error:
        batch.unreadable = f"the ledger state cannot be read: {error}"
        batch.failed = {row.id: batch.unreadable for row in batch.rows}
        return
    latest = now + MAX_CLOCK_SKEW
    for row in batch.rows:
        try:
            facts = translations.of(row).facts
        except TranslationError as error:
            batch.failed[row.id] = str(error)
            continue
        future = [fact.at for fact in facts if fact.at > latest]
        if future:
            batch.future[row.id] = min(future)
        batch.facts[row.id] = tuple(fact for fact in facts if fact.at <= latest)


def _add_catalogs(tx: Connection, batches: Sequence[StreamBatch]) -> None:
    """Gives each batch the catalog entries that its facts refer to, with one lookup per ledger."""
    by_scope: dict[str, list[StreamBatch]] = {}
    for batch in batches:
        by_scope.setdefault(batch.scope, []).append(batch)
    for scope, group in by_scope.items():
        keys = {key for batch in group for key in _required_keys(batch)}
        found = load_catalog(tx, scope, keys)
        for batch in group:
            batch.catalog = found


def _required_keys(batch: StreamBatch) -> frozenset[CatalogKey]:
    return required_keys(batch.state.current_terms, batch.all_facts, batch.state.customer_discounts)


def load_catalog(tx: Connection, scope: str, keys: Collection[CatalogKey]) -> Catalog:
    """The stored catalog entries of these keys, and the coupons that discounts among them refer to."""
    entries = _entries(tx, scope, keys)
    return Catalog(entries={**entries, **_entries(tx, scope, coupon_keys(entries))})


def _entries(tx: Connection, scope: str, keys: Collection[CatalogKey]) -> dict[CatalogKey, CatalogEntry]:
    return {key: load_entry(key[0], text) for key, text in catalog.lookup(tx, scope, sorted(keys)).items()}
