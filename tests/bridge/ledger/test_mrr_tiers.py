"""MRR of tiered, foreign and tax-inclusive prices: exact, or what was billed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge.ledger import Policy
from processors.facts import Price, Reason, Tier, TiersMode
from tests.bridge.ledger.harness import catalog_of, rows, settled
from tests.bridge.ledger.valuations import certain, estimate, mrr, of_price
from tests.builders import EUR, a_created, a_line, a_price, a_subscription, after, an_invoice

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
    timeline = [
        a_created(now=of_price(price, 7)),
        an_invoice(7100, reason=Reason.START, lines=(a_line(7100, 7, price_id="price_tiers"),)),
        a_subscription(now=of_price(price, 12), was=of_price(price, 7), at=after(days=9)),
        an_invoice(10800, "in_2", at=after(days=31), lines=(a_line(10800, 12, price_id="price_tiers"),)),
    ]

    ledger = settled(timeline)

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
