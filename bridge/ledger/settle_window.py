"""Streams that wait longer than the quiet window: a subscription has started and its first payment is on its way.

Stripe leaves the invoice that ends a trial a draft for about an hour after the subscription became active, and Paddle
has been seen to complete a first transaction 99 s after the subscription's webhook. A window of seconds would separate
start and payment, and report the start alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bridge.ledger.references import subscription_of, with_facts
from bridge.ledger.state import State
from processors.facts import Fact, Payment, Stage, Status, SubscriptionState

MAX_WAIT_AFTER_TRIAL = timedelta(hours=2)
MAX_WAIT_AFTER_START = timedelta(minutes=10)
MAX_EARLY_PAYMENT = timedelta(minutes=10)  # a start's payment may be dated this long before the start
AWAITING_FIRST_PAYMENT = "the subscription has started: waiting for its first payment"


def payment_awaited_until(state: State, facts: Sequence[Fact], now: datetime) -> datetime | None:
    """How long to wait for the first payment of a subscription that has just started. None: settle now."""
    starts = [(fact, until) for fact in facts if (until := _wait_until(fact, state)) is not None and until > now]
    if not starts:
        return None
    references = with_facts(state.references, facts)
    payments = [(subscription_of(references, fact.ids), fact.at) for fact in facts if isinstance(fact, Payment)]
    awaited = [
        until
        for start, until in starts
        if not any(
            start.ids.subscription_id == subscription_id and at >= start.at - MAX_EARLY_PAYMENT
            for subscription_id, at in payments
        )
    ]
    return max(awaited, default=None)


def _wait_until(fact: Fact, state: State) -> datetime | None:
    """The latest time for a start's payment. None: the fact is no start that announces a payment."""
    if not isinstance(fact, SubscriptionState) or fact.now.status is not Status.ACTIVE:
        return None
    known = state.subscriptions.get(fact.ids.subscription_id or "")
    if known is not None and (known.has_counted or known.ended):
        return None
    if fact.stage is Stage.CREATED:
        return fact.at + MAX_WAIT_AFTER_START if fact.ids.payment_id or fact.ids.invoice_id else None
    before = fact.before if fact.before is not None else (known.terms if known is not None else None)
    return fact.at + MAX_WAIT_AFTER_TRIAL if before is not None and before.status is Status.TRIALING else None
