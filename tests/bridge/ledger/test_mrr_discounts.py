"""MRR after discounts: which of them count, for how long, and in which order."""

from __future__ import annotations

import pytest

from bridge.ledger import Policy
from bridge.ledger.policy import MrrDiscounts
from processors.facts import Discount, Duration, Interval, Reason
from processors.values import replace
from tests.bridge.ledger.harness import catalog_of, rows, settled
from tests.bridge.ledger.valuations import certain, estimate, mrr
from tests.builders import (
    NOON,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_link,
    a_price,
    a_subscription,
    after,
    an_invoice,
    an_item,
    terms,
)

FOREVER, RECURRING, NONE = MrrDiscounts.FOREVER, MrrDiscounts.RECURRING, MrrDiscounts.NONE

QUARTER = a_coupon(25)
ONCE = a_coupon(25, duration=Duration.ONCE)
THREE_MONTHS = a_coupon(25, duration=Duration.REPEATING)


@pytest.mark.parametrize(
    ("coupon", "exact"),
    [
        (QUARTER, {FOREVER: 3675, RECURRING: 3675, NONE: 4900}),
        (THREE_MONTHS, {FOREVER: 4900, RECURRING: 3675, NONE: 4900}),
        (ONCE, {FOREVER: 4900, RECURRING: 4900, NONE: 4900}),
    ],
    ids=["forever", "repeating", "once"],
)
@pytest.mark.parametrize("discounts", list(MrrDiscounts))
def test_which_discounts_lower_mrr_is_the_merchants_choice(
    coupon: object, exact: dict[MrrDiscounts, int], discounts: MrrDiscounts
) -> None:
    found = terms(discounts=(a_discount(coupon),))  # type: ignore[arg-type]

    assert mrr(found, discounts=discounts) == certain(exact[discounts])


def test_a_coupon_that_becomes_known_late_is_judged_by_the_day_of_the_state_that_holds_it() -> None:
    unknown = terms(discounts=(a_discount(),))
    billed = a_line(4900, discount=1225)
    running = settled(
        [a_created(now=unknown), an_invoice(3675, reason=Reason.START, lines=(billed,))],
        [a_subscription(now=unknown, was=unknown, at=after(days=365))],
        policy=Policy(mrr_discounts=RECURRING),
    )
    over_by_then = Discount(id="di_1", coupon=THREE_MONTHS, ends_at=after(days=90))

    made = running.after(
        [a_link(customer_id="cus_1", subscription_id="sub_1")],
        Policy(mrr_discounts=RECURRING),
        catalog_of(over_by_then),
    )

    assert rows(made.events) == ["subscription 36.75 +36.75", "upgrade 0.00 +12.25"]


def test_a_coupon_that_ends_before_it_becomes_known_counts_until_the_next_state() -> None:
    held = terms(discounts=(a_discount(),))
    started = [a_created(now=held), an_invoice(3675, reason=Reason.START, lines=(a_line(4900, discount=1225),))]
    until_day_90 = catalog_of(Discount(id="di_1", coupon=THREE_MONTHS, ends_at=after(days=90)))
    recurring = Policy(mrr_discounts=RECURRING)
    a_year_later = a_link(customer_id="cus_1", subscription_id="sub_1", at=after(days=365))
    state = a_subscription(now=held, was=held, at=after(days=366))

    known_late = settled(started, policy=recurring).after([a_year_later], recurring, until_day_90)
    known_early = settled(started, policy=recurring, catalog=until_day_90).after(
        [a_year_later], recurring, until_day_90
    )

    assert rows(known_late.events) == rows(known_early.events) == ["subscription 36.75 +36.75"]  # 49.00 x 0.75
    after_state = [made.after([state], recurring, until_day_90) for made in (known_late, known_early)]
    assert [rows(made.events)[1:] for made in after_state] == [["upgrade 0.00 +12.25"]] * 2


