"""Applying one state to a subscription: the first one seen, a later one, or one that arrives late."""

from __future__ import annotations

from datetime import datetime

from bridge.ledger.events import NO_PLAN_DETAILS
from bridge.ledger.movements import (
    CORRECTED,
    Cause,
    Step,
    confirm_start,
    is_assumed_baseline,
    move_to,
    report_baseline,
)
from bridge.ledger.mrr import COUNTING, NO_MRR, Mrr, is_scheduled_to_cancel, main_item, mrr_if_active, mrr_of
from bridge.ledger.ordering import PROGRESS, SAME_MOMENT, moment
from bridge.ledger.plan_details import plan_details_of
from bridge.ledger.policy import Policy
from bridge.ledger.state import Subscription
from bridge.ledger.valuation import ValuationContext, ValuationRules
from processors.facts import Stage, Status, SubscriptionState, Terms
from processors.money import Currency, round_minor
from processors.values import replace

ONLY_AFTER_ACTIVE = frozenset({Status.UNPAID, Status.PAUSED})  # so it has counted before
NEVER_STARTED = "incomplete_expired"  # the one reason of an end without a start, as Stripe names it
CURRENCY_CHANGE = "currency_change"
FREE = "free"  # it continues, but costs nothing from now on


def apply_state(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    """The subscription after one state. Late and repeated states change nothing; an end is final."""
    step = _applied(known, _with_known_status(known, state), rules)
    if not state.reports_baseline:
        return step
    reported = report_baseline(step.subscription, Cause(at=state.at, event_id=state.processor_event_id))
    note = "; ".join(filter(None, (step.note, reported.note)))
    return replace(reported, movements=step.movements + reported.movements, note=note)


def _with_known_status(known: Subscription, state: SubscriptionState) -> SubscriptionState:
    """The state with the known status if it states none: a trial that is cancelled for its end stays a trial."""
    if not state.keeps_status or known.terms is None or known.ended:
        return state
    return replace(state, now=replace(state.now, status=known.terms.status))


def _applied(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    if known.terms is None:
        return _advance(_before_first_state(known, state, rules), state, rules)
    if is_stale(known, state):
        return _apply_late_state(known, state, rules)
    return _advance(known, state, rules)


def is_stale(known: Subscription, state: SubscriptionState) -> bool:
    """Whether the ledger has this state already, or a later one.

    Two states of one moment: the one that names the known terms as `before` is later. Without `before` the status
    decides, and of equal statuses the first one stays, so that a duplicate under another event id changes nothing.
    """
    if known.ended or known.terms is None:
        return known.ended
    if state.now.status is Status.ENDED:
        return False  # an end may carry an earlier time than the last change, and is later all the same
    if moment(state) != known.moment:
        return moment(state) < known.moment
    if state.processor_event_id in known.applied_event_ids:
        return True
    if state.before is not None and state.before == known.terms:
        return state.now == known.terms
    return PROGRESS[state.now.status] <= PROGRESS[known.terms.status]


# ---- The next state -----------------------------------------------------------------------------------------------


def _advance(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    """The subscription with the state's terms, and the movements to their MRR."""
    corrects_estimate = known.terms is None and known.start_count > 0  # a payment started it, at an estimated MRR
    is_correction = corrects_estimate and state.now.status is not Status.ENDED
    reason = CORRECTED if is_correction else _churn_reason(state, rules.policy)
    cause = Cause(
        at=state.at,
        event_id=state.processor_event_id,
        invoice_id=state.ids.invoice_id,
        is_new_invoice=state.previous_invoice_id is not None,
        was_active=known.terms is not None and known.terms.status in COUNTING,
        reason=reason,
        always_shown=corrects_estimate,
    )
    context = rules.context(max(state.at, known.valued_at or state.at), known, state.periods)
    mrr = mrr_of(state.now, context, proven_active=_is_proven_active(known, moment(state)))
    if state.estimated and mrr.exact:
        mrr = replace(mrr, estimated=True)
    left = _leave_currency(known, state.now.currency, cause)
    step = move_to(_with_state(left.subscription, state, context), mrr, cause)
    movements = step.movements
    if _changes_plan(known, state, context):
        movements = tuple(replace(one, previous_plan=known.plan_details.plan) for one in movements)
    return Step(subscription=step.subscription, movements=left.movements + movements, note=left.note + step.note)


def _with_state(known: Subscription, state: SubscriptionState, context: ValuationContext) -> Subscription:
    plan_details = plan_details_of(state.now, context)
    same_moment = known.applied_event_ids if moment(state) == known.moment else ()
    return replace(
        known,
        customer_id=state.ids.customer_id or known.customer_id,
        terms=state.now,
        at=state.at,
        changed_at=state.changed_at,
        created_at=state.at if state.stage is Stage.CREATED else known.created_at,
        ended=state.now.status is Status.ENDED,
        trial_ends_at=state.trial_ends_at or known.trial_ends_at,
        periods=state.periods or known.periods,
        valued_at=known.valued_at if known.valued_at and known.valued_at > state.at else None,
        plan_details=plan_details if plan_details.plan else known.plan_details,
        applied_event_ids=(*same_moment, state.processor_event_id),
    )


def _changes_plan(known: Subscription, state: SubscriptionState, context: ValuationContext) -> bool:
    """Whether the plan is another one, and not the same one under a name that was not known before."""
    plan = plan_details_of(state.now, context).plan
    if plan is None or plan == known.plan_details.plan:
        return False
    before = main_item(known.terms, context) if known.terms is not None else None
    now = main_item(state.now, context)
    return before is None or now is None or before.price.id != now.price.id


def _leave_currency(known: Subscription, currency: Currency, cause: Cause) -> Step:
    """A change of currency is churn in the old one and a start in the new one: currencies are never added up."""
    if known.currency.code == currency.code:
        return Step(subscription=known)
    left = move_to(known, NO_MRR, replace(cause, reason=CURRENCY_CHANGE))
    restarted = replace(left.subscription, currency=currency, baseline=0)
    return replace(left, subscription=restarted, note=f"billed in {currency.code} from now on; ")


def _is_proven_active(known: Subscription, at: datetime) -> bool:
    return known.proven_active_at is not None and at <= known.proven_active_at


# ---- The first state ----------------------------------------------------------------------------------------------


def _before_first_state(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Subscription:
    """The subscription before the first state seen of it. Its MRR then is the baseline, which is not reported."""
    first_seen_at = min(known.first_seen_at, state.at)
    if known.start_count:  # a payment started it; the state only corrects the MRR
        return replace(known, first_seen_at=first_seen_at)
    earlier = state.before
    context = rules.context(state.at, known, state.periods)
    mrr, has_counted = _mrr_before(state, context)
    minor = round_minor(mrr.exact)
    return replace(
        known,
        currency=(earlier or state.now).currency,
        first_seen_at=first_seen_at,
        mrr=mrr.exact,
        reported_mrr=minor,
        baseline=minor,
        baseline_is_guess=mrr.estimated,
        has_counted=has_counted or minor > 0,
        estimated=mrr.estimated,
        imported=state.stage is Stage.IMPORTED,
        plan_details=plan_details_of(earlier, context) if earlier is not None else NO_PLAN_DETAILS,
    )


def _mrr_before(state: SubscriptionState, context: ValuationContext) -> tuple[Mrr, bool]:
    """The MRR before the first state seen, and whether the subscription had counted towards MRR before."""
    if state.stage is Stage.CREATED or state.ended_reason == NEVER_STARTED:
        return NO_MRR, False
    if state.before is not None:
        return mrr_of(state.before, context), state.before.status in ONLY_AFTER_ACTIVE
    if state.status_before is not None:
        before = replace(state.now, status=state.status_before, cancels_at=None)
        return mrr_of(before, context), before.status in ONLY_AFTER_ACTIVE
    if state.now.status is Status.ENDED:
        in_trial = state.trial_ends_at is not None and state.trial_ends_at >= state.at
        return (NO_MRR, False) if in_trial else (mrr_if_active(state.now, context), False)
    is_request = state.stage is Stage.CHANGED and is_scheduled_to_cancel(state.now, context.policy)
    terms = replace(state.now, cancels_at=None) if is_request else state.now
    return mrr_of(terms, context), terms.status in ONLY_AFTER_ACTIVE


# ---- Late states --------------------------------------------------------------------------------------------------


def _apply_late_state(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    """A state older than the known one. It is news only about the time before the first state seen."""
    if state.stage is Stage.CREATED and state.at <= known.first_seen_at:
        return _apply_late_creation(known, state, rules)
    if _adds_before(known, state):
        return _apply_first_state_again(known, state, rules)
    if known.ended:
        return Step(subscription=known, note="it has already ended: changes nothing")
    return Step(subscription=known, note="not newer than the known state: changes nothing")


def _apply_late_creation(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    """A creation that arrives after later states: the assumed baseline is new, or it started and has stopped since."""
    cause = Cause(at=state.at, event_id=state.processor_event_id)
    context = rules.context(state.at, known, state.periods)
    plan_details = plan_details_of(state.now, context)
    if is_assumed_baseline(known):
        return confirm_start(known, cause, plan_details)
    mrr = mrr_of(state.now, context)
    is_other_currency = state.now.currency.code != known.currency.code
    if known.movement_count or known.imported or is_other_currency or not round_minor(mrr.exact):
        note = "its start is already known, or changes no MRR"
        created = replace(known, created_at=known.created_at or state.at, baseline_is_guess=False)
        return Step(subscription=created, note=note)
    first_customer = state.ids.customer_id or known.customer_id
    unstarted = replace(
        known, customer_id=first_customer, has_counted=False, created_at=state.at, plan_details=plan_details
    )
    start = move_to(unstarted, mrr, cause)
    reason = _status_reason(known.terms or state.now, rules.policy)
    present = Mrr(exact=known.mrr, estimated=known.estimated)
    stop_cause = Cause(at=known.at, event_id=known.applied_event_ids[-1], reason=reason)
    present_customer = replace(start.subscription, customer_id=known.customer_id, plan_details=known.plan_details)
    stop = move_to(present_customer, present, stop_cause)
    return replace(stop, movements=start.movements + stop.movements, note=f"{start.note}; {stop.note}")


def _adds_before(known: Subscription, state: SubscriptionState) -> bool:
    """Whether this is the only state seen so far, now with the terms before it.

    Stripe sends one change as several events, and not each has `previous_attributes`. Of Paddle's two events of a
    return, only one says that there was a pause.
    """
    is_silent = state.before is None and state.status_before is None
    if known.movement_count or known.imported or is_silent or known.terms is None:
        return False
    at = state.at if state.before is not None else state.at - SAME_MOMENT
    return moment(state) == known.moment and state.now == known.terms and at <= known.first_seen_at


def _apply_first_state_again(known: Subscription, state: SubscriptionState, rules: ValuationRules) -> Step:
    """The first state with the terms before it, and with the creation that arrived in between, if any."""
    seen = _before_first_state(replace(known, terms=None), state, rules)
    if known.created_at is None or not is_assumed_baseline(seen):
        return _advance(seen, state, rules)
    start = confirm_start(seen, Cause(at=known.created_at, event_id=state.processor_event_id), seen.plan_details)
    step = _advance(start.subscription, state, rules)
    return replace(step, movements=start.movements + step.movements, note=f"{start.note}; {step.note}")


# ---- Reasons of churn ---------------------------------------------------------------------------------------------


def _churn_reason(state: SubscriptionState, policy: Policy) -> str:
    """Why MRR fell to 0: in the processor's word if it has one, else by the status."""
    if state.ended_reason is not None:
        return state.ended_reason
    return _status_reason(state.now, policy)


def _status_reason(terms: Terms, policy: Policy) -> str:
    if is_scheduled_to_cancel(terms, policy):
        return "cancellation_requested"
    if terms.status in COUNTING:
        return FREE
    return "canceled" if terms.status is Status.ENDED else terms.status.value
