"""Helpers for the tests of Paddle: an event around an entity and its translation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from processors.facts import Fact, Payment, Refund, SubscriptionState
from processors.interface import Translation
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.translate import translate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
VISIT = {"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"}


def translated(kind: str, entity: Any) -> Translation:
    """The translation of one event about an entity."""
    return translate(payloads.event(kind, entity, at=AT, event_id="evt_1"), {})


def fact(kind: str, entity: Any) -> Fact:
    """The one fact of an event that has one."""
    translation = translated(kind, entity)
    assert translation.reason is None, translation.reason
    (only,) = translation.facts
    return only


def payment(entity: Body) -> Payment:
    """The payment of a completed transaction."""
    found = fact("transaction.completed", entity)
    assert isinstance(found, Payment)
    return found


def state(entity: Body, kind: str = "subscription.updated") -> SubscriptionState:
    """The state of an event."""
    found = fact(kind, entity)
    assert isinstance(found, SubscriptionState)
    return found


def refund(entity: Body, kind: str = "adjustment.updated") -> Refund:
    """The refund of an adjustment."""
    found = fact(kind, entity)
    assert isinstance(found, Refund)
    return found


def a_transaction(*lines: Body, plan: Plan = PRO, quantity: int = 1, **more: Any) -> Body:
    """A completed transaction: sign-up for Pro at 49.00 by default."""
    fields = {
        "customer": "ctm_1",
        "origin": "web",
        "subscription": "sub_1",
        "at": AT,
        "plans": [(plan, quantity)],
        "lines": list(lines) or [payloads.line(plan, amount=plan.minor * quantity, quantity=quantity)],
    }
    return payloads.transaction("txn_1", **{**fields, **more})


def a_subscription(plan: Plan = PRO, quantity: int = 1, **more: Any) -> Body:
    """An active subscription: to Pro for a month by default."""
    fields = {"customer": "ctm_1", "status": "active", "started_at": AT - timedelta(days=30), "updated_at": AT}
    return payloads.subscription("sub_1", **{**fields, "plans": [(plan, quantity)], **more})


def an_adjustment(**more: Any) -> Body:
    """An adjustment: an approved refund of 20.00 by default."""
    fields = {"transaction": "txn_1", "minor": 2000, "customer": "ctm_1", "subscription": "sub_1", "at": AT}
    return payloads.adjustment("adj_1", **{**fields, **more})
