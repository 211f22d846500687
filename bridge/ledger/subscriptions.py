"""Every subscription of a stream: its states applied in order, and the payments that prove more than its states say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.ledger.audit_notes import AuditNotes, format_amount
from bridge.ledger.events import NO_PLAN_DETAILS, PlanDetails
from bridge.ledger.item_amounts import BILLED_WITHIN
from bridge.ledger.measurements import Bill, bills_of, last_full_lines, measurements_of, to_store
from bridge.ledger.movements import (
    Cause,
    Movement,
    Step,
    apply_customer_discounts,
    confirm_start,
    correct_valuation,
    has_open_baseline,
    is_assumed_baseline,
    move_to,
    new_subscription,
)
from bridge.ledger.mrr import NOT_YET_COUNTING, mrr_of, mrr_of_lines
from bridge.ledger.ordering import states_in_order
from bridge.ledger.payments import PaymentDelta
from bridge.ledger.plan_details import plan_details_of_lines
from bridge.ledger.references import References
from bridge.ledger.state import Subscription
from bridge.ledger.subscription_states import apply_state
from bridge.ledger.valuation import ValuationRules
from processors.facts import Fact, Line, Link, Reason, Status, SubscriptionState, Terms
from processors.money import round_minor
from processors.values import replace

MAX_EARLY_BILLING = timedelta(days=1)  # the end of a trial may be billed this early
PAUSES_BEFORE_END = timedelta(hours=1)  # a pause that the end follows within this time is reported with it
MAX_LATE_FIRST_PAYMENT = timedelta(days=1)  # the first payment follows the first state within this time


@dataclass(slots=True, kw_only=True)
class SubscriptionFold:
    """The subscriptions during a settlement, with their movements and the history of their plan details.

    `customer_discounts_at`: when the latest discount on the customer that was settled before began or ended.
    """

    subscriptions: dict[str, Subscription]
    rules: ValuationRules
    notes: AuditNotes
    customer_discounts_at: datetime | None = None
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
    """Applies the facts: all states first, then the payments, then the corrections by what bills and catalog say.

    States come first because they are the authority: a payment counts as proof only where the states of the whole
    window have not said the same.
    """
    bills = bills_of(facts, references)
    measured = {subscription_id: measurements_of(own, fold.rules.catalog) for subscription_id, own in bills.items()}
    fold.rules = replace(fold.rules, bills=bills, measured=measured)
    _apply_states(fold, facts)
    _apply_payments(fold, deltas)
    _store_evidence(fold)
    if facts:
        _correct_valuations(fold, facts[-1], bills)


def _apply_states(fold: SubscriptionFold, facts: Iterable[Fact]) -> None:
    grouped: dict[str, list[SubscriptionState]] = {subscription_id: [] for subscription_id in fold.subscriptions}
    causes = []
    for fact in facts:
        if isinstance(fact, SubscriptionState):
            grouped.setdefault(fact.ids.subscription_id or "", []).append(fact)
        elif isinstance(fact, Link) and fact.customer_discount is not None:
            causes.append(Cause(at=fact.at, event_id=fact.processor_event_id))
    for subscription_id, own in grouped.items():
        _apply_own_states(fold, subscription_id, own, causes)


def _apply_own_states(
    fold: SubscriptionFold, subscription_id: str, states: Sequence[SubscriptionState], discounts: Sequence[Cause]
) -> None:
    """One subscription's states in order, and between them what corrects or changes its MRR without a state."""
    known = _with_corrected_baseline(fold, subscription_id)
    waiting = [*_discounts_settled_before(fold, known, states), *discounts]
    settled_terms = known.terms if known else None
    bills = _causes(fold.rules.bills.get(subscription_id, ())) if settled_terms is not None else []
    for state in _steps(fold, states, settled_terms):
        if known is not None and known.terms == settled_terms:
            known = _apply_corrections(fold, known, bills, until=state.at)
        while known is not None and waiting and waiting[0].at <= state.at:
            known = _apply_customer_discount(fold, known, waiting.pop(0))
        known = known or new_subscription(subscription_id, state.now.currency, state.at)
        cause = Cause(at=state.at, event_id=state.processor_event_id)
        step = apply_state(known, state, fold.rules)
        fold.apply(step, cause, (state.processor_event_id,))
        known = step.subscription
    for cause in waiting:
        known = None if known is None else _apply_customer_discount(fold, known, cause)
    if known is not None and known.terms == settled_terms:
        _apply_corrections(fold, known, bills)


def _apply_corrections(
    fold: SubscriptionFold, known: Subscription, bills: list[Cause], until: datetime | None = None
) -> Subscription:
    """The terms that were settled before, valued anew by each bill until then: not by a bill that follows a change.

    So an end takes off what the bill before it showed, whether both are settled together or one after the other.
    """
    while bills and (until is None or bills[0].at < until):
        known = _apply_correction(fold, known, bills.pop(0))
    return known


def _steps(
    fold: SubscriptionFold, states: Sequence[SubscriptionState], known: Terms | None
) -> Iterator[SubscriptionState]:
    """The states in order, without those that the end follows at once.

    A pause that the end follows within the hour is part of the end, in whatever order their webhooks arrive: the end
    does not state what preceded it.
    """
    ordered = list(states_in_order(states, known))
    for number, state in enumerate(ordered):
        if (known or number) and _is_part_of_end(state, ordered[number + 1 :]):
            fold.notes.add((state.processor_event_id,), f"{state.ids.subscription_id}: reported with its end")
        else:
            yield state


def _is_part_of_end(state: SubscriptionState, following: Sequence[SubscriptionState]) -> bool:
    """Whether it is a pause, and the end is the next thing that follows but for other webhooks of the pause."""
    if state.now.status is not Status.PAUSED:
        return False
    then = next((one for one in following if one.now.status is not Status.PAUSED), None)
    return then is not None and then.now.status is Status.ENDED and abs(then.at - state.at) <= PAUSES_BEFORE_END


