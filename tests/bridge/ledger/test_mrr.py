"""MRR: exact sums computed by hand, in minor units per month, and when it is only an estimate."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from bridge.ledger import Policy
from bridge.ledger.catalog import EMPTY_CATALOG
from bridge.ledger.mrr import mrr_of, mrr_of_lines
from bridge.ledger.plan_details import interval_name
from bridge.ledger.policy import ChurnAt
from bridge.ledger.valuation import ValuationContext
from processors.facts import Interval, Line, Status
from processors.money import round_minor
from processors.values import replace
from tests.bridge.ledger.harness import catalog_of, rows, settled
from tests.bridge.ledger.valuations import certain, estimate, mrr, of_price
from tests.builders import (
    JPY,
    NOON,
    USD,
    a_created,
    a_line,
    a_paid_invoice,
    a_price,
    a_subscription,
    after,
    an_item,
    terms,
)

# ---- Status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_only_active_and_past_due_count(status: Status) -> None:
    assert mrr(terms(status)) == certain(4900 if status in (Status.ACTIVE, Status.PAST_DUE) else 0)


def test_a_scheduled_end_counts_unless_churn_is_counted_at_request() -> None:
    context = ValuationContext(at=NOON, policy=Policy(churn_at=ChurnAt.REQUEST), catalog=EMPTY_CATALOG)

    assert mrr(terms(cancels_at=after(days=9))) == certain(4900)
    assert mrr_of(terms(cancels_at=after(days=9)), context) == certain(0)


# ---- Amounts and intervals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "number", "exact"),
    [
        (Interval.MONTH, 1, Fraction(1200)),
        (Interval.MONTH, 3, Fraction(400)),
        (Interval.MONTH, 7, Fraction(1200, 7)),
        (Interval.YEAR, 1, Fraction(100)),
        (Interval.YEAR, 2, Fraction(50)),
        (Interval.WEEK, 1, Fraction(5200)),  # 1200 x 52/12
        (Interval.WEEK, 2, Fraction(2600)),
        (Interval.DAY, 1, Fraction(36500)),  # 1200 x 365/12
        (Interval.DAY, 90, Fraction(3650, 9)),
    ],
)
def test_an_amount_is_normalised_to_a_month_exactly(every: Interval, number: int, exact: Fraction) -> None:
    assert mrr(of_price(a_price(1200, every, interval_count=number))) == certain(exact)


def test_twelve_decimals_of_a_cent_are_kept() -> None:
    price = a_price("0.000000000001")

    assert mrr(of_price(price, seats=1000)) == certain(Fraction(1, 10**9))


def test_items_of_several_intervals_are_each_taken_by_their_own() -> None:
    found = terms(items=(an_item(4900), an_item(price=a_price(12000, Interval.YEAR)), an_item(100, seats=3)))

    assert mrr(found) == certain(4900 + 1000 + 300)


def test_a_yen_has_no_hundredths() -> None:
    found = replace(of_price(a_price(4900, currency=JPY)), currency=JPY)

    ledger = settled([a_created(now=found)])

    assert rows(ledger.events) == ["subscription 0 +4900"]


def test_metered_one_time_and_trialing_items_add_nothing() -> None:
    items = (
        an_item(4900),
        an_item(price=a_price(100, metered=True), seats=50),
        an_item(price=a_price(9900, None)),
        an_item(1900, counts=False),
    )

    assert mrr(terms(items=items)) == certain(4900)


@pytest.mark.parametrize(
    ("rounds_up", "seats", "exact"), [(True, 25, 3 * 900), (False, 25, 2 * 900), (True, 30, 3 * 900)]
)
def test_packages_are_rounded_as_the_price_says(rounds_up: bool, seats: int, exact: int) -> None:
    price = a_price(900, divide_by=10, divide_rounds_up=rounds_up)

    assert mrr(of_price(price, seats)) == certain(exact)


def test_more_items_than_the_payload_holds_make_it_an_estimate() -> None:
    assert mrr(terms(items_complete=False)) == estimate(4900)


def test_deltas_are_differences_of_rounded_levels_so_rounding_never_drifts() -> None:
    yearly = [terms(items=(an_item(price=a_price(minor, Interval.YEAR)),)) for minor in (1000, 1001, 1002, 1003, 2000)]

    ledger = settled(
        [a_created(now=yearly[0])],
        *[[a_subscription(now=now, was=was, at=after(days=day))] for day, (was, now) in enumerate(pairwise(yearly), 1)],
    )

    # 83.33, 83.42, 83.5, 83.58, 166.67 -> 83, 83, 84, 84, 167
    assert rows(ledger.events) == ["subscription 0.00 +0.83", "upgrade 0.00 +0.01", "upgrade 0.00 +0.83"]
    assert round_minor(ledger.state.subscriptions["sub_1"].mrr) == 167


# ---- From lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        (a_line(4900), 4900),
        (a_line(4900, discount=Decimal(900)), 4000),
        (a_line(58800, interval=Interval.YEAR), 4900),
        (a_line(4900, interval=None, days=31), 4900),
        (a_line(58800, interval=None, days=365), 4900),
        (a_line(14700, interval=None, days=91), 4900),
        (a_line(700, interval=None, days=7), Fraction(36500, 12)),
        (a_line(4900, interval=None), 4900),
        (a_line(4900, proration=True), 0),
        (a_line(4900, metered=True), 0),
    ],
)
def test_a_line_is_worth_its_amount_a_month(line: Line, exact: Fraction | int) -> None:
    assert mrr_of_lines([line], EMPTY_CATALOG, Policy()) == estimate(exact)


def test_a_line_without_an_interval_takes_its_prices() -> None:
    line = a_line(58800, price_id="price_year", interval=None, days=30)
    known = catalog_of(a_price(58800, Interval.YEAR, id="price_year"))

    assert mrr_of_lines([line], known, Policy()) == estimate(4900)


@pytest.mark.parametrize(
    ("every", "number", "name"),
    [
        (Interval.DAY, 1, "daily"),
        (Interval.WEEK, 1, "weekly"),
        (Interval.MONTH, 1, "monthly"),
        (Interval.MONTH, 3, "quarterly"),
        (Interval.MONTH, 6, "semiannual"),
        (Interval.MONTH, 12, "annual"),
        (Interval.YEAR, 1, "annual"),
        (Interval.WEEK, 2, "every-2-weeks"),
        (Interval.YEAR, 3, "every-3-years"),
    ],
)
def test_intervals_have_the_names_that_pulsora_knows(every: Interval, number: int, name: str) -> None:
    assert interval_name(every, number) == name


def test_the_usual_case_needs_no_fractions_of_a_cent() -> None:
    ledger = settled([a_created(), *a_paid_invoice(4900)])

    assert ledger.state.subscriptions["sub_1"].mrr == 4900
    assert ledger.state.subscriptions["sub_1"].currency == USD
