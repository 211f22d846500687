"""Changes to prices in a foreign currency, with tax inside, or with unknown tiers."""

from __future__ import annotations

from decimal import Decimal

from processors.facts import Interval, Price, PriceOption
from processors.money import Currency
from tests.lifecycles.stripe_bills import LISTED_HIGH, LISTED_LOW, TAXED, TAXED_MORE, WITH_OPTION, bill, line
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle
from tests.lifecycles.stripe_mrr_levels import GRADUATED, IN_EUROS

YEN = Currency(code="JPY", digits=0)


def begun_with_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """24.00 with tax inside, paid."""
    begun = ada.start(TAXED)
    return bill(begun, "create", line(begun, TAXED, 2400, tax=400))


def taxed_upgrade(ada: ExtendedCustomer) -> ExtendedCustomer:
    """At half of the period: -12.00 + 30.00, with tax inside."""
    more = begun_with_tax(ada).later(days=15.5).change(plan=TAXED_MORE)
    lines = line(more, TAXED, -1200, tax=-200, rest=True), line(more, TAXED_MORE, 3000, tax=500, rest=True)
    renewed = bill(more, "update", *lines).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, TAXED_MORE, 6000, tax=1000))


def taxed_upgrade_next_bill(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The change is not billed before the next period."""
    renewed = begun_with_tax(ada).later(days=10).change(plan=TAXED_MORE).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, TAXED_MORE, 6000, tax=1000))


def begun_in_yen(ada: ExtendedCustomer, seats: int = 1) -> ExtendedCustomer:
    """Listed at 20.00 dollars, paid with 3000 yen."""
    begun = ada.start(LISTED_LOW, seats)
    return bill(begun, "create", line(begun, LISTED_LOW, 3000 * seats, seats))


def yen_upgrade(ada: ExtendedCustomer, days: float, credit: int, charge: int) -> ExtendedCustomer:
    """To 7500 yen, billed for the rest of the period."""
    more = begun_in_yen(ada).later(days=days).change(plan=LISTED_HIGH)
    lines = line(more, LISTED_LOW, -credit, rest=True), line(more, LISTED_HIGH, charge, rest=True)
    renewed = bill(more, "update", *lines).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, LISTED_HIGH, 7500))


def yen_seats(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Two more seats at half of the period."""
    more = begun_in_yen(ada).later(days=15.5).change(quantity=3)
    lines = line(more, LISTED_LOW, -1500, rest=True), line(more, LISTED_LOW, 4500, 3, rest=True)
    return bill(more, "update", *lines)


def yen_upgrade_next_bill(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The change is not billed before the next period."""
    renewed = begun_in_yen(ada).later(days=10).change(plan=LISTED_HIGH).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, LISTED_HIGH, 7500))


def seats_billed_at_once(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Five more graduated seats at half of the period: -70.00 + 90.00."""
    begun = ada.start(GRADUATED, 15)
    more = bill(begun, "create", line(begun, GRADUATED, 14000, 15)).later(days=15.5).change(quantity=20)
    lines = line(more, GRADUATED, -7000, 15, rest=True), line(more, GRADUATED, 9000, 20, rest=True)
    renewed = bill(more, "update", *lines).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, GRADUATED, 18000, 20))


CHANGES = (
    lifecycle(
        "an upgrade with tax inside is billed at once: from 20.00 to 50.00",
        taxed_upgrade,
        "subscription 24.00 +20.00 Taxed monthly",
        "upgrade      18.00 +30.00 More monthly was Taxed",
        "renewal      60.00      0 More monthly",
    ),
    lifecycle(
        "an upgrade with tax inside is billed later: the rate of the old price is likely",
        taxed_upgrade_next_bill,
        "subscription 24.00 +20.00 Taxed monthly",
        "upgrade          0 +30.00 More monthly was Taxed",
        "renewal      60.00      0 More monthly",
        live=(
            "subscription 24.00 +20.00 Taxed monthly",
            "upgrade          0 +30.00 More monthly was Taxed estimated",
            "renewal      60.00      0 More monthly",
        ),
    ),
    lifecycle(
        "an upgrade in yen is billed at half of the period: 3,750 / 0.5",
        lambda ada: yen_upgrade(ada, 15.5, 1500, 3750),
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade      2250 +4500 JPY High monthly was Low",
        "renewal      7500     0 JPY High monthly",
        currency="jpy",
    ),
    lifecycle(
        "an upgrade in yen is billed for 21 of 31 days: 5,081 is 7,500 x 21 / 31, rounded",
        lambda ada: yen_upgrade(ada, 10, 2032, 5081),
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade      3049 +4500 JPY High monthly was Low",
        "renewal      7500     0 JPY High monthly",
        currency="jpy",
    ),
    lifecycle(
        "two more seats in yen: 3 x 3,000",
        yen_seats,
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade      3000 +6000 JPY Low monthly x3",
        currency="jpy",
    ),
    lifecycle(
        "an upgrade in yen is billed later: in proportion to the old price, 50.00 x 3,000 / 20.00",
        yen_upgrade_next_bill,
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade         0 +4500 JPY High monthly was Low",
        "renewal      7500     0 JPY High monthly",
        live=(
            "subscription 3000 +3000 JPY Low monthly",
            "upgrade         0 +4500 JPY High monthly was Low estimated",
            "renewal      7500     0 JPY High monthly",
        ),
        currency="jpy",
    ),
    lifecycle(
        "an upgrade in yen is billed later, and the API has its amount in yen: 7,400, whatever the old price cost",
        lambda ada: begun_in_yen(ada).later(days=10).change(plan=LISTED_HIGH),
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade         0 +4400 JPY High monthly was Low",
        currency="jpy",
        api_catalog=(
            PriceOption(
                id="price_high:JPY",
                price=Price(id="price_high", currency=YEN, unit_amount=Decimal(7400), interval=Interval.MONTH),
            ),
        ),
    ),
    lifecycle(
        "an upgrade to a price whose amount in yen is in the payload",
        lambda ada: begun_in_yen(ada).later(days=10).change(plan=WITH_OPTION),
        "subscription 3000 +3000 JPY Low monthly",
        "upgrade         0 +4400 JPY High monthly was Low",
        currency="jpy",
    ),
    lifecycle(
        "five graduated seats are billed at once, tiers unknown: 90.00 / 0.5, to a cent",
        seats_billed_at_once,
        "subscription 140.00 +140.00 Seats monthly x15",
        "upgrade       20.00  +40.00 Seats monthly x20",
        "renewal      180.00       0 Seats monthly x20",
        live=(
            "subscription 140.00 +140.00 Seats monthly x15",
            "upgrade       20.00  +40.00 Seats monthly x20 estimated",
            "renewal      180.00       0 Seats monthly x20",
        ),
    ),
    lifecycle(
        "a euro price in the payload counts whatever else was billed",
        lambda ada: (
            bill(begun := ada.start(IN_EUROS), "create", line(begun, IN_EUROS, 4500)).later(days=2).change(quantity=2)
        ),
        "subscription 45.00 +45.00 EUR Both monthly",
        "upgrade          0 +45.00 EUR Both monthly x2",
        currency="eur",
    ),
)
