"""Prices, plans and products: amounts with twelve decimals, tiers, packages, names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from processors.facts import Interval, Price, Product, Tier, TiersMode
from processors.money import Currency
from processors.stripe.prices import is_complete, price_of
from processors.stripe.simulation.payloads import plan_of, price, product
from tests.processors.stripe.translating import translated

USD = Currency(code="USD", digits=2)


def read(found: Any, plan: Any = None) -> Price:
    one = price_of(found, plan)
    assert one is not None
    return one


def test_a_price_and_its_plan_say_the_same() -> None:
    found = price("price_1", minor=4900, interval="year", nickname="Pro")

    assert read(found) == read(None, plan_of(found)) == read(found, plan_of(found))
    assert read(found) == Price(
        id="price_1",
        currency=USD,
        unit_amount=Decimal(4900),
        interval=Interval.YEAR,
        product_id="prod_app",
        name="Pro",
    )


def test_a_one_time_price_has_no_interval() -> None:
    assert read(price("price_1", minor=4900, interval=None)).interval is None


@pytest.mark.parametrize("interval", ["day", "week", "month", "year"])
def test_every_interval_is_understood(interval: str) -> None:
    found = read(price("price_1", minor=1, interval=interval, interval_count=3))

    assert (found.interval, found.interval_count) == (Interval(interval), 3)


def test_an_interval_of_the_future_is_none() -> None:
    assert read(price("price_1", minor=1, interval="fortnight")).interval is None


def test_twelve_decimals_are_kept_exactly() -> None:
    assert read(price("price_1", minor=None, decimal="0.000000000001")).unit_amount == Decimal("0.000000000001")


def test_metered_by_usage_type_or_by_a_meter() -> None:
    by_type = price("price_1", minor=1, usage_type="metered")
    by_meter = price("price_2", minor=1)
    by_meter["recurring"]["meter"] = "mtr_1"

    assert read(by_type).metered
    assert read(by_meter).metered
    assert read(None, plan_of(by_type)).metered
    assert not read(price("price_3", minor=1)).metered


def test_packages_are_rounded_as_the_price_says() -> None:
    up = price("price_1", minor=500, transform_quantity={"divide_by": 10, "round": "up"})
    down = price("price_2", minor=500, transform_quantity={"divide_by": 10, "round": "down"})

    assert (read(up).divide_by, read(up).divide_rounds_up) == (10, True)
    assert (read(down).divide_by, read(down).divide_rounds_up) == (10, False)
    assert read(None, plan_of(up)).divide_by == 10


@pytest.mark.parametrize("divide_by", [0, -3, None, "many"])
def test_a_package_of_nothing_is_no_package(divide_by: Any) -> None:
    assert read(price("price_1", minor=1, transform_quantity={"divide_by": divide_by, "round": "up"})).divide_by is None


def test_tiers_are_read_where_they_were_expanded() -> None:
    tiers = [
        {"up_to": 10, "unit_amount": 500, "unit_amount_decimal": "500", "flat_amount": None},
        {"up_to": "inf", "unit_amount_decimal": "0.5", "flat_amount": 1000, "flat_amount_decimal": "1000"},
    ]

    found = read({**price("price_1", minor=None, tiers_mode="graduated"), "tiers": tiers})

    assert (found.tiered, found.tiers_mode, found.unit_amount) == (True, TiersMode.GRADUATED, None)
    assert found.tiers == (
        Tier(up_to=10, unit_amount=Decimal(500)),
        Tier(up_to=None, unit_amount=Decimal("0.5"), flat_amount=Decimal(1000)),
    )


def test_tiers_of_the_oldest_plans_call_it_amount() -> None:
    plan = {**(plan_of(price("p", minor=None, tiers_mode="volume")) or {}), "tiers": [{"up_to": None, "amount": 7}]}

    found = read(None, plan)

    assert (found.tiers_mode, found.tiers) == (TiersMode.VOLUME, (Tier(up_to=None, unit_amount=Decimal(7)),))


def test_a_tiered_price_without_its_tiers_is_not_complete() -> None:
    assert not is_complete(read(price("price_1", minor=None, tiers_mode="volume")))
    assert is_complete(read(price("price_1", minor=0)))


def test_a_tax_inside_the_amount_is_marked() -> None:
    assert read(price("price_1", minor=1, tax_behavior="inclusive")).tax_inclusive
    assert not read(price("price_1", minor=1, tax_behavior="exclusive")).tax_inclusive


def test_the_name_is_the_products_else_the_nickname_else_the_lookup_key() -> None:
    found = price("price_1", minor=1, nickname="Nick", lookup_key="pro_monthly")

    assert read({**found, "product": {"id": "prod_1", "name": "Pro"}}).name == "Pro"
    assert read(found, {"id": "price_1", "name": "Plan of 2017"}).name == "Plan of 2017"
    assert read(found).name == "Nick"
    assert read({**found, "nickname": None}).name == "pro_monthly"
    assert read({**found, "nickname": None, "lookup_key": None}).name is None


@pytest.mark.parametrize("found", [None, "price_1", [], {}, {"id": "price_1"}, {"id": "price_1", "currency": "us"}])
def test_what_has_no_id_or_no_currency_is_no_price(found: Any) -> None:
    assert price_of(found) is None


# ---- Events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["price.created", "price.updated", "plan.created", "plan.updated"])
def test_a_price_is_remembered(kind: str) -> None:
    found = price("price_1", minor=4900)

    translation = translated(kind, found)

    assert (translation.facts, translation.catalog) == ((), (read(found),))
    assert translation.reason


def test_an_update_of_a_tiered_price_does_not_make_its_tiers_forgotten() -> None:
    tiered = price("price_1", minor=None, tiers_mode="volume")

    assert translated("price.updated", tiered).catalog == ()
    assert translated("price.created", tiered).catalog == (read(tiered),)


@pytest.mark.parametrize("kind", ["product.created", "product.updated"])
def test_a_products_name_is_remembered(kind: str) -> None:
    assert translated(kind, product("prod_1", name="Pro")).catalog == (Product(id="prod_1", name="Pro"),)


def test_what_is_deleted_stays_known() -> None:
    assert translated("price.deleted", price("price_1", minor=1)).reason == "the price stays in the catalog"
    assert translated("product.deleted", product("prod_1", name="Pro")).reason == "the name stays in the catalog"
