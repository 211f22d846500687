"""The event around an entity, and the small entities: customers, addresses, prices and products."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Body = dict[str, Any]

DAYS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}


def event(kind: str, entity: Body, *, at: datetime, event_id: str) -> bytes:
    """The whole event, as posted."""
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


def period(starts_at: datetime | None, ends_at: datetime | None) -> Body | None:
    """A billing period; None without a beginning or an end."""
    if starts_at is None or ends_at is None:
        return None
    return {"starts_at": stamp(starts_at), "ends_at": stamp(ends_at)}


def discount(discount_id: str, *, percent: int, at: datetime) -> Body:
    """A percentage off every payment of a subscription, without an end."""
    return {
        "id": discount_id,
        "status": "active",
        "description": f"{percent} % off",
        "enabled_for_checkout": True,
        "code": None,
        "type": "percentage",
        "mode": "standard",
        "amount": str(percent),
        "currency_code": None,
        "recur": True,
        "maximum_recurring_intervals": None,
        "usage_limit": None,
        "restrict_to": None,
        "expires_at": None,
        "custom_data": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def customer(customer_id: str, *, at: datetime) -> Body:
    """A customer entity."""
    return {
        "id": customer_id,
        "name": None,
        "email": f"{customer_id}@example.com",
        "locale": "en",
        "status": "active",
        "marketing_consent": False,
        "custom_data": None,
        "import_meta": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def address(customer_id: str, *, at: datetime) -> Body:
    """A customer's address entity."""
    return {
        "id": address_id(customer_id),
        "customer_id": customer_id,
        "country_code": "US",
        "postal_code": "10021",
        "status": "active",
        "custom_data": None,
        "import_meta": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def address_id(customer_id: str | None) -> str | None:
    """The id of a customer's address."""
    return None if customer_id is None else customer_id.replace("ctm_", "add_", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A price in minor units per interval. `interval` None: one-time."""

    id: str
    minor: int
    name: str
    interval: str | None = "month"
    frequency: int = 1
    currency: str = "USD"
    tax_mode: str = "external"

    @property
    def period(self) -> timedelta:
        """The length of a period, with months of 30 and years of 365 days."""
        return timedelta(days=DAYS.get(self.interval or "month", 30) * self.frequency)


def price(plan: Plan) -> Body:
    """A price entity, as items contain it."""
    return {
        "id": f"pri_{plan.id}",
        "name": plan.name,
        "description": plan.name,
        "type": "standard",
        "status": "active",
        "product_id": f"pro_{plan.id}",
        "quantity": {"minimum": 1, "maximum": 999},
        "tax_mode": plan.tax_mode,
        "unit_price": {"amount": str(plan.minor), "currency_code": plan.currency},
        "unit_price_overrides": [],
        "billing_cycle": cycle(plan),
        "trial_period": None,
        "custom_data": None,
        "import_meta": None,
    }


def product(plan: Plan) -> Body:
    """A product entity."""
    return {
        "id": f"pro_{plan.id}",
        "name": plan.name,
        "description": plan.name,
        "type": "standard",
        "status": "active",
        "tax_category": "standard",
        "image_url": None,
        "custom_data": None,
        "import_meta": None,
    }


def cycle(plan: Plan) -> Body | None:
    """The billing cycle of a plan; None: one-time."""
    return None if plan.interval is None else {"interval": plan.interval, "frequency": plan.frequency}
