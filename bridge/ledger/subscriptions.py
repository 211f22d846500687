"""Every subscription of a stream, taken through its states and through the payments that prove it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.ledger.changing import changed
from bridge.ledger.drafts import NO_LABELS, Labels
from bridge.ledger.links import subscription_of
from bridge.ledger.movements import Cause, Eyes, Movement, Step, reconsidered, unseen
from bridge.ledger.order import states_in_order
from bridge.ledger.payments import Due
from bridge.ledger.proofs import after_payment
from bridge.ledger.remarks import Remarks
from bridge.ledger.state import Links, Subscription
from bridge.ledger.states import after_state
from processors.facts import Fact, Item, Line, Payment, Reason, SubscriptionState

BILLED_WITHIN = timedelta(hours=1)  # the bill for a state follows it this much later at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What was billed for one full period each, by price: the measure where a price leaves something out."""

    at: datetime
    lines: Mapping[str, Line]


@dataclass(slots=True, kw_only=True)
class Lives:
    """The subscriptions while they are being settled, the movements that they made, and how they were called when."""

    subscriptions: dict[str, Subscription]
    eyes: Eyes
    remarks: Remarks
    movements: list[Movement] = field(default_factory=list)
    names: dict[str, list[tuple[datetime, Labels]]] = field(default_factory=dict)

    def take(self, step: Step, cause: Cause, event_ids: Sequence[str]) -> None:
        """Goes one step."""
        stands = step.subscription
        before = self.subscriptions.get(stands.id)
        if before is None or before.labels != stands.labels:
            known = [(before.at, before.labels)] if before is not None else []
            self.names.setdefault(stands.id, known).append((cause.at, stands.labels))
        self.subscriptions[stands.id] = stands
        self.movements.extend(step.movements)
        if step.remark:
            self.remarks.add(event_ids, f"{stands.id}: {step.remark}")

    def labels_at(self, subscription_id: str | None, at: datetime) -> Labels:
        """How a subscription was called at that time."""
        known = self.subscriptions.get(subscription_id or "")
        if known is None:
            return NO_LABELS
        names = self.names.get(known.id, [(known.at, known.labels)])
        return next((labels for since, labels in reversed(names) if since <= at), names[0][1])


def live(lives: Lives, facts: Sequence[Fact], dues: Sequence[Due], links: Links) -> None:
    """Takes every subscription through the facts: its states first, then what its payments prove beyond them."""
    billed = _billed(facts, links)
    _fold(lives, [fact for fact in facts if isinstance(fact, SubscriptionState)], billed)
    _prove(lives, dues, billed)
    for subscription_id, bills in billed.items():
        known = lives.subscriptions.get(subscription_id)
        if known is not None:
            lives.subscriptions[subscription_id] = _measured(known, bills[-1])
    if facts:
        _reconsider(lives, facts[-1])


def full_lines(lines: Iterable[Line]) -> dict[str, Line]:
    """The lines that billed a whole period, by price; two lines of one price are one."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.proration or line.metered or line.amount <= 0:
            continue
        key = line.price_id or line.product_id or line.name or ""
        found[key] = _together(found[key], line) if key in found else line
    return found


def _together(one: Line, other: Line) -> Line:
    return changed(
        one,
        amount=one.amount + other.amount,
        discount=one.discount + other.discount,
        quantity=one.quantity + other.quantity,
    )


def _billed(facts: Iterable[Fact], links: Links) -> dict[str, list[Billed]]:
    """What each subscription was billed for full periods, in the order of time."""
    found: dict[str, list[Billed]] = {}
    for fact in facts:
        lines = full_lines(fact.lines) if isinstance(fact, Payment) and fact.lines else None
        subscription_id = subscription_of(links, fact.ids) if lines else None
        if lines and subscription_id is not None:
            found.setdefault(subscription_id, []).append(Billed(at=fact.at, lines=lines))
    return found


def _beside(known: Subscription, at: datetime, items: Iterable[Item], bills: Sequence[Billed]) -> Subscription:
    """The subscription beside what it was billed: each price as often as now, else last by then, else first."""
    if not bills:
        return known
    by_then = [bill.lines for bill in bills if bill.at <= at + BILLED_WITHIN]
    lines = by_then[-1] if by_then else known.lines or bills[0].lines
    same = {item.price.id: line for item in items for bill in bills if (line := _same_quantity(item, bill)) is not None}
    return changed(known, lines={**lines, **same})


def _same_quantity(item: Item, bill: Billed) -> Line | None:
    line = bill.lines.get(item.price.id)
    return line if line is not None and line.quantity == item.quantity else None


def _measured(known: Subscription, bill: Billed) -> Subscription:
    if known.lines_at is not None and bill.at < known.lines_at:
        return known
    return changed(known, lines=bill.lines, lines_at=bill.at)


def _fold(lives: Lives, states: Iterable[SubscriptionState], billed: Mapping[str, Sequence[Billed]]) -> None:
    grouped: dict[str, list[SubscriptionState]] = {}
    for state in states:
        grouped.setdefault(state.ids.subscription_id or "", []).append(state)
    for subscription_id, own in grouped.items():
        known = lives.subscriptions.get(subscription_id)
        bills = billed.get(subscription_id, ())
        for state in states_in_order(own, known.terms if known else None):
            known = known or unseen(subscription_id, state.now.currency, state.at)
            cause = Cause(at=state.at, event_id=state.processor_event_id)
            step = after_state(_beside(known, state.at, state.now.items, bills), state, lives.eyes)
            lives.take(step, cause, (state.processor_event_id,))
            known = step.subscription


def _prove(lives: Lives, dues: Sequence[Due], billed: Mapping[str, Sequence[Billed]]) -> None:
    """A subscription whose own state has not said so yet runs when its payment has come."""
    for due in dues:
        subscription_id = due.bill.subscription_id
        if subscription_id is None or due.is_correction or due.bill.reason is Reason.ONE_OFF:
            continue
        known = lives.subscriptions.get(subscription_id) or unseen(subscription_id, due.bill.currency, due.at)
        items = known.terms.items if known.terms is not None else ()
        known = _beside(known, due.at, items, billed.get(subscription_id, ()))
        cause = Cause(at=due.at, event_id=due.event_ids[0])
        lives.take(after_payment(known, due.bill.reason, cause, lives.eyes), cause, due.event_ids)


def _reconsider(lives: Lives, latest: Fact) -> None:
    """Levels that rested on a guess, once more with what is known now."""
    cause = Cause(at=latest.at, event_id=latest.processor_event_id)
    for known in [one for one in lives.subscriptions.values() if one.estimated]:
        lives.take(reconsidered(known, cause, lives.eyes), cause, (cause.event_id,))
