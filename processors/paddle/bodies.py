"""Bodies of Paddle events as Paddle writes them: for simulation, the demo and the tests.

Every builder returns one entity as JSON values whose totals add up; amounts are minor units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sold: a price in minor units per interval; `interval` None: once."""

    id: str
    minor: int
    name: str
    interval: str | None = "month"
    frequency: int = 1
    currency: str = "USD"
    tax_mode: str = "external"


def event(kind: str, entity: Body, *, at: datetime, event_id: str) -> bytes:
    """The whole event, as it is posted."""
    body = {
        "event_id": event_id,
        "event_type": kind,
        "occurred_at": stamp(at),
        "notification_id": event_id.replace("evt_", "ntf_", 1),
        "data": entity,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def stamp(at: datetime | None) -> str | None:
    """An instant as Paddle writes it: microseconds and a Z."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def price(plan: Plan) -> Body:
    """A price entity, as it is snapshotted into items."""
    cycle = None if plan.interval is None else {"interval": plan.interval, "frequency": plan.frequency}
    return {
        "id": f"pri_{plan.id}",
        "name": plan.name,
        "description": plan.name,
        "type": "standard",
        "status": "active",
        "product_id": f"pro_{plan.id}",
        "tax_mode": plan.tax_mode,
        "unit_price": {"amount": str(plan.minor), "currency_code": plan.currency},
        "unit_price_overrides": [],
        "billing_cycle": cycle,
        "trial_period": None,
        "custom_data": None,
        "import_meta": None,
    }


def product(plan: Plan) -> Body:
    """A product entity."""
    return {
        "id": f"pro_{plan.id}",
        "name": plan.name,
        "status": "active",
        "tax_category": "standard",
        "custom_data": None,
    }


def line(
    plan: Plan, *, amount: int, quantity: int = 1, tax: int = 0, discount: int = 0, rate: str | None = None
) -> Body:
    """A line of a transaction: `amount` before discount and tax."""
    return {
        "id": f"txnitm_{plan.id}_{amount}",
        "price_id": f"pri_{plan.id}",
        "quantity": quantity,
        "proration": None if rate is None else {"rate": rate},
        "totals": {
            "subtotal": str(amount),
            "discount": str(discount),
            "tax": str(tax),
            "total": str(amount - discount + tax),
        },
        "product": product(plan),
        "tax_rate": "0.2" if tax else "0",
    }


def transaction(
    transaction_id: str,
    *,
    customer: str | None,
    plans: Sequence[tuple[Plan, int]],
    lines: Sequence[Body],
    origin: str,
    status: str = "completed",
    subscription: str | None = None,
    credit: int = 0,
    currency: str = "USD",
    discount_id: str | None = None,
    custom_data: Mapping[str, Any] | None = None,
    at: datetime,
) -> Body:
    """A transaction whose totals are the sums of its lines."""
    subtotal, discount, tax = (_sum(lines, part) for part in ("subtotal", "discount", "tax"))
    total = subtotal - discount + tax
    net_tax = tax * (total - credit) // total if total else tax
    done = status == "completed"
    return {
        "id": transaction_id,
        "status": status,
        "origin": origin,
        "customer_id": customer,
        "subscription_id": subscription,
        "currency_code": currency,
        "collection_mode": "automatic",
        "discount_id": discount_id,
        "custom_data": None if custom_data is None else dict(custom_data),
        "items": [{"price": price(plan), "quantity": quantity, "proration": None} for plan, quantity in plans],
        "details": {
            "totals": {
                "subtotal": str(subtotal),
                "discount": str(discount),
                "tax": str(tax),
                "total": str(total),
                "credit": str(credit),
                "credit_to_balance": str(max(0, credit - total)),
                "grand_total": str(total - credit),
                "grand_total_tax": str(net_tax),
                "balance": "0" if done else str(total - credit),
                "fee": "0" if done else None,
                "earnings": str(total - credit - net_tax) if done else None,
                "currency_code": currency,
            },
            "line_items": list(lines),
        },
        "payments": [],
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "billed_at": stamp(at),
        "revised_at": None,
    }


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
    scheduled_change: Body | None = None,
    discount: Body | None = None,
    canceled_at: datetime | None = None,
    custom_data: Mapping[str, Any] | None = None,
) -> Body:
    """A subscription; its items go on saying active when it is canceled, as Paddle's do."""
    trial = None if trial_ends_at is None else {"starts_at": stamp(started_at), "ends_at": stamp(trial_ends_at)}
    items = [
        {
            "status": "trialing" if status == "trialing" else "active",
            "quantity": quantity,
            "recurring": plan.interval is not None,
            "price": price(plan),
            "product": product(plan),
            "trial_dates": trial,
        }
        for plan, quantity in plans
    ]
    body: Body = {
        "id": subscription_id,
        "status": status,
        "customer_id": customer,
        "currency_code": currency,
        "items": items,
        "discount": discount,
        "scheduled_change": scheduled_change,
        "started_at": stamp(started_at),
        "canceled_at": stamp(canceled_at),
        "created_at": stamp(started_at),
        "updated_at": stamp(updated_at),
        "custom_data": None if custom_data is None else dict(custom_data),
        "import_meta": None,
    }
    return body if transaction_id is None else {**body, "transaction_id": transaction_id}


def adjustment(
    adjustment_id: str,
    *,
    transaction: str,
    minor: int,
    customer: str | None,
    subscription: str | None,
    action: str = "refund",
    status: str = "approved",
    tax: int = 0,
    currency: str = "USD",
    at: datetime,
) -> Body:
    """An adjustment of a transaction."""
    return {
        "id": adjustment_id,
        "action": action,
        "status": status,
        "transaction_id": transaction,
        "subscription_id": subscription,
        "customer_id": customer,
        "currency_code": currency,
        "reason": "requested_by_customer",
        "items": [{"item_id": f"txnitm_{transaction}", "type": "partial", "amount": str(minor)}],
        "totals": {"subtotal": str(minor - tax), "tax": str(tax), "total": str(minor), "currency_code": currency},
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def _sum(lines: Sequence[Body], part: str) -> int:
    return sum(int(found["totals"][part]) for found in lines)
