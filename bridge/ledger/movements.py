"""Movements of MRR: from one subscription state to the next, and which event type each step is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bridge.ledger.events import ChurnAt, EventType, Policy
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.mrr import (
    COUNTING,
    NOTHING,
    Level,
    View,
    interval_name,
    leaving,
    main_item,
    of_lines,
    potential,
    worth,
)
from bridge.ledger.order import PROGRESS, moment
from bridge.ledger.state import Labels, Subscription
from processors.facts import Line, Stage, Status, SubscriptionState, Terms
from processors.money import Currency, round_minor

HAVE_COUNTED = frozenset({Status.UNPAID, Status.PAUSED})  # nobody gets there without having been active


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One step of a subscription's MRR. `delta` in minor units; `number`: the how-many-eth of this subscription."""

    subscription_id: str
    number: int
    at: datetime
    event_type: EventType
    delta: int
    currency: Currency
    labels: Labels
    event_id: str
    reactivation: bool = False
    reason: str | None = None
    previous_plan: str | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A subscription after one state, the movements that led there, and a sentence for `explain`."""

    subscription: Subscription
    movements: tuple[Movement, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a level is being told anew: the event, its instant, and what it gives as the reason."""

    at: datetime
    event_id: str
    reason: str | None = None


def movement_type(before: int, after: int) -> EventType | None:
    """The event type of a step from one monthly level to the next, or None: nothing moved."""
    if before == after:
        return None
    if after == 0:
        return EventType.CHURN
    if before == 0:
        return EventType.SUBSCRIPTION
    return EventType.UPGRADE if after > before else EventType.DOWNGRADE


def after_state(known: Subscription | None, state: SubscriptionState, knowledge: Knowledge, policy: Policy) -> Step:
    """What one state makes of a subscription. Late and repeated states change nothing; what has ended stays ended."""
    if known is not None and known.terms is not None:
        if is_stale(known, state):
            return _late(known, state, policy, knowledge)
        return _told(_at_state(known, state), state, knowledge, policy)
    return _told(_first_sight(known, state, knowledge, policy), state, knowledge, policy)


def is_stale(known: Subscription, state: SubscriptionState) -> bool:
    """Whether the ledger already stands at this state or beyond it."""
    if known.ended:
        return True
    stood_at = known.changed_at or known.at
    if moment(state) != stood_at:
        return moment(state) < stood_at
    if state.before is not None and state.before == known.terms:
        return state.now == known.terms
    return known.terms is not None and PROGRESS[state.now.status] <= PROGRESS[known.terms.status]


def after_start(known: Subscription, cause: Cause, level: Level) -> Step:
    """A first payment proves that the subscription runs, before its own state has said so."""
    return _to_level(known, level, cause)


def unseen(subscription_id: str, currency: Currency, at: datetime, lines: dict[str, Line]) -> Subscription:
    """A subscription known from a payment alone."""
    return Subscription(id=subscription_id, currency=currency, first_at=at, at=at, lines=lines, lines_at=at)


def silent_baseline(known: Subscription, level: Level) -> Subscription:
    """An older subscription met through a payment: what it is worth is nothing new."""
    told = round_minor(level.exact)
    return replace(known, level=level.exact, told=told, baseline=told, counted=told > 0, estimated=True)


def reconsidered(known: Subscription, at: datetime, knowledge: Knowledge, policy: Policy) -> Step:
    """The level once more, for a subscription whose level rested on a guess: more may be known by now."""
    if known.terms is None or not known.estimated or known.terms.status not in COUNTING:
        return Step(subscription=known)
    level = worth(known.terms, _view(known, at, knowledge, policy))
    if level == Level(exact=known.level, estimated=known.estimated):
        return Step(subscription=known)
    return _to_level(known, level, Cause(at=at, event_id="", reason="estimate_corrected"))


def labels_of(terms: Terms, knowledge: Knowledge) -> Labels:
    """Plan, interval, coupon and seats of the item that is worth most; the plan by product, price name, else id."""
    item = main_item(terms, knowledge)
    if item is None or item.price.interval is None:
        return Labels()
    seen = knowledge.price(item.price)
    discounts = [knowledge.discount(discount) for discount in (*item.discounts, *terms.discounts)]
    coupons = [(d.coupon.name or d.coupon.id) if d.coupon else d.coupon_id for d in discounts]
    return Labels(
        plan=knowledge.product_name(item.price.product_id) or item.price.name or seen.name or item.price.id,
        interval=interval_name(item.price.interval, item.price.interval_count),
        coupon=next((coupon for coupon in coupons if coupon), None),
        seats=int(item.quantity),
    )


def _first_sight(
    known: Subscription | None, state: SubscriptionState, knowledge: Knowledge, policy: Policy
) -> Subscription:
    """The subscription before a state that is the first to be seen of it: its baseline is not told to anyone."""
    earlier = state.before
    fresh = Subscription(
        id=state.ids.subscription_id or "",
        currency=(earlier or state.now).currency,
        first_at=state.at,
        at=state.at,
        lines=known.lines if known else {},
        lines_at=known.lines_at if known else None,
        moves=known.moves if known else 0,
        starts=known.starts if known else 0,
    )
    if known is not None and known.starts:  # a payment started it; the state only corrects the level
        return _at_state(known, state)
    level, counted = _level_before(fresh, state, knowledge, policy)
    told = round_minor(level.exact)
    return _at_state(
        replace(
            fresh,
            level=level.exact,
            told=told,
            baseline=told,
            counted=counted or told > 0,
            estimated=level.estimated,
            imported=state.stage is Stage.IMPORTED,
            labels=labels_of(earlier, knowledge) if earlier is not None else Labels(),
        ),
        state,
    )


