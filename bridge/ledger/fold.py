"""The settlement: one stream's facts folded into its state, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bridge.ledger.attribution import attributed, marked, released, waiting
from bridge.ledger.drafts import Draft
from bridge.ledger.events import EventType, MovementAmount, Policy, RevenueEvent
from bridge.ledger.knowledge import NOTHING_KNOWN, Knowledge
from bridge.ledger.links import linked, subscription_of
from bridge.ledger.movements import (
    Cause,
    Movement,
    after_start,
    after_state,
    proven_level,
    reconsidered,
    silent_baseline,
    unseen,
)
from bridge.ledger.order import by_time, distinct, states_in_order
from bridge.ledger.payments import Due, billed, dues, paired
from bridge.ledger.refunds import Desk, settle_refunds
from bridge.ledger.state import Bill, Labels, Links, State, Subscription
from processors.facts import Fact, Line, Payment, Reason, Refund, Status, SubscriptionState

_TYPE_RANK: Mapping[EventType, int] = {kind: rank for rank, kind in enumerate(EventType)}
_UNPROVEN = frozenset({Status.INCOMPLETE, Status.TRIALING})
_TRIAL_SLACK = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What settling gave: the state to keep, the events to send, and the held ones whose visit is known now.

    `remarks`: a sentence or two by the processor's event id, for `explain`.
    """

    state: State
    events: tuple[RevenueEvent, ...] = ()
    released: tuple[RevenueEvent, ...] = ()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Work:
    """The settlement in the making."""

    policy: Policy
    knowledge: Knowledge
    links: Links
    payments: list[Payment]
    subscriptions: dict[str, Subscription]
    movements: list[Movement] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, event_id: str, text: str) -> None:
        if text and text not in self.remarks.setdefault(event_id, []):
            self.remarks[event_id].append(text)


def settle(state: State, facts: Sequence[Fact], policy: Policy, knowledge: Knowledge = NOTHING_KNOWN) -> Settlement:
    """Folds the facts of one stream into its state. Every order and repetition of the same facts gives the same."""
    ordered = by_time(distinct(facts))
    links = linked(state.links, ordered)
    marks = marked(state.marks, ordered, links, policy)
    customer_id = state.customer_id or next((fact.ids.customer_id for fact in ordered if fact.ids.customer_id), None)
    work = _Work(
        policy=policy,
        knowledge=knowledge,
        links=links,
        payments=[fact for fact in ordered if isinstance(fact, Payment)],
        subscriptions=dict(state.subscriptions),
    )

    bills = billed(state.bills, work.payments, links)
    _remember_lines(work)
    _fold_states([fact for fact in ordered if isinstance(fact, SubscriptionState)], work)
    due = dues(state.bills, bills, work.payments, links, policy)
    _prove_by_payment(due, work)
    _reconsider(ordered, work)
    drafts, bills = _told(due, bills, work)
    desk = Desk(
        bills=bills,
        subscriptions=work.subscriptions,
        links=links,
        policy=policy,
        refunds=dict(state.refunds),
        pooled=dict(state.pooled),
    )
    settle_refunds([fact for fact in ordered if isinstance(fact, Refund)], desk)
    drafts = sorted([*drafts, *desk.drafts], key=lambda one: (one.at, _TYPE_RANK[one.event_type], one.output_key))

    freed, held = released(state.held, marks)
    events = [attributed(draft, marks, customer_id, policy) for draft in drafts]
    still = [waiting(draft, event, policy) for draft, event in zip(drafts, events, strict=True)]
    return Settlement(
        state=State(
            customer_id=customer_id,
            links=links,
            marks=marks,
            subscriptions=work.subscriptions,
            bills=bills,
            refunds=desk.refunds,
            pooled={key: minor for key, minor in desk.pooled.items() if minor},
            held=(*held, *(one for one in still if one is not None)),
        ),
        events=tuple(events),
        released=freed,
        remarks={event_id: tuple(texts) for event_id, texts in work.remarks.items()},
    )


