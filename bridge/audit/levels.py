"""The present MRR of each subscription: of its ledger, and of its state as the processor's API has it now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bridge.audit.causes import DETAILS, level_cause
from bridge.audit.daily import Settings
from bridge.audit.evidence import Archive
from bridge.audit.loading import unscaled
from bridge.audit.records import ZERO, Cause, Difference, Evidence, Flags, Measure
from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.catalog import Catalog, CatalogKey, coupon_keys, load_entry, required_keys
from bridge.ledger.plan_details import interval_name
from bridge.ledger.policy import ChurnAt, MrrDiscounts
from bridge.ledger.state import Subscription
from bridge.store import catalog
from bridge.store.audit_spool import Spool
from processors import values
from processors.facts import CatalogEntry, Status, SubscriptionState, Terms
from processors.money import Money, major

KEPT_ENTRIES = 10_000  # of the catalog, in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One subscription that was compared. `difference` None: both sides agree."""

    currency: str
    ours: Decimal
    theirs: Decimal
    difference: Difference | None = None


@dataclass(kw_only=True)
class Levels:
    """Compares the subscriptions of one ledger."""

    spool: Spool
    archive: Archive
    policy: Policy
    _sums: dict[tuple[str, Cause, MrrDiscounts], Decimal] = field(default_factory=dict, init=False)
    _leaving: dict[str, list[tuple[Decimal, Decimal]]] = field(default_factory=dict, init=False)
    _known: dict[CatalogKey, CatalogEntry] = field(default_factory=dict, init=False)

    def compared(self, states: Iterable[SubscriptionState], count: Callable[[], None]) -> Iterator[Level]:
        """Every subscription of either side."""
        for state in states:
            count()
            entries = self._catalog(state)
            yield from self._listed(state, entries)
            self._add_shifts(state, entries)
        for key, stream_id, code, amount in self.spool.levels():
            yield self._unlisted(key, stream_id, code, unscaled(amount))

    def settings(self) -> dict[str, Settings]:
        """By currency what other settings would change, once everything was compared."""
        return {code: self._settings(code) for code in {code for code, *_ in self._sums} | set(self._leaving)}

    def _settings(self, code: str) -> Settings:
        leaving = self._leaving.get(code, ())
        return Settings(
            sums={shift: cause for (each, cause, _), shift in self._sums.items() if each == code and shift},
            discounts=self._sums.get((code, Cause.DISCOUNT, MrrDiscounts.NONE), ZERO),
            leaving=[mrr for mrr, _ in leaving],
            leaving_undiscounted=[undiscounted for _, undiscounted in leaving],
        )

    def _listed(self, state: SubscriptionState, entries: Catalog) -> Iterator[Level]:
        key = state.ids.subscription_id or ""
        found = valued(state, self.policy, entries)
        stored = self.spool.take_level(key)
        theirs, code = _mrr(found), state.now.currency.code
        ours = ZERO if stored is None or stored[1] != code else unscaled(stored[2])
        # Listing takes minutes: meanwhile the ledger may have settled what the list shows already.
        if ours == theirs or self.archive.level_of(key, code) == theirs:
            yield Level(currency=code, ours=theirs, theirs=theirs)
            return
        cause = self._cause(state, found, ours, None if stored is None else stored[0], entries)
        difference = replace(_difference(key, code, ours, theirs, cause), customer_id=state.ids.customer_id or "")
        yield Level(currency=code, ours=ours, theirs=theirs, difference=difference)

    def _add_shifts(self, state: SubscriptionState, entries: Catalog) -> None:
        """By how much each other setting would change the present level of a currency."""
        terms = state.now
        if not terms.discounts and terms.cancels_at is None and not any(item.discounts for item in terms.items):
            return
        code, present = terms.currency.code, _mrr(valued(state, self.policy, entries))
        for cause, policy in alternatives(self.policy):
            key, shift = (code, cause, policy.mrr_discounts), _mrr(valued(state, policy, entries)) - present
            self._sums[key] = self._sums.get(key, ZERO) + shift
            if shift < 0 and cause is Cause.CHURN_TIME:
                undiscounted = replace(self.policy, mrr_discounts=MrrDiscounts.NONE)
                self._leaving.setdefault(code, []).append((present, _mrr(valued(state, undiscounted, entries))))

    def _unlisted(self, key: str, stream_id: str, code: str, ours: Decimal) -> Level:
        """The processor says that it has ended, or never was."""
        if not self.archive.level_of(key, code):
            return Level(currency=code, ours=ZERO, theirs=ZERO)
        known = self.archive.state_of(stream_id).subscriptions.get(key)
        is_ended = known is not None and known.terms is not None and known.terms.status is Status.ENDED
        waits = self.archive.of(key).unsettled
        cause = Cause.UNEXPLAINED if is_ended else Cause.WAITING if waits else Cause.MISSING
        return Level(currency=code, ours=ours, theirs=ZERO, difference=_difference(key, code, ours, ZERO, cause))

    def _cause(
        self, state: SubscriptionState, found: Subscription, ours: Decimal, stream_id: str | None, entries: Catalog
    ) -> Cause:
        key = state.ids.subscription_id or ""
        evidence = self.archive.of(key)
        known = None if stream_id is None else self.archive.state_of(stream_id).subscriptions.get(key)
        if known is None or known.terms is None:
            return Cause.WAITING if evidence.unsettled else Cause.MISSING
        if not same_terms(known.terms, state.now):
            return Cause.WAITING if evidence.unsettled else Cause.MISSING
        for cause, policy in alternatives(self.policy):
            if _mrr(valued(state, policy, entries)) == ours:
                return cause
        flags = Flags(intervals=intervals(state), is_estimated=known.estimated or found.estimated)
        paused = Evidence(stopped_collecting=state.now.stopped_collecting)
        return level_cause(ours, _mrr(found), state.now.currency.code, flags, paused) or Cause.UNEXPLAINED

    def _catalog(self, state: SubscriptionState) -> Catalog:
        """The entries of a subscription. Most subscriptions share their prices and coupons."""
        first = self._entries(required_keys([], [state]))
        return Catalog(entries={**first, **self._entries(coupon_keys(first))})

    def _entries(self, keys: Collection[CatalogKey]) -> dict[CatalogKey, CatalogEntry]:
        unread = sorted(key for key in keys if key not in self._known)
        if unread:
            if len(self._known) > KEPT_ENTRIES:
                self._known.clear()
                unread = sorted(keys)
            with self.archive.store.reading() as tx:
                read = catalog.lookup(tx, str(self.archive.scope), unread)
            self._known |= {key: load_entry(key[0], text) for key, text in read.items()}
        return {key: self._known[key] for key in keys if key in self._known}


