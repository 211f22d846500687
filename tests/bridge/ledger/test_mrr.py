"""MRR: exact sums computed by hand, in minor units per month, and when it is only an estimate."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from bridge.ledger import Policy
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog
from bridge.ledger.measurements import Measurement
from bridge.ledger.mrr import Mrr, mrr_of, mrr_of_lines
from bridge.ledger.plan_details import interval_name
from bridge.ledger.policy import ChurnAt, MrrDiscounts
from bridge.ledger.valuation import ValuationContext
from processors.facts import Discount, Duration, Interval, Line, Price, Reason, Status, Terms, Tier, TiersMode
from processors.money import round_minor
from tests.bridge.ledger.harness import catalog_of, rows, settled
from tests.builders import (
    EUR,
    JPY,
    NOON,
    USD,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_link,
    a_paid_invoice,
    a_price,
    a_subscription,
    after,
    an_invoice,
    an_item,
    terms,
)

FOREVER, RECURRING, NONE = MrrDiscounts.FOREVER, MrrDiscounts.RECURRING, MrrDiscounts.NONE


def mrr(
    found: Terms,
    *,
    discounts: MrrDiscounts = FOREVER,
    catalog: Catalog = EMPTY_CATALOG,
    lines: list[Line] | None = None,
) -> Mrr:
    measured = {line.price_id or "": (Measurement(at=NOON, line=line),) for line in lines or []}
    context = ValuationContext(at=NOON, policy=Policy(mrr_discounts=discounts), catalog=catalog, measured=measured)
    return mrr_of(found, context)


def certain(exact: Fraction | int) -> Mrr:
    return Mrr(exact=Fraction(exact))


def estimate(exact: Fraction | int) -> Mrr:
    return Mrr(exact=Fraction(exact), estimated=True)


def of_price(price: Price, seats: float | str = 1) -> Terms:
    return terms(items=(an_item(price=price, seats=seats),))


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


# ---- Tiers --------------------------------------------------------------------------------------------------------

STEPS = (
    Tier(up_to=5, unit_amount=Decimal(1000), flat_amount=Decimal(500)),
    Tier(up_to=10, unit_amount=Decimal(800)),
    Tier(up_to=None, unit_amount=Decimal(600), flat_amount=Decimal(100)),
)


def tiered(mode: TiersMode, tiers: tuple[Tier, ...] = STEPS) -> Price:
    return a_price(None, id="price_tiers", tiered=True, tiers=tiers, tiers_mode=mode)


@pytest.mark.parametrize(
    ("seats", "exact"),
    [
        (0, 500),
        (1, 500 + 1000),
        (5, 500 + 5000),
        (7, 500 + 5000 + 2 * 800),
        (12, 500 + 5000 + 5 * 800 + 100 + 2 * 600),
    ],
)
def test_graduated_tiers_price_each_part_by_its_own(seats: int, exact: int) -> None:
    assert mrr(of_price(tiered(TiersMode.GRADUATED), seats)) == certain(exact)


@pytest.mark.parametrize(("seats", "exact"), [(5, 500 + 5 * 1000), (7, 7 * 800), (12, 100 + 12 * 600)])
def test_volume_tiers_price_all_by_the_one_that_is_reached(seats: int, exact: int) -> None:
    assert mrr(of_price(tiered(TiersMode.VOLUME), seats)) == certain(exact)


def test_tiers_that_the_payload_leaves_out_are_taken_from_the_catalogue() -> None:
    known = tiered(TiersMode.GRADUATED)

    assert mrr(of_price(tiered(TiersMode.GRADUATED, ()), 7), catalog=catalog_of(known)) == certain(7100)


def test_unknown_tiers_are_worth_what_was_billed_for_as_many_seats() -> None:
    billed = a_line(7100, 7, price_id="price_tiers")

    assert mrr(of_price(tiered(TiersMode.GRADUATED, ()), 7), lines=[billed]) == certain(7100)


def test_unknown_tiers_for_another_number_of_seats_are_estimated_in_proportion() -> None:
    billed = a_line(7000, 7, price_id="price_tiers")

    assert mrr(of_price(tiered(TiersMode.GRADUATED, ()), 14), lines=[billed]) == estimate(14000)


def test_unknown_tiers_that_were_never_billed_are_an_estimate_of_nothing_and_say_so() -> None:
    assert mrr(of_price(tiered(TiersMode.GRADUATED, ()), 7)) == estimate(0)


def test_an_estimate_is_corrected_as_soon_as_the_tiers_are_known() -> None:
    unknown = of_price(tiered(TiersMode.GRADUATED, ()), 7)
    started = settled([a_created(now=unknown), an_invoice(7000, lines=(a_line(6000, 6, price_id="price_tiers"),))])

    made = started.after(
        [a_subscription(now=unknown, at=after(days=1))], Policy(), catalog_of(tiered(TiersMode.GRADUATED))
    )

    assert rows(made.events) == ["subscription 70.00 +70.00", "upgrade 0.00 +1.00"]
    assert [event.metadata.get("mrr_estimated") for event in made.events] == [True, None]


def test_each_state_is_measured_by_the_bill_of_its_own_seats() -> None:
    price = tiered(TiersMode.GRADUATED, ())
    story = [
        a_created(now=of_price(price, 7)),
        an_invoice(7100, reason=Reason.START, lines=(a_line(7100, 7, price_id="price_tiers"),)),
        a_subscription(now=of_price(price, 12), was=of_price(price, 7), at=after(days=9)),
        an_invoice(10800, "in_2", at=after(days=31), lines=(a_line(10800, 12, price_id="price_tiers"),)),
    ]

    ledger = settled(story)

    assert rows(ledger.events) == ["subscription 71.00 +71.00", "upgrade 0.00 +37.00", "renewal 108.00 0"]
    assert all("mrr_estimated" not in event.metadata for event in ledger.events)


# ---- Foreign and tax-inclusive prices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "price", [a_price(4900, currency=EUR, id="price_1"), a_price(5831, tax_inclusive=True, id="price_1")]
)
def test_a_foreign_or_tax_inclusive_price_is_worth_what_was_billed_for_it(price: Price) -> None:
    assert mrr(of_price(price, 2), lines=[a_line(9800, 2, price_id="price_1")]) == certain(9800)
    assert mrr(of_price(price, 4), lines=[a_line(9800, 2, price_id="price_1")]) == certain(19600)


def test_a_foreign_price_by_the_package_is_a_guess_for_another_number_of_seats() -> None:
    price = a_price(4900, currency=EUR, id="price_1", divide_by=10, divide_rounds_up=True)

    assert mrr(of_price(price, 40), lines=[a_line(9800, 20, price_id="price_1")]) == estimate(19600)


def test_a_foreign_price_that_was_never_billed_is_an_estimate() -> None:
    assert mrr(of_price(a_price(4900, currency=EUR))) == estimate(4900)


# ---- Discounts ----------------------------------------------------------------------------------------------------

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


def test_beside_an_unknown_coupon_the_last_invoice_says_what_all_of_them_took_off() -> None:
    billed = a_line(4900, discount=1225, price_id="price_4900")  # 25 %, whichever of the two took it

    both = terms(discounts=(a_discount(a_coupon(20)), Discount(coupon_id="WHO")))

    assert mrr(both, lines=[billed]) == estimate(3675)
    assert mrr(both) == estimate(3920)
