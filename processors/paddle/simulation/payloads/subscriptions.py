"""Subscriptions with their items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from processors.paddle.simulation.payloads.entities import (
    Body,
    Plan,
    address_id,
    cycle,
    period,
    price,
    product,
    stamp,
)

RESTING = frozenset({"paused", "canceled"})


def subscription(
    subscription_id: str,
    *,
    customer: str,
    plans: Sequence[tuple[Plan, int]],
    status: str,
    started_at: datetime,
    updated_at: datetime,
    currency: str = "USD",
    transaction_id: str | None = None,
    trial_ends_at: datetime | None = None,
    billed_at: datetime | None = None,
    renews_at: datetime | None = None,
    scheduled_change: Body | None = None,
    discount: Body | None = None,
    paused_at: datetime | None = None,
    canceled_at: datetime | None = None,
    custom_data: Mapping[str, Any] | None = None,
) -> Body:
    """A subscription. As at Paddle, its items still say `active` after it was canceled.

    `billed_at`: when it was billed first, at the end of its trial; until then `trial_ends_at` is set.
    """
    ends_at = None if status in RESTING else renews_at
    next_billed_at = stamp(ends_at) if scheduled_change is None else None
    body: Body = {
        "id": subscription_id,
        "status": status,
        "customer_id": customer,
        "address_id": address_id(customer),
        "business_id": None,
        "currency_code": currency,
        "collection_mode": "automatic",
        "billing_details": None,
        "billing_cycle": cycle(plans[0][0]) if plans else None,
        "current_billing_period": period(_began_at(plans, started_at, ends_at), ends_at),
        "next_billed_at": next_billed_at,
        "first_billed_at": None if trial_ends_at is not None else stamp(billed_at or started_at),
        "items": [_item(*sold, status, started_at, trial_ends_at, next_billed_at) for sold in plans],
        "discount": discount,
        "scheduled_change": scheduled_change,
        "started_at": stamp(started_at),
        "paused_at": stamp(paused_at),
        "canceled_at": stamp(canceled_at),
        "created_at": stamp(started_at),
        "updated_at": stamp(updated_at),
        "custom_data": None if custom_data is None else dict(custom_data),
        "import_meta": None,
    }
    return body if transaction_id is None else {**body, "transaction_id": transaction_id}


def _item(
    plan: Plan,
    quantity: int,
    status: str,
    started_at: datetime,
    trial_ends_at: datetime | None,
    next_billed_at: str | None,
) -> Body:
    return {
        "status": "trialing" if status == "trialing" else "active",
        "quantity": quantity,
        "recurring": plan.interval is not None,
        "price": price(plan),
        "product": product(plan),
        "trial_dates": period(started_at, trial_ends_at),
        "next_billed_at": next_billed_at,
        "previously_billed_at": None if trial_ends_at is not None else stamp(started_at),
        "created_at": stamp(started_at),
        "updated_at": stamp(started_at),
    }


def _began_at(plans: Sequence[tuple[Plan, int]], started_at: datetime, ends_at: datetime | None) -> datetime | None:
    """The start of the current period, not before that of the subscription."""
    if ends_at is None or not plans:
        return None
    return max(started_at, ends_at - plans[0][0].period)
