"""The effect of an import, computed by the ledger itself before anything is stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection

from bridge.formatting import currency_order
from bridge.ledger import EMPTY, Settlement, State, settle
from bridge.ledger.catalog import required_keys
from bridge.ledger.movements import IMPORTED
from bridge.ledger.state import Subscription, load
from bridge.scope import Scope, StreamId
from bridge.settings import Source
from bridge.store import streams, subscriptions
from bridge.worker.batch import load_catalog
from processors.facts import Ids, Stage, SubscriptionState
from processors.money import Money, major
from processors.values import Value, field, replace

Sums = Mapping[str, Decimal]  # by currency, in major units


class Planned(Value):
    """One subscription. `unreported`: the MRR of it that Pulsora never received; None: nothing.

    `is_new`: the ledger does not know it. `keeps_time`: its state is the ledger's own, so it is as old as that.
    """

    state: SubscriptionState
    currency: str
    mrr: Decimal
    unreported: Decimal | None = None
    is_new: bool = False
    keeps_time: bool = False

    @property
    def reporting(self) -> SubscriptionState:
        """The state that makes the ledger report that MRR."""
        return replace(self.state, reports_baseline=True)


class ImportPlan(Value):
    """Every subscription that the API lists, and those of the ledger with MRR that was never reported."""

    listed: tuple[Planned, ...] = ()
    of_ledger: tuple[Planned, ...] = field(default=())

    @property
    def unreported(self) -> tuple[Planned, ...]:
        """Those with MRR that was never reported."""
        return tuple(one for one in (*self.listed, *self.of_ledger) if one.unreported)


def sums(planned: Iterable[tuple[str, Decimal]]) -> Sums:
    """The sums by currency; the one with the most subscriptions is first."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    counts = Counter[str]()
    for currency, amount in planned:
        found[currency] += amount
        counts[currency] += 1
    return {currency: found[currency] for currency in currency_order(counts)}


def plan_import(tx: Connection, source: Source, states: Sequence[SubscriptionState], *, livemode: bool) -> ImportPlan:
    """The effect of importing these states, which the API has listed."""
    scope = str(Scope(source.name, None, livemode))
    known = streams.links(tx, scope, [ref for state in states for ref in state.ids.refs()])
    by_stream: dict[str, list[SubscriptionState]] = defaultdict(list)
    for state in states:
        by_stream[_stream_of(state, scope, known)].append(state)
    listed: list[Planned] = []
    for stream_id, own in by_stream.items():
        before = _state_of(tx, stream_id)
        listed += _planned(before, own, _settled(tx, scope, source, before, own))
    others = _unreported_of_ledger(tx, scope, {state.ids.subscription_id for state in states})
    return ImportPlan(listed=tuple(listed), of_ledger=tuple(others))


def _stream_of(state: SubscriptionState, scope: str, known: Mapping[str, str]) -> str:
    linked = next((known[ref] for ref in state.ids.refs() if ref in known), None)
    return linked or str(StreamId(scope, state.ids.customer_id or state.ids.subscription_id or ""))


def _state_of(tx: Connection, stream_id: str) -> State:
    stored = streams.state_of(tx, stream_id)
    return EMPTY if stored is None else load(stored)


def _settled(tx: Connection, scope: str, source: Source, before: State, own: Sequence[SubscriptionState]) -> Settlement:
    facts = [replace(state, reports_baseline=True, processor_event_id=f"plan_{n}") for n, state in enumerate(own)]
    catalog = load_catalog(tx, scope, required_keys(before.current_terms, facts, before.customer_discounts))
    return settle(before, facts, source.policy, catalog)


def _planned(before: State, own: Sequence[SubscriptionState], after: Settlement) -> Iterable[Planned]:
    reported = {
        event.subscription_id: event.mrr_impact
        for event in after.events
        if event.metadata.get("reason") == IMPORTED and event.mrr_impact
    }
    for state in own:
        subscription_id = state.ids.subscription_id or ""
        found = after.state.subscriptions[subscription_id]
        yield Planned(
            state=state,
            currency=found.currency.code,
            mrr=_major(found, found.reported_mrr),
            unreported=reported.get(subscription_id),
            is_new=subscription_id not in before.subscriptions,
        )


def _unreported_of_ledger(tx: Connection, scope: str, listed: set[str | None]) -> Iterable[Planned]:
    """Subscriptions that the API does not list any more: their ends were reported, so their MRR is missing below 0."""
    chosen = Scope.parse(scope)
    for row in subscriptions.with_baseline(tx, chosen.source, chosen.livemode):
        if row.subscription_id in listed or StreamId.parse(row.stream_id).scope != scope:
            continue
        known = _state_of(tx, row.stream_id).subscriptions.get(row.subscription_id)
        if known is not None and known.terms is not None and known.baseline > 0:
            yield _of_ledger(known)


def _of_ledger(known: Subscription) -> Planned:
    assert known.terms is not None
    ids = Ids(customer_id=known.customer_id, subscription_id=known.id)
    state = SubscriptionState(at=known.at, changed_at=known.changed_at, ids=ids, now=known.terms, stage=Stage.IMPORTED)
    return Planned(
        state=state,
        currency=known.currency.code,
        mrr=_major(known, known.reported_mrr),
        unreported=_major(known, known.baseline),
        keeps_time=True,
    )


def _major(one: Subscription, minor: int) -> Decimal:
    return major(Money(minor=minor, currency=one.currency))
