"""Plans, the current state of subscriptions and payments, and the calendar of billing periods."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from processors.money import round_minor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A price in minor units per interval."""

    id: str
    minor: int
    name: str
    interval: str = "month"
    interval_count: int = 1

    def cost(self, quantity: int) -> int:
        """One period of this quantity in minor units, before discounts."""
        return self.minor * quantity

    def price(self, currency: str) -> Body:
        """The plan as Stripe's price."""
        return payloads.price(
            self.id,
            minor=self.minor,
            currency=currency,
            interval=self.interval,
            interval_count=self.interval_count,
            product_id=f"prod_{self.id}",
            nickname=self.name,
        )


STARTER = Plan(id="price_starter", minor=1900, name="Starter")
PRO = Plan(id="price_pro", minor=4900, name="Pro")
TEAM = Plan(id="price_team", minor=9900, name="Team")
PRO_YEARLY = Plan(id="price_pro_yearly", minor=49000, name="Pro, yearly", interval="year")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription in its current state."""

    id: str
    plan: Plan
    quantity: int
    started_at: datetime
    period: Period
    status: str = "active"
    trial_end: datetime | None = None
    coupon: Body | None = None
    cancel_at_period_end: bool = False
    ended_at: datetime | None = None
    ended_reason: str | None = None
    latest_invoice: str | None = None
    pause_collection: Body | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def per_period(self) -> int:
        """The price of one whole period in minor units, before discounts."""
        return self.plan.cost(self.quantity)

    @property
    def item_id(self) -> str:
        """The id of its one item."""
        return f"si_{self.id.removeprefix('sub_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment that succeeded."""

    intent_id: str
    charge_id: str
    minor: int
    at: datetime
    invoice_id: str | None = None
    customer_id: str | None = None
    refunds: tuple[Body, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """The amount refunded so far."""
        return sum(found["amount"] for found in self.refunds)


def period_end(start: datetime, plan: Plan) -> datetime:
    """The end of a period that begins at `start`: the same day of a later month, or that month's last day."""
    if plan.interval in ("day", "week"):
        return start + timedelta(days=plan.interval_count * (7 if plan.interval == "week" else 1))
    months = start.month - 1 + plan.interval_count * (12 if plan.interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


def discount_on(coupon: Body | None, minor: int) -> int:
    """The discount of a coupon on an amount, both in minor units."""
    if coupon is None or minor <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return round_minor(Fraction(str(coupon["percent_off"])) * minor / 100)
    return min(minor, int(coupon["amount_off"]))
