"""The level of MRR: prices of every kind, normalised to a month."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from processors.facts import Interval, Price, Tier, TiersMode
from processors.money import Currency
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, Plan
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle

USD = Currency(code="USD", digits=2)


def sold(plan: Plan, seats: int, minor: int) -> Callable[[ExtendedCustomer], ExtendedCustomer]:
    """Signs up for a plan and pays the first invoice."""
    return lambda ada: ada.start(plan, seats).bill(minor, "subscription_create", name="1")


def every(interval: str, count: int, minor: int) -> Plan:
    """A plan of this interval."""
    return Plan(id="price_x", minor=minor, name="X", interval=interval, interval_count=count)


# The first ten seats at 10.00, further ones at 8.00.
TIERS = [
    {"up_to": 10, "unit_amount": 1000, "flat_amount": None},
    {"up_to": None, "unit_amount": 800, "flat_amount": None},
]
TIERED = {"unit_amount": None, "unit_amount_decimal": None, "billing_scheme": "tiered"}
GRADUATED = ComplexPlan(
    id="price_seats",
    minor=1000,
    name="Seats",
    price_fields={**TIERED, "tiers_mode": "graduated"},
    cost_of_seats=lambda seats: 1000 * min(seats, 10) + 800 * max(seats - 10, 0),
)
VOLUME = replace(
    GRADUATED,
    price_fields={**TIERED, "tiers_mode": "volume"},
    cost_of_seats=lambda seats: seats * (1000 if seats <= 10 else 800),
)
GRADUATED_INLINE = replace(GRADUATED, price_fields={**GRADUATED.price_fields, "tiers": TIERS})
VOLUME_INLINE = replace(VOLUME, price_fields={**VOLUME.price_fields, "tiers": TIERS})


def from_api(mode: TiersMode) -> Price:
    """The price with its tiers, as an API key retrieves it."""
    return Price(
        id="price_seats",
        currency=USD,
        interval=Interval.MONTH,
        name="Seats",
        tiered=True,
        tiers_mode=mode,
        tiers=(Tier(up_to=10, unit_amount=Decimal(1000)), Tier(up_to=None, unit_amount=Decimal(800))),
    )


def in_packages(rounding: str) -> Plan:
    """5.00 for every hundred units."""
    return ComplexPlan(
        id="price_pack",
        minor=500,
        name="Packages",
        price_fields={"transform_quantity": {"divide_by": 100, "round": rounding}},
        cost_of_seats=lambda units: 500 * (-(-units // 100) if rounding == "up" else units // 100),
    )


MICRO = ComplexPlan(
    id="price_micro",
    minor=0,
    name="Micro",
    price_fields={"unit_amount": None, "unit_amount_decimal": "0.000123456789"},
    cost_of_seats=lambda units: 30864,
)
USAGE = ComplexPlan(
    id="price_usage",
    minor=0,
    name="Usage",
    price_fields={"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": None}},
    item_fields={"quantity": None},
)
STORAGE = Plan(id="price_storage", minor=12000, name="Storage", interval="year")
BACKUP = Plan(id="price_backup", minor=300, name="Backup", interval="week")
SUPPORT = Plan(id="price_support", minor=2000, name="Support")
TRIED = ComplexPlan(
    id="price_support", minor=2000, name="Support", item_fields={"current_trial": {"end_date": 1769904000}}
)
TAXED = ComplexPlan(id="price_taxed", minor=5831, name="Taxed", price_fields={"tax_behavior": "inclusive"})
UNCOUNTED = ComplexPlan(id="price_one", minor=4900, name="One", item_fields={"quantity": None})
IN_DOLLARS = ComplexPlan(id="price_both", minor=4900, name="Both", price_fields={"currency": "usd"})
IN_EUROS = replace(IN_DOLLARS, price_fields={"currency": "usd", "currency_options": {"eur": {"unit_amount": 4500}}})


def in_euros(ada: ExtendedCustomer, plan: Plan) -> ExtendedCustomer:
    """45.00 euros a month for a price listed in dollars."""
    started = ada.start(plan)
    return started.bill(
        4500,
        "subscription_create",
        name="1",
        lines=[{**line, "amount": 4500} for line in started._lines(started.subscriptions["1"])],
    )


def taxed(ada: ExtendedCustomer) -> ExtendedCustomer:
    """58.31 a month, including 9.31 of tax."""
    started = ada.start(TAXED)
    (line,) = started._lines(started.subscriptions["1"])
    old = {"tax_amounts": [{"amount": 931, "inclusive": True}]}
    now = {"taxes": [{"amount": 931, "tax_behavior": "inclusive"}]}
    lines = [{**line, **(old if ada.shape is Shape.OLD else now)}]
    return started.bill(5831, "subscription_create", name="1", lines=lines)


def by_tier(ada: ExtendedCustomer, *amounts: int) -> list[Body]:
    """The lines of a graduated price: one for each tier, of the same price."""
    sold = ada.subscriptions["1"]
    seats = (10, sold.quantity - 10)
    return [
        replace_line(ada, number, count, minor)
        for number, (count, minor) in enumerate(zip(seats, amounts, strict=True))
    ]


def replace_line(ada: ExtendedCustomer, number: int, count: int, minor: int) -> Body:
    """One tier's line."""
    line = ada._line(replace(ada.subscriptions["1"], quantity=count), minor, ada.subscriptions["1"].period)
    return {**line, "id": f"{line['id']}_{number}"}


