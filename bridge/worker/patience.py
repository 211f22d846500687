"""When a stream is worth waiting for a little longer than its quiet window: the first charge after a trial.

Stripe leaves the invoice that ends a trial a draft for about an hour after the subscription has become active, so the
start and its payment would never meet in a window of seconds. Without the payment they part after two hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bridge.ledger import State
from bridge.ledger.links import linked, subscription_of
from processors.facts import Fact, Payment, Status, SubscriptionState

FIRST_CHARGE_WITHIN = timedelta(hours=2)
REASON = "its trial has ended: the first payment is awaited"


def awaited_until(state: State, facts: Sequence[Fact], now: datetime) -> datetime | None:
    """Until when to wait for the payment of a subscription whose trial has just ended, or None: settle now."""
    ended = {fact.ids.subscription_id: fact.at for fact in facts if _ends_trial(fact, state)}
    if not ended:
        return None
    links = linked(state.links, facts)
    paid = {subscription_of(links, fact.ids) for fact in facts if isinstance(fact, Payment) and fact.amount.minor > 0}
    waits = [at + FIRST_CHARGE_WITHIN for subscription_id, at in ended.items() if subscription_id not in paid]
    until = max(waits, default=now)
    return until if until > now else None


def _ends_trial(fact: Fact, state: State) -> bool:
    """Whether a fact takes a subscription, which never counted before, from its trial to being active."""
    if not isinstance(fact, SubscriptionState) or fact.now.status is not Status.ACTIVE:
        return False
    known = state.subscriptions.get(fact.ids.subscription_id or "")
    if known is not None and (known.counted or known.ended):
        return False
    before = fact.before if fact.before is not None else (known.terms if known is not None else None)
    return before is not None and before.status is Status.TRIALING