def _level_before(
    fresh: Subscription, state: SubscriptionState, knowledge: Knowledge, policy: Policy
) -> tuple[Level, bool]:
    """Level before the first state seen, and whether the subscription had counted before."""
    view = _view(fresh, state.at, knowledge, policy)
    if state.stage is Stage.CREATED:
        return NOTHING, False
    if state.before is not None:
        return worth(state.before, view), state.before.status in HAVE_COUNTED
    if state.now.status is Status.ENDED:
        in_trial = state.trial_ends_at is not None and state.trial_ends_at >= state.at
        return (NOTHING, False) if in_trial else (potential(state.now, view), False)
    return worth(state.now, view), state.now.status in HAVE_COUNTED


def _at_state(known: Subscription, state: SubscriptionState) -> Subscription:
    return replace(
        known,
        at=state.at,
        changed_at=state.changed_at,
        terms=state.now,
        trial_ends_at=state.trial_ends_at or known.trial_ends_at,
    )


def _told(known: Subscription, state: SubscriptionState, knowledge: Knowledge, policy: Policy) -> Step:
    """The subscription and its movements once the state's own level is told."""
    cause = Cause(at=state.at, event_id=state.processor_event_id, reason=_reason(state, policy))
    level = worth(state.now, _view(known, state.at, knowledge, policy))
    level = replace(level, estimated=level.estimated or (state.estimated and level.exact > 0))
    labels = labels_of(state.now, knowledge)
    old_plan = known.labels.plan
    if state.now.status is Status.ENDED:
        known = replace(known, ended=True)
    movements: tuple[Movement, ...] = ()
    if known.currency.code != state.now.currency.code:
        left = _to_level(known, NOTHING, replace(cause, reason="currency_change"))
        known = replace(left.subscription, currency=state.now.currency)
        movements = left.movements
    step = _to_level(replace(known, labels=labels if labels.plan else known.labels), level, cause)
    last = tuple(replace(m, previous_plan=old_plan) if old_plan != m.labels.plan else m for m in step.movements)
    return Step(subscription=step.subscription, movements=movements + last, remark=step.remark)


def _to_level(known: Subscription, level: Level, cause: Cause) -> Step:
    """Tells the step from what Pulsora knows to the new level: round(new) - round(old), so that rounding never drifts."""
    target = round_minor(level.exact)
    kind = movement_type(known.told, target)
    if kind is None:
        return Step(subscription=replace(known, level=level.exact, estimated=level.estimated), remark="MRR unchanged")
    starting = kind is EventType.SUBSCRIPTION
    movement = Movement(
        subscription_id=known.id,
        number=known.moves + 1,
        at=cause.at,
        event_type=kind,
        delta=target - known.told,
        currency=known.currency,
        labels=known.labels,
        event_id=cause.event_id,
        reactivation=starting and known.counted,
        reason=cause.reason if kind is EventType.CHURN or cause.reason == "estimate_corrected" else None,
        estimated=level.estimated or (kind is EventType.CHURN and known.estimated),
    )
    after = replace(
        known,
        level=level.exact,
        told=target,
        estimated=level.estimated,
        counted=known.counted or target > 0,
        moves=known.moves + 1,
        starts=known.starts + starting,
    )
    return Step(subscription=after, movements=(movement,), remark=f"MRR {known.told} -> {target} minor units: {kind}")


def _late(known: Subscription, state: SubscriptionState, policy: Policy, knowledge: Knowledge) -> Step:
    """A state older than what is known. Only a late `created` says something new: the baseline was a start after all."""
    began_here = state.stage is Stage.CREATED and known.baseline > 0 and not known.imported
    if not began_here or state.at > known.first_at:
        return Step(subscription=known, remark="older than what is known: changes nothing")
    movement = Movement(
        subscription_id=known.id,
        number=known.moves + 1,
        at=state.at,
        event_type=EventType.SUBSCRIPTION,
        delta=known.baseline,
        currency=known.currency,
        labels=labels_of(state.now, knowledge),
        event_id=state.processor_event_id,
        estimated=known.estimated,
    )
    after = replace(known, baseline=0, first_at=state.at, moves=known.moves + 1, starts=known.starts + 1)
    return Step(subscription=after, movements=(movement,), remark="began here: what was taken for old is new")


def _reason(state: SubscriptionState, policy: Policy) -> str | None:
    """Why MRR went to 0: the processor's word where it has one, else the status that ended it."""
    if state.ended_reason is not None:
        return state.ended_reason
    if policy.churn_at is ChurnAt.REQUEST and leaving(state.now, policy):
        return "cancellation_requested"
    return "canceled" if state.now.status is Status.ENDED else state.now.status.value


def _view(known: Subscription, at: datetime, knowledge: Knowledge, policy: Policy) -> View:
    return View(at=at, policy=policy, knowledge=knowledge, lines=known.lines)


def proven_level(known: Subscription, at: datetime, knowledge: Knowledge, policy: Policy) -> Level:
    """What a paid subscription is worth although its status does not count yet; from its lines when it has no terms."""
    if known.terms is not None:
        return potential(known.terms, _view(known, at, knowledge, policy))
    return of_lines(known.lines.values(), knowledge, policy)
