"""Movements of MRR: the step from the reported MRR to a new one, and its event type."""

from __future__ import annotations

from datetime import datetime

from bridge.ledger.audit_notes import format_amount
from bridge.ledger.events import EventType, PlanDetails
from bridge.ledger.mrr import COUNTING, Mrr, mrr_of
from bridge.ledger.plan_details import plan_details_of
from bridge.ledger.state import Subscription
from bridge.ledger.valuation import ValuationRules
from processors.money import Currency, round_minor
from processors.values import Value, replace

CORRECTED = "estimate_corrected"
IMPORTED = "import"


class Movement(Value):
    """One step of a subscription's MRR. `delta` in minor units; `number`: ordinal in the subscription, from 1.

    `reports_baseline`: it reports MRR that had counted before, and changes none. `invoice_id`: the latest invoice that
    the state named, None where it names none; `is_new_invoice`: it was not the latest before. `was_active`: it was
    active before as well, for nothing.
    """

    subscription_id: str
    number: int
    at: datetime
    event_type: EventType
    delta: int
    currency: Currency
    plan_details: PlanDetails
    event_id: str
    customer_id: str | None = None
    reactivation: bool = False
    reason: str | None = None
    previous_plan: str | None = None
    estimated: bool = False
    reports_baseline: bool = False
    invoice_id: str | None = None
    is_new_invoice: bool = False
    was_active: bool = False


class Step(Value):
    """A subscription after one fact, the movements that this fact caused, and a sentence for `explain`."""

    subscription: Subscription
    movements: tuple[Movement, ...] = ()
    note: str = ""


class Cause(Value):
    """The webhook that moves MRR, its time, and its reason. Only churn shows the reason, unless `always_shown`."""

    at: datetime
    event_id: str
    invoice_id: str | None = None
    is_new_invoice: bool = False
    was_active: bool = False
    reason: str | None = None
    always_shown: bool = False


def movement_type(before: int, after: int) -> EventType | None:
    """The event type of a step from one MRR to the next. None: no change."""
    if before == after:
        return None
    if after == 0:
        return EventType.CHURN
    if before == 0:
        return EventType.SUBSCRIPTION
    return EventType.UPGRADE if after > before else EventType.DOWNGRADE


def new_subscription(subscription_id: str, currency: Currency, at: datetime) -> Subscription:
    """A subscription of which nothing else is known yet."""
    return Subscription(id=subscription_id, currency=currency, first_seen_at=at, at=at)


def move_to(known: Subscription, mrr: Mrr, cause: Cause) -> Step:
    """Moves the subscription from its reported MRR to a new one.

    The delta is round(new) - round(old), not round(new - old), so that rounding never drifts from the true sum.
    """
    target = round_minor(mrr.exact)
    kind = movement_type(known.reported_mrr, target)
    if kind is None:
        same = replace(known, mrr=mrr.exact, estimated=mrr.estimated)
        return Step(subscription=same, note=f"MRR stays {format_amount(target, known.currency)}")
    is_start = kind is EventType.SUBSCRIPTION
    movement = Movement(
        subscription_id=known.id,
        number=known.movement_count + 1,
        at=cause.at,
        event_type=kind,
        delta=target - known.reported_mrr,
        currency=known.currency,
        plan_details=known.plan_details,
        event_id=cause.event_id,
        customer_id=known.customer_id,
        reactivation=is_start and known.has_counted,
        reason=cause.reason if kind is EventType.CHURN or cause.always_shown else None,
        estimated=mrr.estimated or (kind is EventType.CHURN and known.estimated),
        invoice_id=cause.invoice_id,
        is_new_invoice=cause.is_new_invoice,
        was_active=cause.was_active,
    )
    after = replace(
        known,
        mrr=mrr.exact,
        reported_mrr=target,
        estimated=mrr.estimated,
        has_counted=known.has_counted or target > 0,
        movement_count=known.movement_count + 1,
        start_count=known.start_count + is_start,
    )
    before, now = format_amount(known.reported_mrr, known.currency), format_amount(target, known.currency)
    return Step(subscription=after, movements=(movement,), note=f"MRR {before} -> {now}: {kind}")


