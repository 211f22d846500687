"""Labels: how a plan is called in an event's metadata, as of the moment of the event."""

from __future__ import annotations

import pytest

from bridge.ledger.drafts import Labels
from bridge.ledger.knowledge import NOTHING_KNOWN, Knowledge
from bridge.ledger.labels import labels_of, labels_of_lines
from processors.facts import Discount, Interval, Price, Product, Reason
from tests.bridge.ledger.books import knowing, settled
from tests.builders import (
    NOON,
    a_bill,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_price,
    a_purchase,
    a_subscription,
    after,
    an_item,
    terms,
)


def test_a_plan_is_told_with_interval_and_seats() -> None:
    assert labels_of(terms(seats=3), NOON, NOTHING_KNOWN) == Labels(plan="Pro", interval="monthly", seats=3)


@pytest.mark.parametrize(
    ("price", "knowledge", "plan"),
    [
        (a_price(), knowing(Product(id="prod_1", name="Acme Pro")), "Acme Pro"),
        (a_price(), NOTHING_KNOWN, "Pro"),
        (
            a_price(None, id="p", name=None, tiered=True),
            knowing(a_price(1, id="p", name="Team", tiered=True, tiers=("t",))),
            "Team",
        ),
        (a_price(name=None), NOTHING_KNOWN, "price_4900"),
    ],
    ids=["the product's name", "the price's name", "what was seen of the price", "the price's id"],
)
def test_a_plan_is_called_by_the_best_name_that_is_known(price: Price, knowledge: Knowledge, plan: str) -> None:
    assert labels_of(terms(items=(an_item(price=price),)), NOON, knowledge).plan == plan


def test_of_several_items_the_one_worth_most_a_month_names_the_plan() -> None:
    seats = an_item(price=a_price(2000, name="Seats"), seats=3)
    yearly = an_item(price=a_price(36000, Interval.YEAR, name="Base"))
    setup = an_item(price=a_price(99900, None, name="Set-up"))

    labels = labels_of(terms(items=(setup, yearly, seats)), NOON, NOTHING_KNOWN)

    assert (labels.plan, labels.seats) == ("Seats", 3)


def test_without_a_recurring_item_there_is_no_plan() -> None:
    assert labels_of(terms(items=(an_item(price=a_price(900, None)),)), NOON, NOTHING_KNOWN) == Labels()


@pytest.mark.parametrize(
    ("discount", "knowledge", "coupon"),
    [
        (a_discount(a_coupon(10, name="Ten off")), NOTHING_KNOWN, "Ten off"),
        (a_discount(a_coupon(10)), NOTHING_KNOWN, "SAVE"),
        (Discount(coupon_id="SAVE"), knowing(a_coupon(10, name="Ten off")), "Ten off"),
        (Discount(coupon_id="SAVE"), NOTHING_KNOWN, "SAVE"),
        (Discount(id="di_1"), NOTHING_KNOWN, None),
        (a_discount(a_coupon(10), ends_at=NOON), NOTHING_KNOWN, None),
    ],
    ids=["by name", "by id", "by a name seen elsewhere", "by an id that is all", "unknown", "over"],
)
def test_a_coupon_is_told_while_it_runs(discount: Discount, knowledge: Knowledge, coupon: str | None) -> None:
    assert labels_of(terms(discounts=(discount,)), NOON, knowledge).coupon == coupon


def test_lines_name_a_plan_that_no_state_has_told_yet() -> None:
    lines = [a_line(900, name="Small"), a_line(4900, 3)]

    assert labels_of_lines(lines, NOTHING_KNOWN) == Labels(plan="Pro", interval="monthly", seats=3)
    assert labels_of_lines([a_line(interval=None, name=None)], NOTHING_KNOWN) == Labels(plan="price_4900", seats=1)
    assert labels_of_lines([], NOTHING_KNOWN) == Labels()


def test_a_payment_is_told_with_the_plan_of_its_day() -> None:
    team = terms(items=(an_item(price=a_price(9900, name="Team")),))
    story = [
        a_created(),
        *a_bill(4900, 1, Reason.START),
        *a_bill(4900, 2, at=after(days=31)),
        a_subscription(now=team, was=terms(), at=after(days=40)),
        *a_bill(9900, 3, at=after(days=62)),
    ]

    ledger = settled(story)

    assert [(event.event_type.value, event.metadata["plan"]) for event in ledger.events] == [
        ("subscription", "Pro"),
        ("renewal", "Pro"),
        ("upgrade", "Team"),
        ("renewal", "Team"),
    ]


@pytest.mark.parametrize(
    ("sold", "knowledge", "plan"),
    [
        ({"plan": "shirt"}, knowing(Product(id="prod_1", name="A shirt")), "A shirt"),
        ({"plan": "shirt"}, knowing(a_price(id="price_1", name="seen")), "shirt"),
        ({}, knowing(a_price(id="price_1", name="seen")), "seen"),
        ({}, NOTHING_KNOWN, "price_1"),
    ],
    ids=["the product's name", "the price's name", "what was seen of the price", "the price's id"],
)
def test_what_was_bought_is_called_by_the_best_name_that_is_known(
    sold: dict[str, str], knowledge: Knowledge, plan: str
) -> None:
    assert knowledge.bought(a_purchase(price_id="price_1", product_id="prod_1", **sold)) == plan


def test_a_bill_is_called_by_what_was_bought() -> None:
    ledger = settled([a_purchase(price_id="price_1")], knowledge=knowing(a_price(id="price_1", name="seen")))

    assert ledger.events[0].metadata["plan"] == "seen"
