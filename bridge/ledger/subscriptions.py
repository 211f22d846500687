"""Every subscription of a stream: its states applied in order, and the payments that prove more than its states say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bridge.ledger.audit_notes import AuditNotes, format_amount
from bridge.ledger.events import NO_PLAN_DETAILS, PlanDetails
from bridge.ledger.movements import (
    Cause,
    Movement,
    Step,
    confirm_start,
    correct_estimate,
    is_assumed_baseline,
    move_to,
    new_subscription,
)
from bridge.ledger.mrr import NOT_YET_COUNTING, ValuationRules, mrr_of, mrr_of_lines
from bridge.ledger.ordering import states_in_order
from bridge.ledger.payments import PaymentDelta
from bridge.ledger.plan_details import plan_details_of_lines
from bridge.ledger.references import References, subscription_of
from bridge.ledger.state import Subscription
from bridge.ledger.subscription_states import apply_state
from processors.facts import Fact, Item, Line, Payment, Reason, Status, SubscriptionState
from processors.money import round_minor

BILLED_WITHIN = timedelta(hours=1)  # a state's invoice follows it within this time
MAX_EARLY_BILLING = timedelta(days=1)  # the end of a trial may be billed this early
MAX_LATE_FIRST_PAYMENT = timedelta(days=1)  # the first payment follows the first state within this time


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledPeriod:
    """The lines that an invoice billed for one full period, by price."""

    at: datetime
    lines: Mapping[str, Line]


@dataclass(slots=True, kw_only=True)
class SubscriptionFold:
    """The subscriptions during a settlement, with their movements and the history of their plan details."""

    subscriptions: dict[str, Subscription]
    rules: ValuationRules
    notes: AuditNotes
    movements: list[Movement] = field(default_factory=list)
    plan_history: dict[str, list[tuple[datetime, PlanDetails]]] = field(default_factory=dict)

    def apply(self, step: Step, cause: Cause, event_ids: Sequence[str]) -> None:
        """Takes over the result of one step."""
        after = step.subscription
        before = self.subscriptions.get(after.id)
        if before is None or before.plan_details != after.plan_details:
            first = [(before.at, before.plan_details)] if before is not None else []
            self.plan_history.setdefault(after.id, first).append((cause.at, after.plan_details))
        self.subscriptions[after.id] = after
        self.movements.extend(step.movements)
        if step.note:
            self.notes.add(event_ids, f"{after.id}: {step.note}")

    def plan_details_at(self, subscription_id: str | None, at: datetime) -> PlanDetails:
        """The plan details of a subscription at that time."""
        known = self.subscriptions.get(subscription_id or "")
        if known is None:
            return NO_PLAN_DETAILS
        history = self.plan_history.get(known.id, [(known.at, known.plan_details)])
        return next((details for since, details in reversed(history) if since <= at), history[0][1])


def fold_subscriptions(
    fold: SubscriptionFold, facts: Sequence[Fact], deltas: Sequence[PaymentDelta], references: References
) -> None:
    """Applies the facts: all states first, then the payments, then the corrections of estimates.

    States come first because they are the authority: a payment counts as proof only where the states of the whole
    window have not said the same.
    """
    billed = _billed_periods(facts, references)
    _apply_states(fold, [fact for fact in facts if isinstance(fact, SubscriptionState)], billed)
    _apply_payments(fold, deltas, billed)
    for subscription_id, periods in billed.items():
        known = fold.subscriptions.get(subscription_id)
        if known is not None:
            fold.subscriptions[subscription_id] = _with_billed_lines(known, periods[-1])
    if facts:
        _correct_estimates(fold, facts[-1])


def _apply_states(
    fold: SubscriptionFold, states: Iterable[SubscriptionState], billed: Mapping[str, Sequence[BilledPeriod]]
) -> None:
    grouped: dict[str, list[SubscriptionState]] = {}
    for state in states:
        grouped.setdefault(state.ids.subscription_id or "", []).append(state)
    for subscription_id, own in grouped.items():
        known = fold.subscriptions.get(subscription_id)
        periods = billed.get(subscription_id, ())
        for state in states_in_order(own, known.terms if known else None):
            known = known or new_subscription(subscription_id, state.now.currency, state.at)
            cause = Cause(at=state.at, event_id=state.processor_event_id)
            step = apply_state(_with_lines_for(known, state.at, state.now.items, periods), state, fold.rules)
            fold.apply(step, cause, (state.processor_event_id,))
            known = step.subscription


def _apply_payments(
    fold: SubscriptionFold, deltas: Sequence[PaymentDelta], billed: Mapping[str, Sequence[BilledPeriod]]
) -> None:
    for delta in deltas:
        subscription_id, reason = delta.receivable.subscription_id, delta.receivable.reason
        if subscription_id is None or delta.is_correction or reason is Reason.ONE_OFF:
            continue
        known = fold.subscriptions.get(subscription_id)
        known = known or new_subscription(subscription_id, delta.receivable.currency, delta.at)
        items = known.terms.items if known.terms is not None else ()
        known = _with_lines_for(known, delta.at, items, billed.get(subscription_id, ()))
        cause = Cause(at=delta.at, event_id=delta.event_ids[0])
        fold.apply(apply_payment_proof(known, reason, cause, fold.rules), cause, delta.event_ids)


def _correct_estimates(fold: SubscriptionFold, latest: Fact) -> None:
    cause = Cause(at=latest.at, event_id=latest.processor_event_id)
    for known in [one for one in fold.subscriptions.values() if one.estimated]:
        fold.apply(correct_estimate(known, cause, fold.rules), cause, (cause.event_id,))


# ---- Proof by payment ---------------------------------------------------------------------------------------------


def apply_payment_proof(known: Subscription, reason: Reason, cause: Cause, rules: ValuationRules) -> Step:
    """The subscription after a payment, where no state has said yet that it started or is active."""
    is_new = known.terms is None and not known.has_counted
    if is_new and reason is not Reason.START:
        return _baseline_from_lines(known, rules)
    is_first_payment = reason is Reason.START and cause.at <= known.first_seen_at + MAX_LATE_FIRST_PAYMENT
    if is_assumed_baseline(known) and is_first_payment:
        return confirm_start(known, cause, known.plan_details)
    if is_new or _proves_start(known, reason, cause.at):
        return _start_by_payment(known, cause, rules)
    return Step(subscription=known)


def _baseline_from_lines(known: Subscription, rules: ValuationRules) -> Step:
    """An older subscription that is first seen through a payment: its MRR is the baseline, which is not reported."""
    mrr = mrr_of_lines(known.billed_lines.values(), rules.catalog, rules.policy)
    minor = round_minor(mrr.exact)
    after = replace(
        known,
        mrr=mrr.exact,
        reported_mrr=minor,
        baseline=minor,
        has_counted=minor > 0,
        estimated=minor > 0,
        plan_details=plan_details_of_lines(known.billed_lines.values(), rules.catalog),
    )
    return Step(
        subscription=after, note=f"first seen active: MRR of {format_amount(minor, known.currency)} is its baseline"
    )


def _proves_start(known: Subscription, reason: Reason, at: datetime) -> bool:
    """Whether the payment can only mean that a subscription which has not counted yet has started."""
    if known.ended or known.has_counted or known.terms is None or known.terms.status not in NOT_YET_COUNTING:
        return False
    if known.terms.status is Status.INCOMPLETE:
        return reason in (Reason.START, Reason.CYCLE)
    is_trial_over = known.trial_ends_at is not None and at >= known.trial_ends_at - MAX_EARLY_BILLING
    return reason is Reason.CYCLE and is_trial_over  # a payment during the trial buys the trial


def _start_by_payment(known: Subscription, cause: Cause, rules: ValuationRules) -> Step:
    """A paid subscription is active, although its own state has not said so yet."""
    if known.terms is not None:
        mrr = mrr_of(known.terms, rules.context(cause.at, known.billed_lines), proven_active=True)
        plan_details = known.plan_details
    else:
        mrr = mrr_of_lines(known.billed_lines.values(), rules.catalog, rules.policy)
        plan_details = plan_details_of_lines(known.billed_lines.values(), rules.catalog)
    step = move_to(replace(known, proven_active_at=cause.at, plan_details=plan_details), mrr, cause)
    return replace(step, note=f"active, since it is paid: {step.note}")


# ---- Billed lines: the amounts where a price leaves something out -------------------------------------------------


def full_period_lines(lines: Iterable[Line]) -> dict[str, Line]:
    """The lines for a full period, by price. Two lines of one price are added up."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.proration or line.metered or line.amount <= 0:
            continue
        key = line.price_id or line.product_id or line.name or ""
        found[key] = _sum(found[key], line) if key in found else line
    return found


