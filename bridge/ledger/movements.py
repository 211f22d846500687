"""Movements of MRR: from one subscription state to the next, and which event type each step is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.ledger.changing import changed
from bridge.ledger.drafts import NO_LABELS, Labels
from bridge.ledger.events import EventType, Policy
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.labels import labels_of, labels_of_lines
from bridge.ledger.mrr import COUNTING, NOTHING, UNPROVEN, Level, View, leaving, of_lines, potential, worth
from bridge.ledger.order import PROGRESS, moment
from bridge.ledger.remarks import shown
from bridge.ledger.state import Subscription
from processors.facts import Line, Reason, Stage, Status, SubscriptionState
from processors.money import Currency, round_minor

HAVE_COUNTED = frozenset({Status.UNPAID, Status.PAUSED})  # nobody gets there without having been active
NEVER_STARTED = "incomplete_expired"  # the one end of what never ran, in the processor's word
CORRECTED = "estimate_corrected"
CURRENCY_CHANGE = "currency_change"
TRIAL_SLACK = timedelta(days=1)  # a trial's end is billed this much early at most
START_SLACK = timedelta(days=1)  # the first payment follows the first state this much later at most


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
    """A subscription after one fact, the movements that led there, and a sentence for `explain`."""

    subscription: Subscription
    movements: tuple[Movement, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a level is told anew: the event, its instant, and the reason it gives, of churn only unless `always`."""

    at: datetime
    event_id: str
    reason: str | None = None
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """With what terms are read: the merchant's policy and what is known of prices and coupons."""

    policy: Policy
    knowledge: Knowledge

    def view(self, at: datetime, lines: Mapping[str, Line]) -> View:
        """The same at one moment, beside what was billed last."""
        return View(at=at, policy=self.policy, knowledge=self.knowledge, lines=lines)


def movement_type(before: int, after: int) -> EventType | None:
    """The event type of a step from one monthly level to the next, or None: nothing moved."""
    if before == after:
        return None
    if after == 0:
        return EventType.CHURN
    if before == 0:
        return EventType.SUBSCRIPTION
    return EventType.UPGRADE if after > before else EventType.DOWNGRADE


def unseen(subscription_id: str, currency: Currency, at: datetime) -> Subscription:
    """A subscription of which nothing is known yet."""
    return Subscription(id=subscription_id, currency=currency, first_at=at, at=at)


# ---- What a state makes of a subscription -------------------------------------------------------------------------


