"""How payments and movements of MRR become events: which type each is, and what it carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.ledger.bills import Books
from bridge.ledger.changing import changed
from bridge.ledger.drafts import Draft, Labels
from bridge.ledger.events import EventType, MovementAmount, Policy, RefundAmount
from bridge.ledger.links import bill_of_payment
from bridge.ledger.movements import Movement
from bridge.ledger.payments import Due, paired
from bridge.ledger.remarks import Remarks, shown
from bridge.ledger.state import Subscription
from bridge.ledger.subscriptions import Lives
from processors.facts import Fact, Link, Payment, Reason, Status


def told(dues: Sequence[Due], books: Books, lives: Lives) -> list[Draft]:
    """Drafts of all payments and of the movements that no payment carries; the books know that they are told."""
    pairs = paired(dues, lives.movements)
    carried = {id(movement) for movement in pairs.values()}
    drafts = [_of_money(due, pairs.get(due.output_key), lives) for due in dues]
    for due, draft in zip(dues, drafts, strict=True):
        books.put(changed(due.bill, recurring=due.bill.recurring or draft.is_recurring))
        lives.remarks.add(due.event_ids, _remark(due, draft))
    return drafts + [_of_movement(one, lives.eyes.policy) for one in lives.movements if id(one) not in carried]


def remark_silent(facts: Iterable[Fact], dues: Iterable[Due], books: Books, remarks: Remarks) -> None:
    """Says of every payment that gave no event why it did not, and of a link what it is."""
    told_by = {event_id for due in dues for event_id in due.event_ids}
    for fact in facts:
        if isinstance(fact, Link):
            remarks.add((fact.processor_event_id,), "says what belongs together")
        if isinstance(fact, Payment) and fact.processor_event_id not in told_by:
            remarks.add((fact.processor_event_id,), f"{fact.key}: {_why_silent(fact, books)}")


def _why_silent(payment: Payment, books: Books) -> str:
    if not payment.amount.minor:
        return "nothing was paid with it: no money has moved"
    home = bill_of_payment(books.links, payment)
    return "counted already" if home == payment.key else f"counted already on {home}"


def _of_money(due: Due, movement: Movement | None, lives: Lives) -> Draft:
    draft = _payment(due, lives)
    if due.is_correction:
        return _correction(draft, due, lives.eyes.policy)
    return _with_movement(draft, movement) if movement is not None else draft


def _payment(due: Due, lives: Lives) -> Draft:
    """A payment by itself: a renewal of its subscription, else a purchase."""
    bill = due.bill
    subscription = lives.subscriptions.get(bill.subscription_id or "")
    recurs = not (bill.subscription_id is None or bill.reason is Reason.ONE_OFF or _in_trial(subscription))
    labels = lives.labels_at(bill.subscription_id, due.at) if recurs else Labels(plan=bill.plan)
    return Draft(
        output_key=due.output_key,
        event_type=EventType.RENEWAL if recurs else EventType.PURCHASE,
        minor=due.minor,
        currency=bill.currency,
        transaction_id=due.transaction_id,
        at=due.at,
        is_recurring=recurs,
        guest_id=bill.transaction_id,
        mrr=0 if recurs else None,
        subscription_id=bill.subscription_id,
        invoice_id=bill.id if bill.invoiced else None,
        payment_ids=due.payment_ids,
        objects=due.payment_ids,
        labels=changed(labels, coupon=bill.coupon or labels.coupon) if bill.coupon else labels,
        event_ids=due.event_ids,
    )


def _with_movement(payment: Draft, movement: Movement) -> Draft:
    """The payment as the event of the movement that it pays for."""
    return changed(
        payment,
        event_type=movement.event_type,
        is_recurring=True,
        mrr=movement.delta,
        labels=changed(movement.labels, coupon=payment.labels.coupon or movement.labels.coupon),
        extra=_extra(movement),
        event_ids=tuple(dict.fromkeys((*payment.event_ids, movement.event_id))),
        moved_at=movement.at,
        step=movement.number,
    )


def _correction(draft: Draft, due: Due, policy: Policy) -> Draft:
    """What was told too much, taken back."""
    negative = policy.refund_amount is RefundAmount.NEGATIVE
    return changed(
        draft,
        event_type=EventType.REFUND,
        minor=due.minor if negative else -due.minor,
        mrr=0,
        is_recurring=due.bill.recurring,
        extra={"refunded_transaction_id": due.bill.transaction_id, "reason": "correction"},
    )


def _in_trial(subscription: Subscription | None) -> bool:
    """Money taken while a subscription is on trial buys the trial (or a set-up): nothing recurs yet."""
    if subscription is None or subscription.terms is None or subscription.counted:
        return False
    return subscription.terms.status is Status.TRIALING


def _of_movement(movement: Movement, policy: Policy) -> Draft:
    """A movement that no payment carries: it moves no money, and has an id of its own."""
    by_mrr = policy.movement_amount is MovementAmount.MRR
    return Draft(
        output_key=f"movement:{movement.subscription_id}:{movement.number}",
        event_type=movement.event_type,
        minor=abs(movement.delta) if by_mrr else 0,
        currency=movement.currency,
        transaction_id=f"{movement.subscription_id}:{movement.event_type}:{movement.number}",
        at=movement.at,
        is_recurring=True,
        guest_id=movement.subscription_id,
        mrr=movement.delta,
        subscription_id=movement.subscription_id,
        labels=movement.labels,
        extra=_extra(movement),
        event_ids=(movement.event_id,) if movement.event_id else (),
        step=movement.number,
    )


def _extra(movement: Movement) -> dict[str, object]:
    told: dict[str, object] = {}
    if movement.reason is not None:
        told["reason"] = movement.reason
    if movement.reactivation:
        told["reactivation"] = True
    if movement.previous_plan is not None:
        told["previous_plan"] = movement.previous_plan
    if movement.estimated:
        told["mrr_estimated"] = True
    return told


def _remark(due: Due, draft: Draft) -> str:
    money = shown(draft.minor, draft.currency)
    if due.is_correction:
        return f"{due.bill.id}: more was told than was paid, {money} taken back"
    mrr = f" with MRR {shown(draft.mrr, draft.currency)}" if draft.mrr else ""
    return f"{due.bill.id}: told as {draft.event_type} of {money}{mrr}"
