"""Movements of MRR: the step from what Pulsora knows to a new level, and which event type it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bridge.ledger.changing import changed
from bridge.ledger.drafts import Labels
from bridge.ledger.events import EventType, Policy
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.mrr import COUNTING, Level, View, worth
from bridge.ledger.remarks import shown
from bridge.ledger.state import Subscription
from processors.facts import Line
from processors.money import Currency, round_minor

CORRECTED = "estimate_corrected"


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


def reconsidered(known: Subscription, cause: Cause, eyes: Eyes) -> Step:
    """The level once more, for a subscription whose level rested on a guess: more may be known by now."""
    if known.terms is None or not known.estimated or known.terms.status not in COUNTING:
        return Step(subscription=known)
    level = worth(known.terms, eyes.view(max(cause.at, known.at), known.lines))  # never as of before its own state
    if level == Level(exact=known.level, estimated=known.estimated):
        return Step(subscription=known)
    if known.guessed and not known.moves:
        told = round_minor(level.exact)
        right = changed(known, level=level.exact, estimated=level.estimated, told=told, baseline=told)
        return Step(subscription=right, remark=f"its MRR was {shown(told, known.currency)} all along: nothing new")
    return to_level(known, level, changed(cause, reason=CORRECTED, always=True))


def to_level(known: Subscription, level: Level, cause: Cause) -> Step:
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


def is_taken_for_old(known: Subscription) -> bool:
    """Whether its first level was taken as a baseline, without proof that it began before it was first seen."""
    return known.baseline > 0 and not known.imported
