"""Subscriptions and their items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from processors.stripe.simulation.payloads.catalog import plan_of
from processors.stripe.simulation.payloads.envelope import NO_METADATA, Body, Period, Shape, listed, unix


def item(
    item_id: str,
    priced: Body,
    *,
    subscription: str,
    quantity: int | None = 1,
    period: Period,
    shape: Shape = Shape.CLOVER,
    discounts: Sequence[Body | str] = (),
    current_trial: Body | None = None,
) -> Body:
    """A subscription item, with the billing period since basil."""
    dated = {"current_period_start": unix(period[0]), "current_period_end": unix(period[1])}
    return {
        "id": item_id,
        "object": "subscription_item",
        "discounts": list(discounts),
        "metadata": {},
        "plan": plan_of(priced),
        "price": priced,
        "quantity": quantity,
        "subscription": subscription,
        **({} if shape is Shape.OLD else dated),
        **({"current_trial": current_trial} if current_trial else {}),
    }


def subscription(
    subscription_id: str,
    *,
    customer: str | None,
    items: Sequence[Body],
    started_at: datetime,
    period: Period,
    status: str = "active",
    currency: str = "usd",
    shape: Shape = Shape.CLOVER,
    discounts: Sequence[Body] = (),
    metadata: Mapping[str, str] = NO_METADATA,
    latest_invoice: str | None = None,
    trial_end: datetime | None = None,
    cancel_at: datetime | None = None,
    cancel_at_period_end: bool = False,
    ended_at: datetime | None = None,
    ended_reason: str | None = None,
    pause_collection: Body | None = None,
) -> Body:
    """A subscription. `discounts` are whole objects; the API version decides how much of them it contains."""
    body: Body = {
        "id": subscription_id,
        "object": "subscription",
        "cancel_at": unix(period[1] if cancel_at_period_end else cancel_at),
        "cancel_at_period_end": cancel_at_period_end,
        "canceled_at": unix(ended_at),
        "cancellation_details": {"comment": None, "feedback": None, "reason": ended_reason},
        "collection_method": "charge_automatically",
        "created": unix(started_at),
        "currency": currency,
        "customer": customer,
        "discounts": [found["id"] for found in discounts],
        "ended_at": unix(ended_at),
        "items": listed(items),
        "latest_invoice": latest_invoice,
        "metadata": dict(metadata),
        "pause_collection": pause_collection,
        "start_date": unix(started_at),
        "status": status,
        "trial_end": unix(trial_end),
        "trial_start": unix(started_at if trial_end else None),
    }
    return {**body, **_old_subscription(body, items, period, discounts)} if shape is Shape.OLD else body


def _old_subscription(body: Body, items: Sequence[Body], period: Period, discounts: Sequence[Body]) -> Body:
    """The fields that the subscription itself had before basil."""
    only = items[0] if len(items) == 1 else None
    return {
        "current_period_start": unix(period[0]),
        "current_period_end": unix(period[1]),
        "discount": discounts[0] if discounts else None,
        "plan": only["plan"] if only else None,
        "quantity": only["quantity"] if only else None,
    }