def test_discounts_of_one_level_come_off_in_the_order_of_their_list() -> None:
    off = a_discount(a_coupon(off={"USD": 500}, id="FIVE"), id="di_2")
    half = a_discount(a_coupon(50, id="HALF"))

    assert mrr(terms(discounts=(off, half))) == certain(2200)  # (49.00 - 5.00) x 0.5
    assert mrr(terms(discounts=(half, off))) == certain(1950)  # 49.00 x 0.5 - 5.00


def test_an_items_discount_comes_off_before_the_subscriptions() -> None:
    item = an_item(4900, discounts=(a_discount(a_coupon(20)),))

    found = terms(items=(item, an_item(1000)), discounts=(a_discount(a_coupon(off={"USD": 1000}, id="TEN")),))

    assert mrr(found) == certain(3920 + 1000 - 1000)


def test_an_amount_off_a_year_counts_a_twelfth_a_month() -> None:
    found = terms(
        items=(an_item(price=a_price(58800, Interval.YEAR)),), discounts=(a_discount(a_coupon(off={"USD": 1200})),)
    )

    assert mrr(found) == certain(4900 - 100)


def test_a_discount_never_makes_mrr_negative() -> None:
    assert mrr(terms(discounts=(a_discount(a_coupon(off={"USD": 9900})),))) == certain(0)
    assert mrr(terms(discounts=(a_discount(a_coupon(100)),))) == certain(0)


def test_a_discount_counts_from_its_start_until_its_end() -> None:
    not_yet = replace(a_discount(QUARTER), starts_at=after(seconds=1))
    no_more = replace(a_discount(QUARTER), ends_at=NOON)
    now = replace(a_discount(QUARTER), starts_at=NOON, ends_at=after(seconds=1))

    assert mrr(terms(discounts=(not_yet,))) == certain(4900)
    assert mrr(terms(discounts=(no_more,))) == certain(4900)
    assert mrr(terms(discounts=(now,))) == certain(3675)


def test_a_discount_with_an_end_and_no_word_of_its_duration_repeats() -> None:
    ending = replace(a_discount(a_coupon(25, duration=None)), ends_at=after(days=90))

    assert mrr(terms(discounts=(ending,))) == certain(4900)
    assert mrr(terms(discounts=(ending,)), discounts=RECURRING) == certain(3675)


@pytest.mark.parametrize(
    ("discount", "known"),
    [
        (Discount(coupon_id="SAVE"), [QUARTER]),
        (Discount(id="di_1"), [Discount(id="di_1", coupon_id="SAVE"), QUARTER]),
        (Discount(id="di_1"), [Discount(id="di_1", coupon_id="SAVE", coupon=QUARTER)]),
    ],
    ids=["coupon by id", "discount by id", "discount and coupon by id"],
)
def test_a_coupon_known_by_id_is_taken_from_the_catalogue(discount: Discount, known: list[object]) -> None:
    assert mrr(terms(discounts=(discount,)), catalog=catalog_of(*known)) == certain(3675)  # type: ignore[arg-type]


def test_an_unknown_coupon_is_estimated_by_what_the_last_invoice_took_off() -> None:
    billed = a_line(4900, discount=980, price_id="price_4900")

    assert mrr(terms(discounts=(Discount(coupon_id="WHO"),)), lines=[billed]) == estimate(3920)


def test_an_unknown_coupon_without_an_invoice_is_said_to_be_a_guess() -> None:
    assert mrr(terms(discounts=(Discount(coupon_id="WHO"),))) == estimate(4900)


def test_an_amount_off_in_another_currency_is_a_guess() -> None:
    assert mrr(terms(discounts=(a_discount(a_coupon(off={"EUR": 500})),))) == estimate(4900)


def test_with_an_unknown_coupon_the_last_invoice_shows_what_all_of_them_took_off() -> None:
    billed = a_line(4900, discount=1225, price_id="price_4900")  # 25 %, whichever of the two took it

    both = terms(discounts=(a_discount(a_coupon(20)), Discount(coupon_id="WHO")))

    assert mrr(both, lines=[billed]) == estimate(3675)
    assert mrr(both) == estimate(3920)