def valued(state: SubscriptionState, policy: Policy, entries: Catalog) -> Subscription:
    """The subscription as the ledger would value it, from this state alone."""
    settled = settle(EMPTY, [values.replace(state, processor_event_id="audit")], policy, entries)
    return settled.state.subscriptions[state.ids.subscription_id or ""]


def alternatives(policy: Policy) -> Iterator[tuple[Cause, Policy]]:
    """The same rules with one setting changed, and the cause that it would be."""
    for discounts in MrrDiscounts:
        if discounts is not policy.mrr_discounts:
            yield Cause.DISCOUNT, replace(policy, mrr_discounts=discounts)
    for churn_at in ChurnAt:
        if churn_at is not policy.churn_at:
            yield Cause.CHURN_TIME, replace(policy, churn_at=churn_at)


def same_terms(known: Terms, now: Terms) -> bool:
    """Whether the ledger has the state that the API shows: status, prices with quantities, end, and discounts."""
    return _compared(known) == _compared(now)


def _compared(terms: Terms) -> tuple[object, ...]:
    items = sorted((item.price.id or "", item.quantity) for item in terms.items)
    discounts = sorted(one.id or one.coupon_id or "" for one in terms.discounts)
    return terms.status, terms.currency.code, items, terms.cancels_at, discounts, terms.stopped_collecting


def intervals(state: SubscriptionState) -> frozenset[str]:
    """The names of the intervals of its prices."""
    prices = [item.price for item in state.now.items]
    names = (interval_name(one.interval, one.interval_count) for one in prices if one.interval is not None)
    return frozenset(name for name in names if name)


def _mrr(found: Subscription) -> Decimal:
    return major(Money(minor=found.reported_mrr, currency=found.currency))


def _difference(key: str, code: str, ours: Decimal, theirs: Decimal, cause: Cause) -> Difference:
    return Difference(
        measure=Measure.MRR, day=None, currency=code, key=key, ours=ours, theirs=theirs, cause=cause,
        detail=DETAILS[cause], object_ids=(key,),
    )  # fmt: skip
