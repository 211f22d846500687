"""The catalog entries of prices, products and discounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from processors.facts import Coupon, Duration, Interval, Price, Product
from processors.money import Currency
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO
from processors.paddle.simulation.payloads import Plan
from tests.processors.paddle.translating import a_subscription, state, translated

TEN_OFF = {"id": "dsc_1", "type": "percentage", "amount": "10", "recur": True, "code": "TEN", "restrict_to": []}


def learned(kind: str, entity: Any) -> Any:
    translation = translated(kind, entity)
    assert translation.facts == ()
    assert translation.reason == "remembered for later: it belongs to no customer"
    return translation.catalog


def test_a_price_is_remembered_with_its_cycle() -> None:
    quarterly = Plan(id="q", minor=13500, name="Pro", frequency=3, tax_mode="internal")

    assert learned("price.created", payloads.price(quarterly)) == (
        Price(
            id="pri_q",
            currency=Currency(code="USD", digits=2),
            unit_amount=Decimal(13500),
            interval=Interval.MONTH,
            interval_count=3,
            product_id="pro_q",
            name="Pro",
            tax_inclusive=True,
        ),
    )


def test_a_one_time_price_has_no_interval() -> None:
    (price,) = learned("price.updated", payloads.price(Plan(id="x", minor=100, name="X", interval=None)))

    assert price.interval is None


@pytest.mark.parametrize(
    ("override", "open_amount"),
    [
        ({"amount": "5900", "currency_code": "USD"}, True),
        ({"amount": "4900", "currency_code": "USD"}, False),
        ({"amount": "4500", "currency_code": "EUR"}, False),
        (None, False),
    ],
)
def test_a_price_that_differs_by_country_in_one_currency_leaves_its_amount_open(
    override: Any, open_amount: bool
) -> None:
    entity = {**payloads.price(PRO), "unit_price_overrides": [{"country_codes": ["CA"], "unit_price": override}]}

    (price,) = learned("price.created", entity)

    assert price.tax_inclusive is open_amount


def test_a_products_name_is_remembered() -> None:
    assert learned("product.updated", payloads.product(PRO)) == (Product(id="pro_pro", name="Pro"),)


FOR_ALL: dict[str, Any] = {"id": "dsc_1", "applies_to": ()}


@pytest.mark.parametrize(
    ("more", "coupon"),
    [
        ({}, Coupon(**FOR_ALL, percent=Decimal(10), duration=Duration.FOREVER, name="TEN")),
        ({"recur": False}, Coupon(**FOR_ALL, percent=Decimal(10), duration=Duration.ONCE, name="TEN")),
        (
            {"maximum_recurring_intervals": 3},
            Coupon(**FOR_ALL, percent=Decimal(10), duration=Duration.REPEATING, name="TEN"),
        ),
        (
            {"type": "flat", "amount": "500", "currency_code": "eur"},
            Coupon(**FOR_ALL, amount_off={"EUR": 500}, duration=Duration.FOREVER, name="TEN"),
        ),
        (
            {"type": "flat_per_seat", "amount": "500", "currency_code": "EUR"},
            Coupon(**FOR_ALL, duration=Duration.FOREVER, name="TEN"),
        ),
        (
            {"restrict_to": ["pro_1"]},
            Coupon(id="dsc_1", percent=Decimal(10), duration=Duration.FOREVER, name="TEN", applies_to=("pro_1",)),
        ),
        (
            {"code": None, "description": "Ten percent"},
            Coupon(**FOR_ALL, percent=Decimal(10), duration=Duration.FOREVER, name="Ten percent"),
        ),
    ],
    ids=["percent", "once", "three months", "an amount", "an amount per seat", "for one product", "without a code"],
)
def test_a_discounts_terms_are_remembered(more: dict[str, Any], coupon: Coupon) -> None:
    assert learned("discount.created", {**TEN_OFF, **more}) == (coupon,)


@pytest.mark.parametrize("more", [{"id": None}, {"amount": "much"}, {"amount": None}])
def test_a_discount_without_id_or_amount_is_no_catalog_entry(more: dict[str, Any]) -> None:
    assert learned("discount.updated", {**TEN_OFF, **more}) == ()


def test_a_discount_that_is_for_once_lowers_nothing() -> None:
    entity = a_subscription(discount={"id": "dsc_1", "starts_at": None, "ends_at": None, "type": "one-off"})

    (discount,) = state(entity).now.discounts

    assert discount.coupon == Coupon(id="dsc_1", percent=Decimal(0), duration=Duration.ONCE)
