"""Plan details: the plan in an event's metadata, as of the time of the event."""

from __future__ import annotations

import pytest

from bridge.ledger import Policy
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog
from bridge.ledger.events import PlanDetails
from bridge.ledger.plan_details import plan_details_of, plan_details_of_lines
from bridge.ledger.valuation import ValuationContext
from processors.facts import Discount, Interval, Price, Product, Reason
from tests.bridge.ledger.harness import catalog_of, settled
from tests.builders import (
    NOON,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_paid_invoice,
    a_price,
    a_purchase,
    a_subscription,
    after,
    an_item,
    terms,
)


def at_noon(catalog: Catalog) -> ValuationContext:
    return ValuationContext(at=NOON, policy=Policy(), catalog=catalog)


def test_a_plan_is_reported_with_interval_and_seats() -> None:
    assert plan_details_of(terms(seats=3), at_noon(EMPTY_CATALOG)) == PlanDetails(
        plan="Pro", interval="monthly", seats=3
    )


@pytest.mark.parametrize(
    ("price", "catalog", "plan"),
    [
        (a_price(), catalog_of(Product(id="prod_1", name="Acme Pro")), "Acme Pro"),
        (a_price(), EMPTY_CATALOG, "Pro"),
        (
            a_price(None, id="p", name=None, tiered=True),
            catalog_of(a_price(1, id="p", name="Team", tiered=True, tiers=("t",))),
            "Team",
        ),
        (a_price(name=None), EMPTY_CATALOG, "price_4900"),
    ],
    ids=["the product's name", "the price's name", "what was seen of the price", "the price's id"],
)
def test_a_plan_is_called_by_the_best_name_that_is_known(price: Price, catalog: Catalog, plan: str) -> None:
    assert plan_details_of(terms(items=(an_item(price=price),)), at_noon(catalog)).plan == plan


def test_of_several_items_the_one_worth_most_a_month_names_the_plan() -> None:
    seats = an_item(price=a_price(2000, name="Seats"), seats=3)
    yearly = an_item(price=a_price(36000, Interval.YEAR, name="Base"))
    setup = an_item(price=a_price(99900, None, name="Set-up"))

    details = plan_details_of(terms(items=(setup, yearly, seats)), at_noon(EMPTY_CATALOG))

    assert (details.plan, details.seats) == ("Seats", 3)


def test_without_a_recurring_item_there_is_no_plan() -> None:
    assert plan_details_of(terms(items=(an_item(price=a_price(900, None)),)), at_noon(EMPTY_CATALOG)) == PlanDetails()


@pytest.mark.parametrize(
    ("discount", "catalog", "coupon"),
    [
        (a_discount(a_coupon(10, name="Ten off")), EMPTY_CATALOG, "Ten off"),
        (a_discount(a_coupon(10)), EMPTY_CATALOG, "SAVE"),
        (Discount(coupon_id="SAVE"), catalog_of(a_coupon(10, name="Ten off")), "Ten off"),
        (Discount(coupon_id="SAVE"), EMPTY_CATALOG, "SAVE"),
        (Discount(id="di_1"), EMPTY_CATALOG, None),
        (a_discount(a_coupon(10), ends_at=NOON), EMPTY_CATALOG, None),
    ],
    ids=["by name", "by id", "by a name seen elsewhere", "by an id that is all", "unknown", "over"],
)
def test_a_coupon_is_in_the_metadata_while_it_runs(discount: Discount, catalog: Catalog, coupon: str | None) -> None:
    assert plan_details_of(terms(discounts=(discount,)), at_noon(catalog)).coupon == coupon


def test_lines_name_a_plan_that_no_state_has_named_yet() -> None:
    lines = [a_line(900, name="Small"), a_line(4900, 3)]

    assert plan_details_of_lines(lines, EMPTY_CATALOG) == PlanDetails(plan="Pro", interval="monthly", seats=3)
    assert plan_details_of_lines([a_line(interval=None, name=None)], EMPTY_CATALOG) == PlanDetails(
        plan="price_4900", seats=1
    )
    assert plan_details_of_lines([], EMPTY_CATALOG) == PlanDetails()


def test_a_payment_is_reported_with_the_plan_of_its_day() -> None:
    team = terms(items=(an_item(price=a_price(9900, name="Team")),))
    timeline = [
        a_created(),
        *a_paid_invoice(4900, 1, Reason.START),
        *a_paid_invoice(4900, 2, at=after(days=31)),
        a_subscription(now=team, was=terms(), at=after(days=40)),
        *a_paid_invoice(9900, 3, at=after(days=62)),
    ]

    ledger = settled(timeline)

    assert [(event.event_type.value, event.metadata["plan"]) for event in ledger.events] == [
        ("subscription", "Pro"),
        ("renewal", "Pro"),
        ("upgrade", "Team"),
        ("renewal", "Team"),
    ]


@pytest.mark.parametrize(
    ("sold", "catalog", "plan"),
    [
        ({"plan": "shirt"}, catalog_of(Product(id="prod_1", name="A shirt")), "A shirt"),
        ({"plan": "shirt"}, catalog_of(a_price(id="price_1", name="seen")), "shirt"),
        ({}, catalog_of(a_price(id="price_1", name="seen")), "seen"),
        ({}, EMPTY_CATALOG, "price_1"),
    ],
    ids=["the product's name", "the price's name", "what was seen of the price", "the price's id"],
)
def test_what_was_bought_is_called_by_the_best_name_that_is_known(
    sold: dict[str, str], catalog: Catalog, plan: str
) -> None:
    assert catalog.purchase_name(a_purchase(price_id="price_1", product_id="prod_1", **sold)) == plan


def test_a_bill_is_called_by_what_was_bought() -> None:
    ledger = settled([a_purchase(price_id="price_1")], catalog=catalog_of(a_price(id="price_1", name="seen")))

    assert ledger.events[0].metadata["plan"] == "seen"