def _remember_lines(work: _Work) -> None:
    """What each subscription was last billed for a full period: the measure where a price leaves something out."""
    for payment in work.payments:
        subscription = work.subscriptions.get(_subscription_of(payment, work) or "")
        lines = full_lines(payment)
        if subscription is None or not lines:
            continue
        if subscription.lines_at is None or payment.at >= subscription.lines_at:
            work.subscriptions[subscription.id] = replace(subscription, lines=lines, lines_at=payment.at)


def full_lines(payment: Payment) -> dict[str, Line]:
    """The payment's lines that billed a whole period, by price; two lines of one price are one."""
    found: dict[str, Line] = {}
    for line in payment.lines or ():
        if line.proration or line.metered or line.amount <= 0:
            continue
        key = line.price_id or line.product_id or line.name or ""
        same = found.get(key)
        if same is not None:
            line = replace(
                line,
                amount=line.amount + same.amount,
                discount=line.discount + same.discount,
                quantity=line.quantity + same.quantity,
            )
        found[key] = line
    return found


def _fold_states(states: Sequence[SubscriptionState], work: _Work) -> None:
    """Takes every subscription through its states."""
    grouped: dict[str, list[SubscriptionState]] = {}
    for state in states:
        grouped.setdefault(state.ids.subscription_id or "", []).append(state)
    lines = _lines_by_subscription(work)
    for subscription_id, own in sorted(grouped.items()):
        known = work.subscriptions.get(subscription_id)
        for state in states_in_order(own, known.terms if known else None):
            if known is None and subscription_id in lines:
                known = unseen(subscription_id, state.now.currency, state.at, lines[subscription_id])
            step = after_state(known, state, work.knowledge, work.policy)
            known = step.subscription
            work.movements.extend(step.movements)
            work.remark(state.processor_event_id, f"{subscription_id}: {state.now.status}, {step.remark}")
        if known is not None:
            work.subscriptions[subscription_id] = known


def _lines_by_subscription(work: _Work) -> dict[str, dict[str, Line]]:
    found: dict[str, dict[str, Line]] = {}
    for payment in work.payments:
        subscription_id = _subscription_of(payment, work)
        lines = full_lines(payment)
        if subscription_id is not None and lines:
            found[subscription_id] = lines
    return found


def _prove_by_payment(due: Sequence[Due], work: _Work) -> None:
    """A subscription whose own state has not said so yet runs when its payment has come."""
    lines = _lines_by_subscription(work)
    for one in due:
        subscription_id = one.bill.subscription_id
        if subscription_id is None or one.bill.reason is Reason.ONE_OFF:
            continue
        cause = Cause(at=one.at, event_id=one.event_ids[0])
        known = work.subscriptions.get(subscription_id)
        if known is None:
            known = unseen(subscription_id, one.bill.currency, one.at, lines.get(subscription_id, {}))
            if one.bill.reason is not Reason.START:
                level = proven_level(known, one.at, work.knowledge, work.policy)
                work.subscriptions[subscription_id] = silent_baseline(known, level)
                work.remark(cause.event_id, f"{subscription_id}: first seen, its MRR is taken as the baseline")
                continue
        elif not _starts(known, one):
            continue
        step = after_start(known, cause, proven_level(known, one.at, work.knowledge, work.policy))
        work.subscriptions[subscription_id] = step.subscription
        work.movements.extend(step.movements)
        work.remark(cause.event_id, f"{subscription_id}: runs since it is paid, {step.remark}")


def _starts(known: Subscription, due: Due) -> bool:
    """Whether a payment can only mean that a subscription which did not count yet has begun."""
    if known.ended or known.counted or known.terms is None or known.terms.status not in _UNPROVEN:
        return False
    if known.terms.status is Status.INCOMPLETE:
        return due.bill.reason in (Reason.START, Reason.CYCLE)
    over = known.trial_ends_at is not None and due.at >= known.trial_ends_at - _TRIAL_SLACK
    return due.bill.reason is Reason.CYCLE and over


