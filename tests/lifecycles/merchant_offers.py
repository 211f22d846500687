"""What the random merchant sells: plain, tiered, taxed and foreign plans, add-ons, a meter, and coupons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
OFFERS = {offer.name: offer for offer in (*PLAIN, *TIERED_PLANS, *TAXED_PLANS)}
METER = Offer(
    id="price_meter", minor=5, name="Meter", price_fields=METERED, item_fields={"quantity": None}, cost_of_seats=int
)

COUPONS = {
    "25 %": payloads.coupon("QUARTER", percent=25),
    "free": payloads.coupon("FREE", percent=100),
    "5.00 off": payloads.coupon("FIVE", amount_off=500, currency="usd"),
    "half the first": payloads.coupon("FIRST", percent=50, duration="once"),
    "30 % for a spring": payloads.coupon("SPRING", percent=30, duration="repeating", months=3),
}


def metered(offer: Offer) -> Offer:
    """The plan beside a meter."""
    return replace(offer, extras=((METER, 1),))


def is_free(coupon: Body | None) -> bool:
    """Whether nothing is left to pay."""
    return coupon is not None and coupon["percent_off"] == 100
