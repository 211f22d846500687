"""What is sold: plans, and the price and product entities that stand for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from processors.paddle.simulation.payloads.envelope import Body

DAYS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}


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

    @property
    def period(self) -> timedelta:
        """How long what is paid lasts, months and years by their usual length."""
        return timedelta(days=DAYS.get(self.interval or "month", 30) * self.frequency)


def price(plan: Plan) -> Body:
    """A price entity, as it is snapshotted into items."""
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
    """How often a plan is billed."""
    return None if plan.interval is None else {"interval": plan.interval, "frequency": plan.frequency}
