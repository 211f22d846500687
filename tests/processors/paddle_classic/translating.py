"""Helpers for the tests of Paddle Classic: a valid alert and its translation."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

from processors.facts import Fact, Payment, Refund, SubscriptionState
from processors.interface import Translation
from processors.paddle_classic.simulation.customer import PLANS
from processors.paddle_classic.translate import translate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TABLE = {"PADDLE_CLASSIC_PLANS": PLANS}
COMMON = {
    "alert_id": "7001",
    "event_time": "2026-11-23 12:00:00",
    "currency": "USD",
    "subscription_id": "7",
    "subscription_plan_id": "12345",
    "user_id": "4",
    "status": "active",
    "passthrough": '{"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"}',
}
CREATED = {"unit_price": "49.00", "quantity": "1", "next_bill_date": "2026-12-23"}
UPDATED = {
    "new_price": "198.00",
    "new_quantity": "2",
    "new_unit_price": "99.00",
    "old_price": "49.00",
    "old_quantity": "1",
    "old_unit_price": "49.00",
    "old_status": "active",
    "old_subscription_plan_id": "12345",
    "old_next_bill_date": "2026-12-23",
    "subscription_plan_id": "12347",
    "next_bill_date": "2026-12-23",
}
CANCELLED = {
    "unit_price": "49.00",
    "quantity": "1",
    "status": "deleted",
    "cancellation_effective_date": "2026-12-23",
}
PAID = {
    "order_id": "55",
    "subscription_payment_id": "9",
    "initial_payment": "1",
    "unit_price": "49.00",
    "quantity": "1",
    "sale_gross": "58.31",
    "payment_tax": "9.31",
    "plan_name": "Pro",
    "coupon": "",
    "next_bill_date": "2026-12-23",
}
REFUNDED = {"order_id": "55", "subscription_payment_id": "9", "gross_refund": "20.00", "refund_type": "partial"}


def body(name: str, fields: dict[str, str], **more: str) -> bytes:
    """The alert as a form, without a signature."""
    return urlencode({**COMMON, "alert_name": name, **fields, **more}).encode()


def translated(name: str, fields: dict[str, str], options: dict[str, str] | None = None, **more: str) -> Translation:
    """The translation of an alert, with a table of plans by default."""
    return translate(body(name, fields, **more), TABLE if options is None else options)


def fact(name: str, fields: dict[str, str], options: dict[str, str] | None = None, **more: str) -> Fact:
    """The one fact of an alert that has one."""
    translation = translated(name, fields, options, **more)
    assert translation.reason is None, translation.reason
    (only,) = translation.facts
    return only


def payment(fields: dict[str, str], name: str = "subscription_payment_succeeded", **more: str) -> Payment:
    """The payment of an alert."""
    (found,) = (one for one in translated(name, fields, **more).facts if isinstance(one, Payment))
    return found


def refund(fields: dict[str, str], name: str = "subscription_payment_refunded", **more: str) -> Refund:
    """The refund of an alert."""
    found = fact(name, fields, **more)
    assert isinstance(found, Refund)
    return found


def state(name: str, fields: dict[str, str], options: dict[str, str] | None = None, **more: str) -> SubscriptionState:
    """The state of an alert."""
    found = fact(name, fields, options, **more)
    assert isinstance(found, SubscriptionState)
    return found
