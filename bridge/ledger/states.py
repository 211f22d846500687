"""What a state makes of a subscription: the first that is seen of it, each that follows, and those that come late."""

from __future__ import annotations

from datetime import datetime

from bridge.ledger.changing import changed
from bridge.ledger.drafts import NO_LABELS
from bridge.ledger.events import Policy
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.labels import labels_of
from bridge.ledger.movements import CORRECTED, Cause, Eyes, Step, begun, is_taken_for_old, to_level
from bridge.ledger.mrr import NOTHING, Level, leaving, main_item, potential, worth
from bridge.ledger.order import PROGRESS, moment
from bridge.ledger.state import Subscription
from processors.facts import Stage, Status, SubscriptionState, Terms
from processors.money import Currency, round_minor

HAVE_COUNTED = frozenset({Status.UNPAID, Status.PAUSED})  # nobody gets there without having been active
NEVER_STARTED = "incomplete_expired"  # the one end of what never ran, in the processor's word
CURRENCY_CHANGE = "currency_change"


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
    if moment(state) != known.moment:
        return moment(state) < known.moment
    if state.processor_event_id in known.taken:
        return True
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
        guessed=told > 0 and level.estimated and earlier is None,
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
    step = to_level(_standing_at(left.subscription, state, eyes.knowledge), level, cause)
    movements = step.movements
    if _changes_plan(known, state, eyes.knowledge):
        movements = tuple(changed(one, previous_plan=known.labels.plan) for one in movements)
    return Step(subscription=step.subscription, movements=left.movements + movements, remark=left.remark + step.remark)


def _changes_plan(known: Subscription, state: SubscriptionState, knowledge: Knowledge) -> bool:
    """Whether it was another plan before, not only the same one under a name that was not known yet."""
    plan = labels_of(state.now, state.at, knowledge).plan
    if plan is None or plan == known.labels.plan:
        return False
    was = main_item(known.terms, knowledge) if known.terms is not None else None
    becomes = main_item(state.now, knowledge)
    return was is None or becomes is None or was.price.id != becomes.price.id


def _standing_at(known: Subscription, state: SubscriptionState, knowledge: Knowledge) -> Subscription:
    labels = labels_of(state.now, state.at, knowledge)
    return changed(
        known,
        terms=state.now,
        at=state.at,
        changed_at=state.changed_at,
        begun_at=state.at if state.stage is Stage.CREATED else known.begun_at,
        ended=state.now.status is Status.ENDED,
        trial_ends_at=state.trial_ends_at or known.trial_ends_at,
        labels=labels if labels.plan else known.labels,
        taken=(*(known.taken if moment(state) == known.moment else ()), state.processor_event_id),
    )


def _left_currency(known: Subscription, currency: Currency, cause: Cause) -> Step:
    """A change of currency ends what counted in the old one: amounts of two currencies are never one sum."""
    if known.currency.code == currency.code:
        return Step(subscription=known)
    left = to_level(known, NOTHING, changed(cause, reason=CURRENCY_CHANGE))
    begun_anew = changed(left.subscription, currency=currency, baseline=0)
    return changed(left, subscription=begun_anew, remark=f"billed in {currency.code} from now on; ")


def _late(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """A state older than what is known. It says something new only of the time before the first that was seen."""
    if state.stage is Stage.CREATED and state.at <= known.first_at:
        return _late_beginning(known, state, eyes)
    if _tells_before(known, state):
        return _told_again(known, state, eyes)
    if known.ended:
        return Step(subscription=known, remark="it has ended already: changes nothing")
    return Step(subscription=known, remark="older than, or the same as, what is known: changes nothing")


def _late_beginning(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """It was first seen later in its life: what was taken for old is new, and what had stopped by then began here."""
    cause = Cause(at=state.at, event_id=state.processor_event_id)
    labels = labels_of(state.now, state.at, eyes.knowledge)
    if is_taken_for_old(known):
        return begun(known, cause, labels)
    level = worth(state.now, eyes.view(state.at, known.lines))
    if known.moves or known.imported or state.now.currency.code != known.currency.code or not round_minor(level.exact):
        remark = "that it began is known, or changes nothing"
        return Step(subscription=changed(known, begun_at=known.begun_at or state.at), remark=remark)
    start = to_level(changed(known, counted=False, begun_at=state.at, labels=labels), level, cause)
    stop = Cause(at=known.at, event_id=known.taken[-1], reason=_reason_of(known.terms or state.now, eyes.policy))
    present = Level(exact=known.level, estimated=known.estimated)
    end = to_level(changed(start.subscription, labels=known.labels), present, stop)
    return changed(end, movements=start.movements + end.movements, remark=f"{start.remark}; {end.remark}")


def _tells_before(known: Subscription, state: SubscriptionState) -> bool:
    """Whether this is the one state that was seen so far, told once more with what it changed."""
    if known.moves or known.imported or state.before is None or known.terms is None:
        return False
    return moment(state) == known.moment and state.now == known.terms and state.at <= known.first_at


def _told_again(known: Subscription, state: SubscriptionState, eyes: Eyes) -> Step:
    """The first state once more, which now tells of before; a beginning that came late in between is told with it."""
    seen = _first_sight(changed(known, terms=None), state, eyes)
    if known.begun_at is None or not is_taken_for_old(seen):
        return _told(seen, state, eyes)
    start = begun(seen, Cause(at=known.begun_at, event_id=state.processor_event_id), seen.labels)
    step = _told(start.subscription, state, eyes)
    return changed(step, movements=start.movements + step.movements, remark=f"{start.remark}; {step.remark}")


def _reason(state: SubscriptionState, policy: Policy) -> str:
    """Why MRR went to 0: the processor's word where it has one, else the status that ended it."""
    if state.ended_reason is not None:
        return state.ended_reason
    return _reason_of(state.now, policy)


def _reason_of(terms: Terms, policy: Policy) -> str:
    if leaving(terms, policy):
        return "cancellation_requested"
    return "canceled" if terms.status is Status.ENDED else terms.status.value


def _is_proven(known: Subscription, at: datetime) -> bool:
    return known.proven_at is not None and at <= known.proven_at
