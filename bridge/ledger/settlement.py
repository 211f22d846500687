"""Settling: one stream's facts, applied to its state in the order in which they happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.ledger.attribution import (
    VISIT_FOUND,
    AttributionContext,
    attributed,
    collect_touchpoints,
    released,
    still_held,
)
from bridge.ledger.audit_notes import AuditNotes
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog
from bridge.ledger.customer_movements import by_customer
from bridge.ledger.discounts import customer_discounts_changed_at, with_customer_discounts
from bridge.ledger.emission import draft_events, in_order, note_facts_without_event
from bridge.ledger.events import Draft, RevenueEvent
from bridge.ledger.ordering import facts_in_order
from bridge.ledger.payments import payment_deltas
from bridge.ledger.policy import MovementsBy, Policy
from bridge.ledger.receivables import Receivables, apply_payments
from bridge.ledger.references import with_facts
from bridge.ledger.refunds import RefundContext, settle_refunds
from bridge.ledger.state import State
from bridge.ledger.subscriptions import SubscriptionFold, fold_subscriptions
from bridge.ledger.valuation import ValuationRules
from processors.facts import Fact, Refund
from processors.values import Value, field, replace


class Settlement(Value):
    """The state to store, the events to send, and the held events whose visit is known now (`released`).

    `notes`: the effect of each fact, or why it had none, by the processor's event id.
    """

    state: State
    events: tuple[RevenueEvent, ...] = ()
    released: tuple[RevenueEvent, ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def settle(state: State, facts: Sequence[Fact], policy: Policy, catalog: Catalog = EMPTY_CATALOG) -> Settlement:
    """Settles the facts of one stream. The result is the same in every order and with any duplicates."""
    ordered = facts_in_order(facts)
    notes = AuditNotes()
    receivables = Receivables(
        stored=state.receivables,
        references=with_facts(state.references, ordered),
        unmatched=dict(state.unmatched),
        catalog=catalog,
        adopted=state.adopted,
    )
    apply_payments(receivables, ordered)
    discounts = with_customer_discounts(state.customer_discounts, ordered)
    rules = ValuationRules(policy=policy, catalog=catalog, customer_discounts=discounts)
    fold = SubscriptionFold(
        subscriptions=dict(state.subscriptions),
        rules=rules,
        notes=notes,
        customer_discounts_at=state.customer_discounts_at,
    )
    customer_id = state.customer_id or _customer_of(ordered)
    drafts = _settle_money(ordered, receivables, fold)
    if policy.movements_by is MovementsBy.CUSTOMER:
        drafts = by_customer(drafts, fold.subscriptions, customer_id, notes)

    known = AttributionContext(touchpoints=state.touchpoints, customer_id=customer_id, policy=policy)
    touchpoints = collect_touchpoints(ordered, receivables.references, known, notes)
    context = replace(known, touchpoints=touchpoints)
    events = tuple(attributed(draft, context) for draft in drafts)
    may_release = touchpoints is not state.touchpoints or bool(state.adopted)
    freed = released(state.held, context) if may_release else ()
    if freed:
        named = [event_id for event_id, texts in notes.by_event.items() if VISIT_FOUND in texts]
        notes.add(named, f"releases {', '.join(event.transaction_id for event in freed)}")
    return Settlement(
        state=State(
            customer_id=customer_id,
            references=receivables.references,
            touchpoints=touchpoints,
            subscriptions=fold.subscriptions,
            receivables=receivables.to_store(),
            unmatched=receivables.unmatched,
            held=still_held(state.held, freed, zip(drafts, events, strict=True), policy),
            customer_discounts=discounts,
            customer_discounts_at=customer_discounts_changed_at(state.customer_discounts_at, ordered),
        ),
        events=events,
        released=freed,
        notes=notes.collected(),
    )


def _settle_money(facts: Sequence[Fact], receivables: Receivables, fold: SubscriptionFold) -> list[Draft]:
    """The facts' events in order; receivables and subscriptions are updated.

    The order of the steps matters: payments prove starts, so they are known before subscriptions; movements are paired
    with payments, so they are known before events; refunds need the transaction ids of the payments' events.
    """
    policy, notes = fold.rules.policy, fold.notes
    deltas = payment_deltas(receivables, facts, policy)
    fold_subscriptions(fold, facts, deltas, receivables.references)
    drafts = draft_events(facts, deltas, receivables, fold)
    note_facts_without_event(facts, deltas, receivables, notes)
    context = RefundContext(receivables=receivables, fold=fold, policy=policy, notes=notes)
    settle_refunds((fact for fact in facts if isinstance(fact, Refund)), context)
    return in_order(drafts + context.drafts)


def _customer_of(facts: Sequence[Fact]) -> str | None:
    return next((fact.ids.customer_id for fact in facts if fact.ids.customer_id), None)