def _sum(one: Line, other: Line) -> Line:
    return replace(
        one,
        amount=one.amount + other.amount,
        discount=one.discount + other.discount,
        quantity=one.quantity + other.quantity,
    )


def _billed_periods(facts: Iterable[Fact], references: References) -> dict[str, list[BilledPeriod]]:
    """The full periods billed, in order, by subscription."""
    found: dict[str, list[BilledPeriod]] = {}
    for fact in facts:
        lines = full_period_lines(fact.lines) if isinstance(fact, Payment) and fact.lines else None
        subscription_id = subscription_of(references, fact.ids) if lines else None
        if lines and subscription_id is not None:
            found.setdefault(subscription_id, []).append(BilledPeriod(at=fact.at, lines=lines))
    return found


def _with_lines_for(
    known: Subscription, at: datetime, items: Iterable[Item], periods: Sequence[BilledPeriod]
) -> Subscription:
    """The subscription with the lines that fit its items at this time best.

    For each price: a line of the same quantity from any invoice of the window, else the last line billed by then, else
    the first billed at all. An invoice may be dated before or after the state that it bills.
    """
    if not periods:
        return known
    by_then = [period.lines for period in periods if period.at <= at + BILLED_WITHIN]
    lines = by_then[-1] if by_then else known.billed_lines or periods[0].lines
    same_quantity = {
        item.price.id: line
        for item in items
        for period in periods
        if (line := period.lines.get(item.price.id)) is not None and line.quantity == item.quantity
    }
    return replace(known, billed_lines={**lines, **same_quantity})


def _with_billed_lines(known: Subscription, period: BilledPeriod) -> Subscription:
    if known.billed_at is not None and period.at < known.billed_at:
        return known
    return replace(known, billed_lines=period.lines, billed_at=period.at)
