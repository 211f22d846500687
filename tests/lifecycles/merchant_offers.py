"""What the random merchant sells: plain, tiered, taxed and foreign plans, add-ons, a meter, and coupons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Plan
from processors.stripe.simulation.payloads import Body
from tests.lifecycles.reference_ledger import ReferenceItem
from tests.lifecycles.stripe_customer import ComplexPlan

TIERED: Mapping[str, Any] = {"billing_scheme": "tiered", "unit_amount": None, "unit_amount_decimal": None}
TIERS = [
    {"up_to": 2, "unit_amount": 1000, "unit_amount_decimal": "1000", "flat_amount": None},
    {"up_to": None, "unit_amount": 700, "unit_amount_decimal": "700", "flat_amount": None},
]
METERED = {"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"}}
RATE = {"id": "txr_20", "object": "tax_rate", "inclusive": True, "percentage": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(ComplexPlan):
    """A plan of the merchant. `tax`: percent inside its amounts.

    `is_shown_by_bills`: no state shows its amount without tax in the customer's currency, only a bill does.
    """

    tax: int = 0
    is_shown_by_bills: bool = False

    @property
    def addons(self) -> list[Offer]:
        """The further items that are no meter, in the order in which they were added."""
        return [plan for plan, _ in self.extras if isinstance(plan, Offer) and plan.id != METER.id]

    def is_billed_with(self, other: Plan) -> bool:
        """Whether both are billed by the same invoices."""
        return (self.interval, self.interval_count) == (other.interval, other.interval_count)

    @property
    def product_id(self) -> str:
        """The product, to which coupons may be limited."""
        return f"prod_{self.id}"

    def sold(self, quantity: int) -> ReferenceItem:
        """This quantity of it in the reference."""
        return ReferenceItem(
            product=self.product_id,
            seats=quantity,
            period=self.cost(quantity),
            unit=self.interval,
            count=self.interval_count,
            tax=self.tax,
        )


def _plain(plan: Plan) -> Offer:
    return Offer(
        id=plan.id, minor=plan.minor, name=plan.name, interval=plan.interval, interval_count=plan.interval_count
    )


def graduated(seats: int) -> int:
    """Two seats at 10.00, further ones at 7.00."""
    return 1000 * min(seats, 2) + 700 * max(seats - 2, 0)


def volume(seats: int) -> int:
    """Up to two seats at 10.00, more at 7.00 each."""
    return seats * (1000 if seats <= 2 else 700)


def in_pounds(minor: int) -> Mapping[str, Any]:
    """A price that is listed in pounds, for customers who pay in dollars."""
    return {"currency": "gbp", "unit_amount": minor, "unit_amount_decimal": str(minor)}


PLAIN = (
    *(_plain(plan) for plan in (STARTER, PRO, TEAM, PRO_YEARLY)),
    Offer(id="price_weekly", minor=1099, name="Weekly", interval="week"),
    Offer(id="price_quarterly", minor=9999, name="Quarterly", interval_count=3),
    Offer(id="price_daily", minor=75, name="Daily", interval="day"),
)
TIERED_PLANS = (
    Offer(
        id="price_graduated",
        minor=1000,
        name="Graduated",
        price_fields={**TIERED, "tiers_mode": "graduated", "tiers": TIERS},
        cost_of_seats=graduated,
    ),
    Offer(
        id="price_graduated_unknown",
        minor=1000,
        name="Graduated, tiers unknown",
        price_fields={**TIERED, "tiers_mode": "graduated"},
        cost_of_seats=graduated,
        is_shown_by_bills=True,
    ),
    Offer(
        id="price_volume_unknown",
        minor=1000,
        name="Volume by the year, tiers unknown",
        interval="year",
        price_fields={**TIERED, "tiers_mode": "volume"},
        cost_of_seats=volume,
        is_shown_by_bills=True,
    ),
)
TAXED_PLANS = (
    Offer(
        id="price_taxed",
        minor=2400,
        name="Taxed",
        price_fields={"tax_behavior": "inclusive"},
        tax=20,
        is_shown_by_bills=True,
    ),
    Offer(id="price_by_rate", minor=2999, name="Taxed by its rate", item_fields={"tax_rates": [RATE]}, tax=20),
    Offer(
        id="price_by_lines",
        minor=35988,
        name="Taxed by the account's setting",
        interval="year",
        tax=19,
        is_shown_by_bills=True,
    ),
)
FOREIGN_PLANS = (
    Offer(
        id="price_with_option",
        minor=6900,
        name="In pounds or dollars",
        price_fields={**in_pounds(5500), "currency_options": {"usd": {"unit_amount": 6900}}},
    ),
    Offer(id="price_pounds", minor=5200, name="In pounds", price_fields=in_pounds(4000), is_shown_by_bills=True),
    Offer(
        id="price_pounds_taxed",
        minor=64800,
        name="In pounds by the year, taxed",
        interval="year",
        price_fields={**in_pounds(49900), "tax_behavior": "inclusive"},
        tax=20,
        is_shown_by_bills=True,
    ),
)
OFFERS = {offer.name: offer for offer in (*PLAIN, *TIERED_PLANS, *TAXED_PLANS, *FOREIGN_PLANS)}
ADDONS = {
    offer.name: offer
    for offer in (
        Offer(id="price_storage", minor=12000, name="Storage", interval="year"),
        Offer(id="price_calls", minor=300, name="Calls", interval="week"),
        Offer(id="price_support", minor=1000, name="Support"),
    )
}
METER = Offer(
    id="price_meter", minor=5, name="Meter", price_fields=METERED, item_fields={"quantity": None}, cost_of_seats=int
)

COUPONS = {
    "25 %": payloads.coupon("QUARTER", percent=25),
    "free": payloads.coupon("FREE", percent=100),
    "5.00 off": payloads.coupon("FIVE", amount_off=500, currency="usd"),
    "half the first": payloads.coupon("FIRST", percent=50, duration="once"),
    "30 % for a spring": payloads.coupon("SPRING", percent=30, duration="repeating", months=3),
    "40 % off Pro": {**payloads.coupon("PRO40", percent=40), "applies_to": {"products": ["prod_price_pro"]}},
    "2.00 off Calls": {
        **payloads.coupon("CALLS", amount_off=200, currency="usd"),
        "applies_to": {"products": ["prod_price_calls"]},
    },
    "half of Storage": payloads.coupon("STORAGE", percent=50),
    "10 % off Team": payloads.coupon("TEAM10", percent=10),
}
# Of the customer: they come off each subscription that has none itself.
CUSTOMER_COUPONS = {
    "15 % for the customer": payloads.coupon("LOYAL", percent=15),
    "40 % for the customer": payloads.coupon("FRIEND", percent=40),
}
# The products that coupons are limited to. Webhooks leave it out: the catalog has it only of some coupons.
PRODUCTS = {
    "PRO40": "prod_price_pro",
    "CALLS": "prod_price_calls",
    "STORAGE": "prod_price_storage",
    "TEAM10": "prod_price_team",
}


def is_shown_by_bills(coupon: Body | None) -> bool:
    """Whether only bills show the product that it is limited to."""
    return coupon is not None and coupon["id"] in PRODUCTS and "applies_to" not in coupon


def comes_off(coupon: Body, plan: Plan) -> bool:
    """Whether it comes off this plan."""
    return coupon["id"] not in PRODUCTS or PRODUCTS[coupon["id"]] == f"prod_{plan.id}"


def is_free(coupon: Body | None) -> bool:
    """Whether nothing is left to pay."""
    return coupon is not None and coupon["percent_off"] == 100
