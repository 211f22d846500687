"""Measurements: what a bill shows of each price, and what stays known of the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ledger.catalog import EMPTY_CATALOG
from bridge.ledger.item_amounts import billed_period
from bridge.ledger.measurements import (
    Bill,
    Measurement,
    measurements_of,
    scopes_with_bills,
    to_store,
    with_measurements,
)
from bridge.ledger.tax_inside import billed_rate
from processors.facts import Line, Period
from processors.money import round_minor
from processors.values import replace
from tests.bridge.ledger.harness import catalog_of
from tests.builders import EUR, JPY, NOON, USD, a_line, a_price, after, an_item

MONTH = Period(starts_at=NOON, ends_at=after(days=30))


def a_bill(*lines: Line, days: int = 0, discounts: Sequence[str] = ()) -> Bill:
    return Bill(at=after(days=days), currency=USD, lines=lines, discount_ids=tuple(discounts))


def test_a_bill_of_one_price_leaves_what_was_measured_of_another() -> None:
    bills = [
        a_bill(a_line(3500, price_id="base"), a_line(1000, price_id="add")),
        a_bill(a_line(900, price_id="add"), days=9),
    ]

    kept = to_store(measurements_of(bills, EMPTY_CATALOG))

    assert {price: [one.line.amount for one in several] for price, several in kept.items()} == {
        "base": [Decimal(3500)],
        "add": [Decimal(900)],
    }


def test_a_bill_that_arrives_late_does_not_replace_a_later_one() -> None:
    known = to_store(measurements_of([a_bill(a_line(900, price_id="p"), days=30)], EMPTY_CATALOG))

    kept = to_store(with_measurements(known, measurements_of([a_bill(a_line(800, price_id="p"))], EMPTY_CATALOG)))

    assert [one.line.amount for one in kept["p"]] == [Decimal(900)]


@pytest.mark.parametrize("metered", [True, False])
def test_a_line_that_bills_usage_measures_nothing(metered: bool) -> None:
    line = a_line(5000, price_id="use", metered=metered)
    catalog = catalog_of(a_price(5, id="use", metered=True))

    assert measurements_of([a_bill(line)], catalog) == {}


def test_of_several_changes_on_one_bill_the_last_measures_the_price() -> None:
    first = a_line(2000, 2, price_id="p", proration=True, starts_at=after(days=10), ends_at=MONTH.ends_at)
    last = replace(first, amount=Decimal(1500), quantity=Decimal(3), starts_at=after(days=20))

    (found,) = measurements_of([a_bill(last, first)], EMPTY_CATALOG)["p"]

    assert (found.line.amount, found.line.quantity) == (Decimal(1500), Decimal(3))


def test_a_discount_touches_the_products_whose_lines_show_it() -> None:
    base = a_line(2000, product_id="prod_base")
    reduced = a_line(1000, product_id="prod_add", discount=500, discount_ids=("di_1",))

    scopes = scopes_with_bills({}, [a_bill(base, reduced, discounts=["di_1"]), a_bill(base, days=30)])

    assert scopes == {"di_1": {"prod_base": False, "prod_add": True}}


def test_a_discount_that_a_bill_lists_on_no_line_touches_none_of_them() -> None:
    part = a_line(700, product_id="prod_part", proration=True)

    scopes = scopes_with_bills({}, [a_bill(a_line(2000, product_id="prod_base"), part, discounts=["di_1"])])

    assert scopes == {"di_1": {"prod_base": False}}


def test_a_line_that_others_discounted_to_nothing_says_nothing() -> None:
    base = a_line(2000, product_id="prod_base", discount=400, discount_ids=("di_1",))
    free = a_line(1000, product_id="prod_add", discount=1000, discount_ids=("di_2",))

    scopes = scopes_with_bills({}, [a_bill(base, free, discounts=["di_1", "di_2"])])

    assert scopes == {"di_1": {"prod_base": True}, "di_2": {"prod_base": False, "prod_add": True}}


def test_a_bill_without_the_discount_says_nothing_of_it() -> None:
    assert scopes_with_bills({}, [a_bill(a_line(2000))]) == {}


# ---- The tax inside -----------------------------------------------------------------------------------------------


@given(
    st.integers(min_value=1000, max_value=10**7),
    st.sampled_from(["5", "7", "7.7", "10", "19", "20", "25"]),
    st.integers(min_value=0, max_value=80),
)
def test_the_rate_is_found_from_the_rounded_tax(gross: int, percentage: str, off: int) -> None:
    rate, discount = Fraction(percentage) / 100, gross * off // 100
    tax = round_minor(Fraction(gross - discount) * rate / (1 + rate))
    line = a_line(gross, discount=Decimal(discount), tax_inside=Decimal(tax))

    found = billed_rate(Measurement(at=NOON, line=line), USD)
    stated = billed_rate(Measurement(at=NOON, line=line), USD, Decimal(percentage))

    assert stated == rate
    assert found is not None
    assert abs(Fraction(gross - discount) * found / (1 + found) - tax) <= Fraction(1, 2)


def test_a_line_that_a_coupon_makes_free_does_not_show_the_tax() -> None:
    line = a_line(2400, discount=Decimal(2400), tax_inside=Decimal(0))

    assert billed_rate(Measurement(at=NOON, line=line), USD) is None


@pytest.mark.parametrize(("amount", "rate"), [(2400, 0), (2000, Fraction(1, 5)), (1700, None)])
def test_a_line_without_tax_is_compared_with_the_list_amount(amount: int, rate: Fraction | int | None) -> None:
    line = a_line(amount, tax_rate=Decimal(20))

    found = billed_rate(Measurement(at=NOON, line=line, listed=Fraction(2400), currency="USD"), USD)

    assert found == rate
    assert billed_rate(Measurement(at=NOON, line=line, listed=Fraction(2400), currency="USD"), EUR) is None


# ---- The rest of a period -----------------------------------------------------------------------------------------


@given(st.integers(min_value=1, max_value=10**6), st.integers(min_value=1, max_value=30 * 86400))
def test_the_charge_for_the_rest_of_a_period_gives_the_whole(whole: int, seconds: int) -> None:
    share = Fraction(seconds, 30 * 86400)
    line = a_line(
        round_minor(whole * share),
        price_id="p",
        proration=True,
        tax_inside=Decimal(0),
        starts_at=MONTH.ends_at - timedelta(seconds=seconds),
        ends_at=MONTH.ends_at,
    )
    price, one = a_price(20, currency=USD, id="p"), Measurement(at=NOON, line=line)

    found = billed_period(one, an_item(price=price), price, Fraction(whole), JPY, {"p": MONTH})

    assert found is not None
    assert (found.gross, found.net, found.certain) == (whole, whole, True)


def test_without_the_right_amount_among_several_the_nearest_is_an_estimate() -> None:
    line = a_line(5081, price_id="p", proration=True, starts_at=after(days=9), ends_at=MONTH.ends_at)  # 21 of 30 days
    price = a_price(20, currency=USD, id="p")

    found = billed_period(Measurement(at=NOON, line=line), an_item(price=price), price, Fraction(20), JPY, {"p": MONTH})

    assert found is not None
    assert (found.gross, found.certain) == (7259, False)  # 5,081 x 30 / 21 = 7,258.57


def test_a_charge_that_is_stated_after_discounts_shows_no_amount() -> None:
    line = a_line(
        1500, price_id="p", proration=True, starts_at=after(days=15), ends_at=MONTH.ends_at, discount_ids=("di_1",)
    )
    price = a_price(20, currency=USD, id="p")

    assert (
        billed_period(Measurement(at=NOON, line=line), an_item(price=price), price, Fraction(20), JPY, {"p": MONTH})
        is None
    )
