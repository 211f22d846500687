"""When a stream is worth waiting for a little longer than its quiet window: a start whose payment is on its way.

Stripe leaves the invoice that ends a trial a draft for about an hour after the subscription has become active, and
Paddle has been seen to complete a first transaction 99 s after it told of the subscription. In a window of seconds
start and payment would never meet. Without the payment they part after a while, and the start is told alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bridge.ledger import State
from bridge.ledger.links import linked, subscription_of
from processors.facts import Fact, Payment, Stage, Status, SubscriptionState

AFTER_TRIAL = timedelta(hours=2)
AFTER_START = timedelta(minutes=10)
JUST_BEFORE = timedelta(minutes=10)  # a payment this long before its start is still its payment
REASON = "its subscription has begun: the first payment is awaited"


def awaited_until(state: State, facts: Sequence[Fact], now: datetime) -> datetime | None:
    """Until when to wait for the payment of a subscription that has just begun, or None: settle now."""
    begun = [(fact, until) for fact in facts if (until := _patience(fact, state)) is not None and until > now]
    if not begun:
        return None
    links = linked(state.links, facts)
    payments = [(subscription_of(links, fact.ids), fact.at) for fact in facts if isinstance(fact, Payment)]
    awaited = [
        until
        for start, until in begun
        if not any(start.ids.subscription_id == paid_for and at >= start.at - JUST_BEFORE for paid_for, at in payments)
    ]
    return max(awaited, default=None)


def _patience(fact: Fact, state: State) -> datetime | None:
    """Until when the payment of a start may come, or None: this fact is no start that announces one."""
    if not isinstance(fact, SubscriptionState) or fact.now.status is not Status.ACTIVE:
        return None
    known = state.subscriptions.get(fact.ids.subscription_id or "")
    if known is not None and (known.counted or known.ended):
        return None
    if fact.stage is Stage.CREATED:
        return fact.at + AFTER_START if fact.ids.payment_id or fact.ids.invoice_id else None
    before = fact.before if fact.before is not None else (known.terms if known is not None else None)
    return fact.at + AFTER_TRIAL if before is not None and before.status is Status.TRIALING else None