def _discounts_settled_before(
    fold: SubscriptionFold, known: Subscription | None, states: Sequence[SubscriptionState]
) -> list[Cause]:
    """The latest change of the customer's discounts, if it did not concern this subscription when it was settled.

    A state that arrives only now may be older than it.
    """
    at = fold.customer_discounts_at
    is_applied = known is not None and known.terms is not None and at is not None and known.mrr_at >= at
    if at is None or is_applied or not states:
        return []
    return [Cause(at=at, event_id=states[-1].processor_event_id)]


def _with_corrected_baseline(fold: SubscriptionFold, subscription_id: str) -> Subscription | None:
    """The subscription, whose baseline is first corrected by this window's bills: its end must take off the same."""
    known, bills = fold.subscriptions.get(subscription_id), fold.rules.bills.get(subscription_id)
    if known is None or not bills or not has_open_baseline(known):
        return known
    cause = Cause(at=bills[0].at, event_id="")
    step = correct_valuation(known, cause, fold.rules)
    fold.apply(step, cause, ())
    return step.subscription


def _apply_customer_discount(fold: SubscriptionFold, known: Subscription, cause: Cause) -> Subscription:
    step = apply_customer_discounts(known, cause, fold.rules)
    fold.apply(step, cause, (cause.event_id,))
    return step.subscription


def _apply_payments(fold: SubscriptionFold, deltas: Sequence[PaymentDelta]) -> None:
    for delta in deltas:
        subscription_id, reason = delta.receivable.subscription_id, delta.receivable.reason
        if subscription_id is None or delta.is_correction or reason is Reason.ONE_OFF:
            continue
        known = fold.subscriptions.get(subscription_id)
        known = known or new_subscription(subscription_id, delta.receivable.currency, delta.at)
        cause = Cause(at=delta.at, event_id=delta.event_ids[0])
        fold.apply(apply_payment_proof(known, reason, cause, fold.rules), cause, delta.event_ids)


def _store_evidence(fold: SubscriptionFold) -> None:
    """Keeps what the bills of this window show, for later ones: also of a subscription that no state has shown yet."""
    for subscription_id, bills in fold.rules.bills.items():
        known = fold.subscriptions.get(subscription_id)
        known = known or new_subscription(subscription_id, bills[0].currency, bills[0].at)
        context = fold.rules.context(known.at, known)
        fold.subscriptions[subscription_id] = replace(
            known, measured=to_store(context.measured), discount_scopes=context.scopes
        )


def _correct_valuations(fold: SubscriptionFold, latest: Fact, bills: Mapping[str, Sequence[Bill]]) -> None:
    by_catalog = Cause(at=latest.at, event_id=latest.processor_event_id)
    for known in [one for one in fold.subscriptions.values() if one.estimated or one.id in bills]:
        causes = _causes(bills.get(known.id, ()))
        _apply_correction(fold, known, causes[-1] if causes else by_catalog)


def _causes(bills: Sequence[Bill]) -> list[Cause]:
    """The bills as causes of corrections, in order: those that name their time, whichever of the others are there."""
    primary = [one for one in bills if one.is_primary] or bills
    return [Cause(at=one.at, event_id=one.event_id) for one in primary]


def _apply_correction(fold: SubscriptionFold, known: Subscription, cause: Cause) -> Subscription:
    step = correct_valuation(known, cause, fold.rules.up_to(cause.at, known.id))
    fold.apply(step, cause, (cause.event_id,))
    return step.subscription


# ---- Proof by payment ---------------------------------------------------------------------------------------------


def apply_payment_proof(known: Subscription, reason: Reason, cause: Cause, rules: ValuationRules) -> Step:
    """The subscription after a payment, where no state has said yet that it started or is active."""
    is_new = known.terms is None and not known.has_counted
    if is_new and reason is not Reason.START:
        return _baseline_from_lines(known, cause, rules)
    is_first_payment = reason is Reason.START and cause.at <= known.first_seen_at + MAX_LATE_FIRST_PAYMENT
    if is_assumed_baseline(known) and is_first_payment:
        return confirm_start(known, cause, known.plan_details)
    if is_new or _proves_start(known, reason, cause.at):
        return _start_by_payment(known, cause, rules)
    return Step(subscription=known)


def _baseline_from_lines(known: Subscription, cause: Cause, rules: ValuationRules) -> Step:
    """An older subscription that is first seen through a payment: its MRR is the baseline, which is not reported."""
    lines = _last_lines(known, cause.at, rules)
    mrr = mrr_of_lines(lines, rules.catalog, rules.policy)
    minor = round_minor(mrr.exact)
    after = replace(
        known,
        mrr=mrr.exact,
        reported_mrr=minor,
        baseline=minor,
        has_counted=minor > 0,
        estimated=minor > 0,
        plan_details=plan_details_of_lines(lines, rules.catalog),
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
        mrr = mrr_of(known.terms, rules.context(cause.at, known), proven_active=True)
        plan_details = known.plan_details
    else:
        lines = _last_lines(known, cause.at, rules)
        mrr = mrr_of_lines(lines, rules.catalog, rules.policy)
        plan_details = plan_details_of_lines(lines, rules.catalog)
    step = move_to(replace(known, proven_active_at=cause.at, plan_details=plan_details), mrr, cause)
    return replace(step, note=f"active, since it is paid: {step.note}")


def _last_lines(known: Subscription, at: datetime, rules: ValuationRules) -> list[Line]:
    """The lines of the bill that this payment paid."""
    return last_full_lines(rules.context(at, known).measured, at + BILLED_WITHIN)