def _reconsider(facts: Sequence[Fact], work: _Work) -> None:
    """Levels that rested on a guess, once more with what is known now."""
    if not facts:
        return
    latest = facts[-1]
    for subscription_id, known in sorted(work.subscriptions.items()):
        step = reconsidered(known, latest.at, work.knowledge, work.policy)
        work.subscriptions[subscription_id] = step.subscription
        work.movements.extend(replace(one, event_id=latest.processor_event_id) for one in step.movements)


def _told(due: Sequence[Due], bills: dict[str, Bill], work: _Work) -> tuple[list[Draft], dict[str, Bill]]:
    """Drafts of all payments and of the movements that no payment carries, and the bills once these are told."""
    pairs = paired(due, work.movements)
    carried = {(one.subscription_id, one.number) for one in pairs.values()}
    drafts: list[Draft] = []
    after = dict(bills)
    for one in due:
        draft = _payment_draft(one, pairs.get(one.output_key), work)
        drafts.append(draft)
        after[one.bill.id] = replace(one.bill, recurring=one.bill.recurring or draft.is_recurring)
        for event_id in one.event_ids:
            work.remark(event_id, f"{one.bill.id}: paid, told as {draft.event_type}")
    drafts += [_movement_draft(one, work) for one in work.movements if (one.subscription_id, one.number) not in carried]
    return drafts, after


def _payment_draft(due: Due, movement: Movement | None, work: _Work) -> Draft:
    bill = due.bill
    subscription = work.subscriptions.get(bill.subscription_id or "")
    one_off = bill.subscription_id is None or bill.reason is Reason.ONE_OFF or _in_trial(subscription, due)
    kind = EventType.PURCHASE if one_off else EventType.RENEWAL
    labels = subscription.labels if subscription is not None and not one_off else Labels(plan=bill.plan)
    return Draft(
        output_key=due.output_key,
        event_type=movement.event_type if movement else kind,
        minor=due.minor,
        currency=bill.currency,
        transaction_id=due.transaction_id,
        at=due.at,
        is_recurring=not one_off or movement is not None,
        guest_id=bill.transaction_id or due.transaction_id,
        mrr=movement.delta if movement else (None if one_off else 0),
        subscription_id=bill.subscription_id,
        invoice_id=bill.id if bill.invoiced else None,
        payment_ids=due.payment_ids,
        objects=due.payment_ids,
        labels=movement.labels if movement else labels,
        extra=_extra(movement) if movement else {},
        event_ids=due.event_ids,
    )


def _in_trial(subscription: Subscription | None, due: Due) -> bool:
    """Money taken while a subscription is on trial buys the trial (or a set-up): nothing recurs yet."""
    if subscription is None or subscription.terms is None or subscription.counted:
        return False
    return subscription.terms.status is Status.TRIALING


def _movement_draft(movement: Movement, work: _Work) -> Draft:
    """A movement that no payment carries: it moves no money, and has an id of its own."""
    name = f"{movement.subscription_id}:{movement.event_type}:{movement.number}"
    by_mrr = work.policy.movement_amount is MovementAmount.MRR
    return Draft(
        output_key=f"movement:{movement.subscription_id}:{movement.number}",
        event_type=movement.event_type,
        minor=abs(movement.delta) if by_mrr else 0,
        currency=movement.currency,
        transaction_id=name,
        at=movement.at,
        is_recurring=True,
        guest_id=movement.subscription_id,
        mrr=movement.delta,
        subscription_id=movement.subscription_id,
        labels=movement.labels,
        extra=_extra(movement),
        event_ids=(movement.event_id,) if movement.event_id else (),
    )


def _extra(movement: Movement) -> dict[str, object]:
    return {
        "reason": movement.reason,
        "reactivation": movement.reactivation,
        "previous_plan": movement.previous_plan,
        "mrr_estimated": movement.estimated,
    }


def _subscription_of(payment: Payment, work: _Work) -> str | None:
    return subscription_of(work.links, payment.ids)