def graduated_without_tiers(ada: ExtendedCustomer) -> ExtendedCustomer:
    """15 seats, then 20, where no payload has the tiers and no API key is configured."""
    first = ada.start(GRADUATED, 15)
    paid = first.bill(14000, "subscription_create", name="1", lines=by_tier(first, 10000, 4000))
    more = paid.later(days=10).change(quantity=20).next_period().later(hours=1)
    return more.bill(18000, "subscription_cycle", name="1", lines=by_tier(more, 10000, 8000))


def older_without_tiers(ada: ExtendedCustomer) -> ExtendedCustomer:
    """15 seats from before the bridge: a change of metadata shows no amount, the next bill does; then they leave."""
    older = ada.start(GRADUATED, 15).forget_history().later(days=10).amend(metadata={**ada.visit, "team": "blue"})
    older = older.next_period().later(hours=1)
    billed = older.bill(14000, "subscription_cycle", name="1", lines=by_tier(older, 10000, 4000))
    return billed.later(days=3).cancel()


LEVELS = (
    lifecycle(
        "pays by the year: 490.00 / 12", sold(every("year", 1, 49000), 1, 49000), "subscription 490.00 +40.83 X annual"
    ),
    lifecycle(
        "pays every two years: 480.00 / 24",
        sold(every("year", 2, 48000), 1, 48000),
        "subscription 480.00 +20.00 X every-2-years",
    ),
    lifecycle(
        "pays by the quarter: 90.00 / 3",
        sold(every("month", 3, 9000), 1, 9000),
        "subscription 90.00 +30.00 X quarterly",
    ),
    lifecycle(
        "pays by the half-year: 100.00 / 6",
        sold(every("month", 6, 10000), 1, 10000),
        "subscription 100.00 +16.67 X semiannual",
    ),
    lifecycle(
        "pays by the week: 10.00 x 52 / 12", sold(every("week", 1, 1000), 1, 1000), "subscription 10.00 +43.33 X weekly"
    ),
    lifecycle(
        "pays every two weeks: 20.00 x 26 / 12",
        sold(every("week", 2, 2000), 1, 2000),
        "subscription 20.00 +43.33 X every-2-weeks",
    ),
    lifecycle(
        "pays by the day: 1.00 x 365 / 12", sold(every("day", 1, 100), 1, 100), "subscription 1.00 +30.42 X daily"
    ),
    lifecycle("pays for seven seats", sold(PRO, 7, 34300), "subscription 343.00 +343.00 Pro monthly x7"),
    lifecycle(
        "pays for an item that names no quantity: one",
        sold(UNCOUNTED, 1, 4900),
        "subscription 49.00 +49.00 One monthly",
    ),
    lifecycle(
        "pays 0.000123456789 cents for each of 250 million units: 30,864.19725 cents",
        sold(MICRO, 250_000_000, 30864),
        "subscription 308.64 +308.64 Micro monthly x250000000",
    ),
    # ---- Tiers ----
    lifecycle(
        "pays 15 graduated seats, tiers in the payload: 10 x 10.00 + 5 x 8.00",
        sold(GRADUATED_INLINE, 15, 14000),
        "subscription 140.00 +140.00 Seats monthly x15",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "pays 15 seats by volume, tiers in the payload: 15 x 8.00",
        sold(VOLUME_INLINE, 15, 12000),
        "subscription 120.00 +120.00 Seats monthly x15",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "adds five graduated seats, tiers from the API: 10 x 10.00 + 10 x 8.00",
        lambda ada: (
            ada.start(GRADUATED, 15).bill(14000, "subscription_create", name="1").later(days=9).change(quantity=20)
        ),
        "subscription 140.00 +140.00 Seats monthly x15",
        "upgrade           0  +40.00 Seats monthly x20",
        api_catalog=(from_api(TiersMode.GRADUATED),),
    ),
    lifecycle(
        "gives up ten of fifteen volume seats, tiers from the API: 5 x 10.00 after 15 x 8.00",
        lambda ada: ada.start(VOLUME, 15).bill(12000, "subscription_create", name="1").later(days=9).change(quantity=5),
        "subscription 120.00 +120.00 Seats monthly x15",
        "downgrade         0  -70.00 Seats monthly x5",
        api_catalog=(from_api(TiersMode.VOLUME),),
    ),
    lifecycle(
        "adds five graduated seats, tiers unknown: 140.00 x 20/15, until the next bill",
        graduated_without_tiers,
        "subscription 140.00 +140.00 Seats monthly x15",
        "upgrade           0  +40.00 Seats monthly x20",
        "renewal      180.00       0 Seats monthly x20",
        live=(
            "subscription 140.00 +140.00 Seats monthly x15",
            "upgrade           0  +46.67 Seats monthly x20 estimated",
            "downgrade         0   -6.67 Seats monthly x20 estimate_corrected",
            "renewal      180.00       0 Seats monthly x20",
        ),
    ),
    lifecycle(
        "is older than the bridge with tiers unknown: what the next bill shows is the baseline",
        older_without_tiers,
        "renewal 140.00       0 Seats monthly x15",
        "churn        0 -140.00 Seats monthly x15 cancellation_requested",
    ),
    # ---- Packages, usage, several items ----
    lifecycle(
        "pays 1,250 units by the hundred, rounded up: 13 x 5.00",
        sold(in_packages("up"), 1250, 6500),
        "subscription 65.00 +65.00 Packages monthly x1250",
    ),
    lifecycle(
        "pays 1,250 units by the hundred, rounded down: 12 x 5.00",
        sold(in_packages("down"), 1250, 6000),
        "subscription 60.00 +60.00 Packages monthly x1250",
    ),
    lifecycle(
        "has Pro, two storages by the year and a backup by the week: 49.00 + 2 x 10.00 + 13.00",
        sold(ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((STORAGE, 2), (BACKUP, 1))), 1, 29200),
        "subscription 292.00 +82.00 Pro monthly",
    ),
    lifecycle(
        "has Pro and also pays 12.34 for usage: usage is money, and no MRR",
        lambda ada: (
            ada.start(ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((USAGE, 1),)))
            .bill(4900, "subscription_create", name="1")
            .next_period()
            .later(hours=1)
            .bill(6134, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      61.34      0 Pro monthly",
    ),
    lifecycle(
        "pays for usage alone: money of a subscription without MRR",
        lambda ada: ada.start(USAGE).next_period().later(hours=1).bill(1234, "subscription_cycle", name="1"),
        "renewal 12.34 0 Usage monthly",
    ),
    lifecycle(
        "has Pro and tries Support for a month before it costs 20.00",
        lambda ada: (
            ada.start(ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((TRIED, 1),)))
            .bill(4900, "subscription_create", name="1")
            .next_period(plan=ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((SUPPORT, 1),)))
            .later(hours=1)
            .bill(6900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +20.00 Pro monthly",
        "renewal      69.00      0 Pro monthly",
        shapes=(Shape.CLOVER,),
    ),
    # ---- Tax, currencies, names ----
    lifecycle("pays a price that contains its tax: 58.31 - 9.31", taxed, "subscription 58.31 +49.00 Taxed monthly"),
    lifecycle(
        "pays in euros what is listed in dollars, the euro price in the payload",
        lambda ada: in_euros(ada, IN_EUROS),
        "subscription 45.00 +45.00 EUR Both monthly",
        currency="eur",
    ),
    lifecycle(
        "pays in euros what is listed in dollars, the euro price only on the invoice",
        lambda ada: in_euros(ada, IN_DOLLARS),
        "subscription 45.00 +45.00 EUR Both monthly",
        currency="eur",
    ),
    lifecycle("pays 4,900 yen a month", sold(PRO, 1, 4900), "subscription 4900 +4900 JPY Pro monthly", currency="jpy"),
    lifecycle(
        "pays 4.900 dinars a month", sold(PRO, 1, 4900), "subscription 4.900 +4.900 KWD Pro monthly", currency="kwd"
    ),
    lifecycle(
        "pays for a product whose name is known from an event of its own",
        lambda ada: (
            ada.sent("product.created", payloads.product("prod_price_pro", name="Acme Pro"))
            .start(PRO)
            .bill(4900, "subscription_create", name="1")
        ),
        "subscription 49.00 +49.00 Acme Pro monthly",
    ),
    lifecycle(
        "pays for a price without a nickname: its lookup key is the plan",
        sold(
            ComplexPlan(
                id="price_a", minor=4900, name="", price_fields={"nickname": None, "lookup_key": "pro_monthly"}
            ),
            1,
            4900,
        ),
        "subscription 49.00 +49.00 pro_monthly monthly",
    ),
    lifecycle(
        "pays for a price without any name: its id is the plan",
        sold(ComplexPlan(id="price_a", minor=4900, name="", price_fields={"nickname": None}), 1, 4900),
        "subscription 49.00 +49.00 price_a monthly",
    ),
)