def report_baseline(known: Subscription, cause: Cause) -> Step:
    """Reports the baseline, which was silent so far, as a subscription: Pulsora's MRR then equals the processor's.

    Nothing is left of the baseline, so this happens once.
    """
    if known.baseline <= 0:
        return Step(subscription=known, note="no MRR of it is left to report")
    movement = Movement(
        subscription_id=known.id,
        number=known.movement_count + 1,
        at=cause.at,
        event_type=EventType.SUBSCRIPTION,
        delta=known.baseline,
        currency=known.currency,
        plan_details=known.plan_details,
        event_id=cause.event_id,
        customer_id=known.customer_id,
        reason=IMPORTED,
        estimated=known.estimated,
        reports_baseline=True,
    )
    after = replace(known, baseline=0, movement_count=known.movement_count + 1, start_count=known.start_count + 1)
    note = f"{format_amount(known.baseline, known.currency)} of baseline MRR is reported"
    return Step(subscription=after, movements=(movement,), note=note)


def is_assumed_baseline(known: Subscription) -> bool:
    """Whether its first MRR was assumed to be older than the bridge, without proof."""
    return known.baseline > 0 and not known.imported


def has_open_baseline(known: Subscription) -> bool:
    """Whether its MRR is all older than the bridge, also if its amount is not known yet (tiers)."""
    return (known.baseline > 0 or known.baseline_is_guess) and not known.movement_count


def confirm_start(known: Subscription, cause: Cause, plan_details: PlanDetails) -> Step:
    """Reports an assumed baseline as the start that it turned out to be."""
    movement = Movement(
        subscription_id=known.id,
        number=known.movement_count + 1,
        at=cause.at,
        event_type=EventType.SUBSCRIPTION,
        delta=known.baseline,
        currency=known.currency,
        plan_details=plan_details,
        event_id=cause.event_id,
        customer_id=known.customer_id,
        estimated=known.estimated,
    )
    after = replace(
        known,
        baseline=0,
        first_seen_at=cause.at,
        movement_count=known.movement_count + 1,
        start_count=known.start_count + 1,
    )
    note = f"started here: {format_amount(known.baseline, known.currency)} of assumed baseline MRR is new"
    return Step(subscription=after, movements=(movement,), note=note)


def correct_valuation(known: Subscription, cause: Cause, rules: ValuationRules) -> Step:
    """Values a subscription again, since the catalog or a bill may say more by now.

    It is valued as of the time at which it was valued before: nothing has happened to it since. In this way an estimate
    that is corrected a year later gives what would have been reported without it: a coupon that ended meanwhile counts
    until the next state, whatever arrives first.
    """
    if known.terms is None or known.ended or known.terms.status not in COUNTING:
        return Step(subscription=known)
    mrr = mrr_of(known.terms, rules.context(known.mrr_at, known))
    if mrr == Mrr(exact=known.mrr, estimated=known.estimated):
        return Step(subscription=known)
    if has_open_baseline(known):
        # Nothing was reported of it, so the baseline itself is corrected and no movement is reported.
        minor = round_minor(mrr.exact)
        has_counted = known.has_counted or minor > 0
        right = replace(
            known,
            mrr=mrr.exact,
            estimated=mrr.estimated,
            reported_mrr=minor,
            baseline=minor,
            has_counted=has_counted,
        )
        return Step(
            subscription=right, note=f"baseline MRR corrected to {format_amount(minor, known.currency)}; not reported"
        )
    return move_to(known, mrr, replace(cause, reason=CORRECTED, always_shown=True))


def apply_customer_discounts(known: Subscription, cause: Cause, rules: ValuationRules) -> Step:
    """Values a subscription again when a discount on its customer has begun or ended.

    One that had begun before, but was not known, first corrects what was reported without it.
    """
    if known.terms is None or known.ended or known.terms.discounts or known.terms.status not in COUNTING:
        return Step(subscription=known)
    corrected = correct_valuation(known, cause, rules)
    at = max(cause.at, known.mrr_at)
    mrr = mrr_of(known.terms, rules.context(at, known))
    plan_details = plan_details_of(known.terms, rules.context(at, known))
    valued = replace(corrected.subscription, valued_at=at, plan_details=plan_details)
    step = move_to(valued, mrr, replace(cause, at=at))
    notes = (corrected.note, step.note if step.movements else "")
    return replace(step, movements=corrected.movements + step.movements, note="; ".join(filter(None, notes)))
