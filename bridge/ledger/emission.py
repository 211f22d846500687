"""Revenue events of payments and movements: their types, amounts and order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bridge.ledger.audit_notes import AuditNotes, format_amount
from bridge.ledger.events import NO_PLAN_DETAILS, Draft, EventType, PlanDetails
from bridge.ledger.movements import Movement
from bridge.ledger.payments import PaymentDelta, bills_of_nothing, is_before_start, pair_with_movements
from bridge.ledger.policy import MovementAmount, Policy, RefundAmount
from bridge.ledger.receivables import Receivables
from bridge.ledger.references import receivable_of_payment
from bridge.ledger.state import Subscription
from bridge.ledger.subscriptions import SubscriptionFold
from processors.facts import Fact, Link, Payment, Reason, Status
from processors.values import replace


def draft_events(
    facts: Sequence[Fact], deltas: Sequence[PaymentDelta], receivables: Receivables, fold: SubscriptionFold
) -> list[Draft]:
    """Drafts of all payments, and of the movements that no payment pays for. Marks the payments as reported."""
    pairs = pair_with_movements([*deltas, *bills_of_nothing(receivables, facts)], fold.movements)
    paid = {id(pairs[delta.output_key]) for delta in deltas if delta.output_key in pairs}
    drafts = []
    for delta in deltas:
        draft = _payment_draft(delta, pairs.get(delta.output_key), fold)
        drafts.append(draft)
        is_recurring = delta.receivable.is_recurring or draft.is_recurring
        receivables.put(replace(delta.receivable, is_recurring=is_recurring, billed_plan=_billed_plan(delta, draft)))
        fold.notes.add(delta.event_ids, _note(delta, draft))
    return drafts + [_movement_draft(one, fold.rules.policy) for one in fold.movements if id(one) not in paid]


def in_order(drafts: list[Draft]) -> list[Draft]:
    """By time; at the same time movements first, then other payments, then refunds.

    Pulsora applies one customer's events in the order of delivery, so a start must precede what follows from it.
    """
    return sorted(drafts, key=_sort_key)


def _sort_key(draft: Draft) -> tuple[datetime, bool, bool, int, str]:
    is_refund = draft.event_type is EventType.REFUND
    has_no_movement = draft.movement_number == 0
    return (draft.moved_at or draft.at, is_refund, has_no_movement, draft.movement_number, draft.output_key)


# ---- Payments -----------------------------------------------------------------------------------------------------


def _payment_draft(delta: PaymentDelta, movement: Movement | None, fold: SubscriptionFold) -> Draft:
    draft = _unpaired_payment(delta, fold)
    if delta.is_correction:
        return _correction(draft, delta, fold.rules.policy)
    return _with_movement(draft, movement) if movement is not None else draft


def _unpaired_payment(delta: PaymentDelta, fold: SubscriptionFold) -> Draft:
    """A payment without a movement: a renewal of its subscription, else a purchase."""
    receivable = delta.receivable
    subscription = fold.subscriptions.get(receivable.subscription_id or "")
    is_single = receivable.subscription_id is None or receivable.reason is Reason.ONE_OFF
    is_for_trial = _is_in_first_trial(subscription) or any(is_before_start(delta, one) for one in fold.movements)
    is_renewal = not (is_single or is_for_trial)
    plan_details = PlanDetails(plan=receivable.plan)
    if is_renewal:
        plan_details = fold.plan_details_at(receivable.subscription_id, delta.at)
    return Draft(
        output_key=delta.output_key,
        event_type=EventType.RENEWAL if is_renewal else EventType.PURCHASE,
        amount_minor=delta.minor,
        currency=receivable.currency,
        transaction_id=delta.transaction_id,
        at=delta.at,
        is_recurring=is_renewal,
        guest_id=receivable.transaction_id,
        customer_id=delta.customer_id,
        mrr_minor=0 if is_renewal else None,
        subscription_id=receivable.subscription_id,
        invoice_id=receivable.invoice_id,
        payment_ids=delta.payment_ids,
        object_ids=delta.payment_ids,
        plan_details=replace(plan_details, coupon=receivable.coupon or plan_details.coupon),
        event_ids=delta.event_ids,
    )


def _is_in_first_trial(subscription: Subscription | None) -> bool:
    """Money taken during a first trial pays for the trial or a set-up: nothing recurs yet."""
    if subscription is None or subscription.terms is None or subscription.has_counted:
        return False
    return subscription.terms.status is Status.TRIALING


def _billed_plan(delta: PaymentDelta, draft: Draft) -> PlanDetails | None:
    """The plan that its refunds will name: also when a change of the subscription arrives before or after them."""
    known = delta.receivable.billed_plan
    is_first = known is None and draft.is_recurring and draft.plan_details != NO_PLAN_DETAILS
    return draft.plan_details if is_first else known


def _with_movement(payment: Draft, movement: Movement) -> Draft:
    """The payment as the event of the movement that it pays for."""
    coupon = payment.plan_details.coupon or movement.plan_details.coupon
    return replace(
        payment,
        event_type=movement.event_type,
        is_recurring=True,
        mrr_minor=movement.delta,
        plan_details=replace(movement.plan_details, coupon=coupon),
        extra_metadata=_movement_metadata(movement),
        event_ids=tuple(dict.fromkeys((*payment.event_ids, movement.event_id))),
        moved_at=movement.at,
        movement_number=movement.number,
        reports_baseline=movement.reports_baseline,
    )


def _correction(draft: Draft, delta: PaymentDelta, policy: Policy) -> Draft:
    """Takes back an over-reported amount."""
    is_negative = policy.refund_amount is RefundAmount.NEGATIVE
    return replace(
        draft,
        event_type=EventType.REFUND,
        amount_minor=delta.minor if is_negative else -delta.minor,
        mrr_minor=0,
        is_recurring=delta.receivable.is_recurring,
        extra_metadata={"refunded_transaction_id": delta.receivable.transaction_id, "reason": "correction"},
    )


# ---- Movements ----------------------------------------------------------------------------------------------------


def _movement_draft(movement: Movement, policy: Policy) -> Draft:
    """A movement without a payment: no money, and an id that follows from the movement, so that it survives replays."""
    shows_mrr = policy.movement_amount is MovementAmount.MRR
    return Draft(
        output_key=f"movement:{movement.subscription_id}:{movement.number}",
        event_type=movement.event_type,
        amount_minor=abs(movement.delta) if shows_mrr else 0,
        currency=movement.currency,
        transaction_id=f"{movement.subscription_id}:{movement.event_type}:{movement.number}",
        at=movement.at,
        is_recurring=True,
        guest_id=movement.subscription_id,
        customer_id=movement.customer_id,
        mrr_minor=movement.delta,
        subscription_id=movement.subscription_id,
        plan_details=movement.plan_details,
        extra_metadata=_movement_metadata(movement),
        event_ids=(movement.event_id,) if movement.event_id else (),
        movement_number=movement.number,
        reports_baseline=movement.reports_baseline,
    )


def _movement_metadata(movement: Movement) -> dict[str, object]:
    found: dict[str, object] = {}
    if movement.reason is not None:
        found["reason"] = movement.reason
    if movement.reactivation:
        found["reactivation"] = True
    if movement.previous_plan is not None:
        found["previous_plan"] = movement.previous_plan
    if movement.estimated:
        found["mrr_estimated"] = True
    return found


# ---- Notes --------------------------------------------------------------------------------------------------------


def note_facts_without_event(
    facts: Iterable[Fact], deltas: Iterable[PaymentDelta], receivables: Receivables, notes: AuditNotes
) -> None:
    """Notes for every payment without an event why it has none, and for a link that it is one."""
    reported = {event_id for delta in deltas for event_id in delta.event_ids}
    for fact in facts:
        if isinstance(fact, Link):
            notes.add((fact.processor_event_id,), "links ids that belong together")
        if isinstance(fact, Payment) and fact.processor_event_id not in reported:
            notes.add((fact.processor_event_id,), f"{fact.key}: {_why_no_event(fact, receivables)}")


def _why_no_event(payment: Payment, receivables: Receivables) -> str:
    if not payment.amount.minor:
        return "amount 0: no money has moved"
    receivable_id = receivable_of_payment(receivables.references, payment)
    return "already counted" if receivable_id == payment.key else f"already counted on {receivable_id}"


def _note(delta: PaymentDelta, draft: Draft) -> str:
    money = format_amount(draft.amount_minor, draft.currency)
    if delta.is_correction:
        return f"{delta.receivable.id}: more was reported than was paid; {money} taken back"
    mrr = f" with MRR {format_amount(draft.mrr_minor, draft.currency)}" if draft.mrr_minor else ""
    return f"{delta.receivable.id}: reported as {draft.event_type} of {money}{mrr}"
