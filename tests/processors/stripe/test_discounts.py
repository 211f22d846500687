"""Discounts, coupons and promotion codes in their three formats."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from processors.facts import Coupon, Discount, Duration, Ids, Link
from processors.stripe.discounts import coupon_of, discount_of, discounts_on
from processors.stripe.simulation.payloads import Shape, coupon, discount
from tests.processors.stripe.translating import AT, translated, without

NARROWER = ["subscription", "subscription_item", "invoice", "invoice_item", "checkout_session"]
QUARTER = coupon("QUARTER", percent=25.5, duration="repeating", months=3, name="A quarter off")
QUARTER_OFF = Coupon(id="QUARTER", percent=Decimal("25.5"), duration=Duration.REPEATING, name="A quarter off")


def a_discount(shape: Shape, **more: Any) -> dict[str, Any]:
    return discount(
        "di_1", QUARTER, **{"customer": "cus_1", "subscription": "sub_1", "start": AT, "shape": shape, **more}
    )


def test_a_percentage_is_exact() -> None:
    assert coupon_of(QUARTER) == QUARTER_OFF


def test_an_amount_is_stated_by_currency_with_its_options() -> None:
    found = {**coupon("TEN", amount_off=1000, currency="usd", duration="once"), "name": None}
    found["currency_options"] = {"eur": {"amount_off": 900}, "jpy": {"amount_off": 1500}, "gbp": None}

    assert coupon_of(found) == Coupon(
        id="TEN", amount_off={"USD": 1000, "EUR": 900, "JPY": 1500}, duration=Duration.ONCE
    )


@pytest.mark.parametrize("found", [None, "QUARTER", {}, {"id": "X"}, {"id": "X", "amount_off": 5, "currency": None}])
def test_what_takes_nothing_off_is_no_coupon(found: Any) -> None:
    assert coupon_of(found) is None


def test_a_coupon_that_the_api_expanded_names_its_products() -> None:
    found = coupon_of({**QUARTER, "applies_to": {"products": ["prod_1", None, "prod_2"]}})

    assert found is not None
    assert found.applies_to == ("prod_1", "prod_2")


@pytest.mark.parametrize("narrower", [None, *NARROWER])
def test_a_discount_is_the_customers_unless_it_is_on_something_narrower(narrower: str | None) -> None:
    found = {**a_discount(Shape.CLOVER, subscription=None), **({narrower: "x_1"} if narrower else {})}

    (link,) = translated("customer.discount.created", found).facts

    assert isinstance(link, Link)
    assert (link.customer_discount is None) == (narrower is not None)


def test_the_same_discount_in_three_forms() -> None:
    assert discount_of("di_1") == Discount(id="di_1")
    assert discount_of(a_discount(Shape.CLOVER)) == Discount(id="di_1", coupon_id="QUARTER", starts_at=AT)
    assert discount_of(a_discount(Shape.OLD)) == Discount(
        id="di_1", coupon_id="QUARTER", coupon=QUARTER_OFF, starts_at=AT
    )


def test_discounts_of_2020_had_no_id() -> None:
    found = discount_of(without(a_discount(Shape.OLD), "id"))

    assert found == Discount(coupon_id="QUARTER", coupon=QUARTER_OFF, starts_at=AT)


def test_a_clover_discount_whose_coupon_the_api_expanded_has_it() -> None:
    expanded = {**a_discount(Shape.CLOVER), "source": {"type": "coupon", "coupon": QUARTER}}

    assert discount_of(expanded) == Discount(id="di_1", coupon_id="QUARTER", coupon=QUARTER_OFF, starts_at=AT)


def test_an_id_and_its_object_are_one_discount() -> None:
    both = {"discounts": ["di_0", "di_1"], "discount": a_discount(Shape.OLD)}

    assert [(one.id, one.coupon_id) for one in discounts_on(both)] == [("di_0", None), ("di_1", "QUARTER")]


@pytest.mark.parametrize("holder", [{}, {"discounts": None}, {"discounts": "di_1"}, {"discounts": [None, {}, 5.5]}])
def test_nothing_readable_is_no_discount(holder: dict[str, Any]) -> None:
    assert discounts_on(holder) == ()


# ---- Events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["customer.discount.created", "customer.discount.updated"])
@pytest.mark.parametrize("shape", tuple(Shape))
def test_a_discount_is_remembered_and_its_subscription_looked_at_again(kind: str, shape: Shape) -> None:
    found = a_discount(shape)

    translation = translated(kind, found)

    assert translation.facts == (
        Link(at=AT, ids=Ids(customer_id="cus_1", subscription_id="sub_1"), processor_event_id="evt_1"),
    )
    assert discount_of(found) in translation.catalog
    assert (QUARTER_OFF in translation.catalog) is (shape is not Shape.CLOVER)


def test_a_discount_that_was_taken_away_ended_then() -> None:
    found = a_discount(Shape.CLOVER, end=AT + timedelta(days=90))

    (known,) = translated("customer.discount.deleted", found).catalog

    assert isinstance(known, Discount)
    assert known.ends_at == AT


def test_a_discount_that_had_ended_before_keeps_its_end() -> None:
    found = a_discount(Shape.CLOVER, end=AT - timedelta(days=1))

    (known,) = translated("customer.discount.deleted", found).catalog

    assert isinstance(known, Discount)
    assert known.ends_at == AT - timedelta(days=1)


def test_a_customers_own_discount_names_no_subscription() -> None:
    (link,) = translated("customer.discount.created", a_discount(Shape.CLOVER, subscription=None)).facts

    assert link.ids == Ids(customer_id="cus_1")


@pytest.mark.parametrize("kind", ["coupon.created", "coupon.updated", "coupon.deleted"])
def test_a_coupon_is_remembered(kind: str) -> None:
    assert translated(kind, QUARTER).catalog == (QUARTER_OFF,)


def test_a_promotion_codes_coupon_is_read_where_the_payload_has_it() -> None:
    old = {"id": "promo_1", "object": "promotion_code", "coupon": QUARTER}
    clover = {"id": "promo_1", "object": "promotion_code", "promotion": {"type": "coupon", "coupon": "QUARTER"}}

    assert translated("promotion_code.created", old).catalog == (QUARTER_OFF,)
    assert translated("promotion_code.created", clover).catalog == ()
