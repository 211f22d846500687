"""The bills of a Stripe subscription, line by line, and plans whose prices leave something out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import Plan
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer

METERED = {"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"}}
INSIDE = {"tax_behavior": "inclusive"}
OPEN = {"tax_behavior": "unspecified"}
HALF = payloads.coupon("HALF", percent=50)
FREE = payloads.coupon("FREE", percent=100)
TWELVE_OFF = payloads.coupon("TWELVE", amount_off=1200, currency="usd")
SIX_OFF = payloads.coupon("SIX", amount_off=600, currency="usd")
FIVE_OFF = payloads.coupon("FIVE", amount_off=500, currency="usd")
FIFTH = payloads.coupon("FIFTH", percent=20)


def tax_rate(percentage: float) -> Body:
    """A tax rate that is inside the amounts."""
    return {"id": f"txr_{percentage}", "object": "tax_rate", "inclusive": True, "percentage": percentage}


USAGE = ComplexPlan(
    id="price_usage", minor=5, name="Usage", price_fields=METERED, item_fields={"quantity": None}, cost_of_seats=int
)
DEAR_USAGE = replace(USAGE, minor=50000)
SUPPORT = Plan(id="price_support", minor=1000, name="Support")
STORAGE = Plan(id="price_storage", minor=12000, name="Storage", interval="year")
TAXED = ComplexPlan(id="price_taxed", minor=2400, name="Taxed", price_fields=INSIDE)  # 20.00 and 20 %
TAXED_MORE = ComplexPlan(id="price_more", minor=6000, name="More", price_fields=INSIDE)  # 50.00 and 20 %
UNSPECIFIED = ComplexPlan(id="price_open", minor=2400, name="Open", price_fields=OPEN)
BY_ITEM_RATE = replace(UNSPECIFIED, item_fields={"tax_rates": [tax_rate(20)]})
BASE = ComplexPlan(id="price_base", minor=2000, name="Base", extras=((SUPPORT, 1),))
LISTED_LOW = ComplexPlan(id="price_low", minor=2000, name="Low", price_fields={"currency": "usd"})  # 3000 yen
LISTED_HIGH = ComplexPlan(id="price_high", minor=5000, name="High", price_fields={"currency": "usd"})  # 7500 yen
WITH_OPTION = replace(LISTED_HIGH, price_fields={"currency": "usd", "currency_options": {"jpy": {"unit_amount": 7400}}})
Off = Mapping[str, int]


def with_extras(plan: ComplexPlan, *extras: tuple[Plan, int]) -> ComplexPlan:
    """The plan with further items."""
    return replace(plan, extras=extras)


def line(
    ada: ExtendedCustomer,
    plan: Plan,
    minor: int,
    seats: int = 1,
    *,
    tax: int = 0,
    rest: bool = False,
    off: Off | None = None,
) -> Body:
    """A line for a whole period, or for the rest of the present one."""
    sold = ada.subscriptions["1"]
    is_old = ada.shape is Shape.OLD
    behavior: dict[str, Any] = {"inclusive": True} if is_old else {"tax_behavior": "inclusive"}
    return payloads.line(
        f"il_{len(ada.webhooks)}_{plan.id}_{minor}",
        minor=minor,
        priced=plan.price(ada.currency),
        period=(ada.at, sold.period[1]) if rest else sold.period,
        quantity=seats,
        subscription=sold.id,
        item_id=sold.item_id,
        proration=rest,
        shape=ada.shape,
        discount_amounts=[{"discount": found, "amount": amount} for found, amount in (off or {}).items()],
        taxes=[{"amount": tax, **behavior}] if tax else [],
    )


def bill(ada: ExtendedCustomer, why: str, *lines: Body) -> ExtendedCustomer:
    """An invoice of the subscription with these lines is paid."""
    off = sum(part["amount"] for one in lines for part in one["discount_amounts"])
    return ada.bill(sum(one["amount"] for one in lines) - off, f"subscription_{why}", name="1", lines=lines)


def discount_id(ada: ExtendedCustomer) -> str:
    """The id of the subscription's discount."""
    return str(ada._discounts(ada.subscriptions["1"])[0]["id"])


def amended(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The subscription is updated a day later, and nothing of it changes."""
    return ada.later(days=1).amend(metadata={**ada.visit, "note": "changed"})