def after_state(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """What one state makes of a subscription. Late and repeated states change nothing; what has ended stays ended."""
    if known.terms is None:
        return _told(_first_sight(known, state, eyes), state, eyes)
    if is_stale(known, state):
        return _late(known, state, eyes)
    return _told(known, state, eyes)


def is_stale(known: Subscription, state: SubscriptionState) -> bool:
    """Whether the ledger already stands at this state or beyond it."""
    if known.ended or known.terms is None:
        return known.ended
    if state.now.status is Status.ENDED:
        return False  # whatever the clocks say, nothing comes after the end
    stood_at = known.changed_at or known.at
    if moment(state) != stood_at:
        return moment(state) < stood_at
    if state.before is not None and state.before == known.terms:
        return state.now == known.terms
    return PROGRESS[state.now.status] <= PROGRESS[known.terms.status]


def _first_sight(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Subscription:
    """The subscription before the first state that is seen of it: its baseline, which is not told to anyone."""
    first_at = min(known.first_at, state.at)
    if known.starts:  # a payment started it; the state only corrects the level
        return changed(known, first_at=first_at)
    earlier = state.before
    level, counted = _level_before(known, state, eyes)
    told = round_minor(level.exact)
    return changed(
        known,
        currency=(earlier or state.now).currency,
        first_at=first_at,
        level=level.exact,
        told=told,
        baseline=told,
        counted=counted or told > 0,
        estimated=level.estimated,
        imported=state.stage is Stage.IMPORTED,
        labels=labels_of(earlier, state.at, eyes.knowledge) if earlier is not None else NO_LABELS,
    )


def _level_before(known: Subscription, state: SubscriptionState, eyes: Eyes) -> tuple[Level, bool]:
    """Level before the first state seen, and whether the subscription had counted before."""
    view = eyes.view(state.at, known.lines)
    if state.stage is Stage.CREATED or state.ended_reason == NEVER_STARTED:
        return NOTHING, False
    if state.before is not None:
        return worth(state.before, view), state.before.status in HAVE_COUNTED
    if state.now.status is Status.ENDED:
        in_trial = state.trial_ends_at is not None and state.trial_ends_at >= state.at
        return (NOTHING, False) if in_trial else (potential(state.now, view), False)
    return worth(state.now, view), state.now.status in HAVE_COUNTED


def _told(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """The subscription and its movements once the state's own level is told."""
    corrects = known.terms is None and known.starts > 0
    reason = CORRECTED if corrects and state.now.status is not Status.ENDED else _reason(state, eyes.policy)
    cause = Cause(at=state.at, event_id=state.processor_event_id, reason=reason, always=corrects)
    level = worth(state.now, eyes.view(state.at, known.lines), proven=_is_proven(known, moment(state)))
    if state.estimated and level.exact:
        level = changed(level, estimated=True)
    left = _left_currency(known, state.now.currency, cause)
    step = _to_level(_standing_at(left.subscription, state, eyes.knowledge), level, cause)
    old_plan = known.labels.plan
    renamed = (changed(one, previous_plan=old_plan) if old_plan != one.labels.plan else one for one in step.movements)
    return Step(subscription=step.subscription, movements=(*left.movements, *renamed), remark=left.remark + step.remark)


def _standing_at(known: Subscription, state: SubscriptionState, knowledge: Knowledge) -> Subscription:
    labels = labels_of(state.now, state.at, knowledge)
    return changed(
        known,
        terms=state.now,
        at=state.at,
        changed_at=state.changed_at,
        ended=state.now.status is Status.ENDED,
        trial_ends_at=state.trial_ends_at or known.trial_ends_at,
        labels=labels if labels.plan else known.labels,
    )


def _left_currency(known: Subscription, currency: Currency, cause: Cause) -> Step:
    """A change of currency ends what counted in the old one: amounts of two currencies are never one sum."""
    if known.currency.code == currency.code:
        return Step(subscription=known)
    left = _to_level(known, NOTHING, changed(cause, reason=CURRENCY_CHANGE))
    begun_anew = changed(left.subscription, currency=currency, baseline=0)
    return changed(left, subscription=begun_anew, remark=f"billed in {currency.code} from now on; ")


def _late(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """A state older than what is known. It says something new only of the time before the first that was seen."""
    if state.stage is Stage.CREATED and state.at <= known.first_at and is_taken_for_old(known):
        cause = Cause(at=state.at, event_id=state.processor_event_id)
        return begun(known, cause, labels_of(state.now, state.at, eyes.knowledge))
    if _tells_before(known, state):
        return _told(_first_sight(changed(known, terms=None), state, eyes), state, eyes)
    if known.ended:
        return Step(subscription=known, remark="it has ended already: changes nothing")
    return Step(subscription=known, remark="older than, or the same as, what is known: changes nothing")


def _tells_before(known: Subscription, state: SubscriptionState) -> bool:
    """Whether this is the one state that was seen so far, told once more with what it changed."""
    if known.moves or known.imported or state.before is None or known.terms is None:
        return False
    return moment(state) == (known.changed_at or known.at) and state.now == known.terms and state.at <= known.first_at


def _reason(state: SubscriptionState, policy: Policy) -> str | None:
    """Why MRR went to 0: the processor's word where it has one, else the status that ended it."""
    if state.ended_reason is not None:
        return state.ended_reason
    if leaving(state.now, policy):
        return "cancellation_requested"
    return "canceled" if state.now.status is Status.ENDED else state.now.status.value


def _is_proven(known: Subscription, at: datetime) -> bool:
    return known.proven_at is not None and at <= known.proven_at


# ---- What a payment makes of it -----------------------------------------------------------------------------------


def after_payment(known: Subscription, reason: Reason, cause: Cause, eyes: Eyes) -> Step:
    """What a payment says of a subscription that no state has said yet: that it began, or that it runs."""
    is_new = known.terms is None and not known.counted
    if is_new and reason is not Reason.START:
        return _silent(known, eyes)
    if is_taken_for_old(known) and reason is Reason.START and cause.at <= known.first_at + START_SLACK:
        return begun(known, cause, known.labels)
    if is_new or _starts(known, reason, cause.at):
        return _proven(known, cause, eyes)
    return Step(subscription=known)


def is_taken_for_old(known: Subscription) -> bool:
    """Whether its first level was taken as a baseline, without proof that it began before it was first seen."""
    return known.baseline > 0 and not known.imported


def begun(known: Subscription, cause: Cause, labels: Labels) -> Step:
    """What was taken for an old subscription began here after all: its baseline is told as its start."""
    movement = Movement(
        subscription_id=known.id,
        number=known.moves + 1,
        at=cause.at,
        event_type=EventType.SUBSCRIPTION,
        delta=known.baseline,
        currency=known.currency,
        labels=labels,
        event_id=cause.event_id,
        estimated=known.estimated,
    )
    after = changed(known, baseline=0, first_at=cause.at, moves=known.moves + 1, starts=known.starts + 1)
    remark = f"it began here: {shown(known.baseline, known.currency)} of MRR that was taken for old is new"
    return Step(subscription=after, movements=(movement,), remark=remark)


def _silent(known: Subscription, eyes: Eyes) -> Step:
    """An older subscription met through a payment: what it is worth is nothing new."""
    level = of_lines(known.lines.values(), eyes.knowledge, eyes.policy)
    told = round_minor(level.exact)
    labels = labels_of_lines(known.lines.values(), eyes.knowledge)
    after = changed(
        known, level=level.exact, told=told, baseline=told, counted=told > 0, estimated=told > 0, labels=labels
    )
    remark = f"first seen running: its MRR of {shown(told, known.currency)} is nothing new"
    return Step(subscription=after, remark=remark)


def _starts(known: Subscription, reason: Reason, at: datetime) -> bool:
    """Whether a payment can only mean that a subscription which did not count yet has begun."""
    if known.ended or known.counted or known.terms is None or known.terms.status not in UNPROVEN:
        return False
    if known.terms.status is Status.INCOMPLETE:
        return reason in (Reason.START, Reason.CYCLE)
    over = known.trial_ends_at is not None and at >= known.trial_ends_at - TRIAL_SLACK
    return reason is Reason.CYCLE and over


def _proven(known: Subscription, cause: Cause, eyes: Eyes) -> Step:
    """A paid subscription runs, although its own state has not said so yet."""
    if known.terms is not None:
        level = worth(known.terms, eyes.view(cause.at, known.lines), proven=True)
        labels = known.labels
    else:
        level = of_lines(known.lines.values(), eyes.knowledge, eyes.policy)
        labels = labels_of_lines(known.lines.values(), eyes.knowledge)
    step = _to_level(changed(known, proven_at=cause.at, labels=labels), level, cause)
    return changed(step, remark=f"it runs, since it is paid: {step.remark}")


# ---- Levels -------------------------------------------------------------------------------------------------------


def reconsidered(known: Subscription, cause: Cause, eyes: Eyes) -> Step:
    """The level once more, for a subscription whose level rested on a guess: more may be known by now."""
    if known.terms is None or not known.estimated or known.terms.status not in COUNTING:
        return Step(subscription=known)
    level = worth(known.terms, eyes.view(cause.at, known.lines))
    if level == Level(exact=known.level, estimated=known.estimated):
        return Step(subscription=known)
    return _to_level(known, level, changed(cause, reason=CORRECTED, always=True))


def _to_level(known: Subscription, level: Level, cause: Cause) -> Step:
    """Tells the step from what Pulsora knows to the new level: round(new) - round(old), so rounding never drifts."""
    target = round_minor(level.exact)
    kind = movement_type(known.told, target)
    if kind is None:
        same = changed(known, level=level.exact, estimated=level.estimated)
        return Step(subscription=same, remark=f"MRR stays {shown(target, known.currency)}")
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
        reason=cause.reason if kind is EventType.CHURN or cause.always else None,
        estimated=level.estimated or (kind is EventType.CHURN and known.estimated),
    )
    after = changed(
        known,
        level=level.exact,
        told=target,
        estimated=level.estimated,
        counted=known.counted or target > 0,
        moves=known.moves + 1,
        starts=known.starts + starting,
    )
    remark = f"MRR {shown(known.told, known.currency)} -> {shown(target, known.currency)}: {kind}"
    return Step(subscription=after, movements=(movement,), remark=remark)
