"""What bills say about MRR: single items, tax inside, coupons of one product, foreign currencies, usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from processors.facts import Coupon, Duration
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, Plan
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle
from tests.lifecycles.stripe_mrr_levels import GRADUATED, IN_DOLLARS, IN_EUROS

METERED = {"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"}}
INSIDE = {"tax_behavior": "inclusive"}
OPEN = {"tax_behavior": "unspecified"}
HALF = payloads.coupon("HALF", percent=50)
TWELVE_OFF = payloads.coupon("TWELVE", amount_off=1200, currency="usd")
SIX_OFF = payloads.coupon("SIX", amount_off=600, currency="usd")
FIVE_OFF = payloads.coupon("FIVE", amount_off=500, currency="usd")
FIFTH = payloads.coupon("FIFTH", percent=20)


def tax_rate(percentage: float) -> Body:
    """A tax rate that is inside the amounts."""
    return {"id": f"txr_{percentage}", "object": "tax_rate", "inclusive": True, "percentage": percentage}


USAGE = ComplexPlan(
    id="price_usage", minor=5, name="Usage", price_fields=METERED, item_fields={"quantity": None}, cost_of_seats=int
)
DEAR_USAGE = replace(USAGE, minor=50000)
SUPPORT = Plan(id="price_support", minor=1000, name="Support")
STORAGE = Plan(id="price_storage", minor=12000, name="Storage", interval="year")
TAXED = ComplexPlan(id="price_taxed", minor=2400, name="Taxed", price_fields=INSIDE)  # 20.00 and 20 %
TAXED_MORE = ComplexPlan(id="price_more", minor=6000, name="More", price_fields=INSIDE)  # 50.00 and 20 %
UNSPECIFIED = ComplexPlan(id="price_open", minor=2400, name="Open", price_fields=OPEN)
BY_ITEM_RATE = replace(UNSPECIFIED, item_fields={"tax_rates": [tax_rate(20)]})
BASE = ComplexPlan(id="price_base", minor=2000, name="Base", extras=((SUPPORT, 1),))
LISTED_LOW = ComplexPlan(id="price_low", minor=2000, name="Low", price_fields={"currency": "usd"})  # 3000 yen
LISTED_HIGH = ComplexPlan(id="price_high", minor=5000, name="High", price_fields={"currency": "usd"})  # 7500 yen
WITH_OPTION = replace(LISTED_HIGH, price_fields={"currency": "usd", "currency_options": {"jpy": {"unit_amount": 7400}}})
Off = Mapping[str, int]


def with_extras(plan: ComplexPlan, *extras: tuple[Plan, int]) -> ComplexPlan:
    """The plan with further items."""
    return replace(plan, extras=extras)


def line(
    ada: ExtendedCustomer,
    plan: Plan,
    minor: int,
    seats: int = 1,
    *,
    tax: int = 0,
    rest: bool = False,
    off: Off | None = None,
) -> Body:
    """A line for a whole period, or for the rest of the present one."""
    sold = ada.subscriptions["1"]
    is_old = ada.shape is Shape.OLD
    behavior: dict[str, Any] = {"inclusive": True} if is_old else {"tax_behavior": "inclusive"}
    return payloads.line(
        f"il_{len(ada.webhooks)}_{plan.id}_{minor}",
        minor=minor,
        priced=plan.price(ada.currency),
        period=(ada.at, sold.period[1]) if rest else sold.period,
        quantity=seats,
        subscription=sold.id,
        item_id=sold.item_id,
        proration=rest,
        shape=ada.shape,
        discount_amounts=[{"discount": found, "amount": amount} for found, amount in (off or {}).items()],
        taxes=[{"amount": tax, **behavior}] if tax else [],
    )


def bill(ada: ExtendedCustomer, why: str, *lines: Body) -> ExtendedCustomer:
    """An invoice of the subscription with these lines is paid."""
    off = sum(part["amount"] for one in lines for part in one["discount_amounts"])
    return ada.bill(sum(one["amount"] for one in lines) - off, f"subscription_{why}", name="1", lines=lines)


def discount_id(ada: ExtendedCustomer) -> str:
    """The id of the subscription's discount."""
    return str(ada._discounts(ada.subscriptions["1"])[0]["id"])


def touched(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The subscription is updated a day later, and nothing of it changes."""
    return ada.later(days=1).amend(latest_invoice="in_other")


# ---- A. Bills of single items -------------------------------------------------------------------------------------


def usage_beside_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A usage threshold bills 50.00 in mid-period, beside a price with tax inside."""
    begun = ada.start(with_extras(TAXED, (USAGE, 1)))
    begun = bill(begun, "create", line(begun, TAXED, 2400, tax=400)).later(days=8)
    return touched(bill(begun, "threshold", line(begun, USAGE, 5000, 1000))).later(days=2).cancel()


def storage_beside_euros(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Storage of 120.00 a year is added, and billed alone."""
    begun = ada.start(IN_DOLLARS)
    begun = bill(begun, "create", line(begun, IN_DOLLARS, 4500)).later(days=5)
    added = begun.change(plan=with_extras(IN_DOLLARS, (STORAGE, 1)))
    return touched(bill(added, "update", line(added, STORAGE, 12000))).later(days=2).cancel()


def month_beside_tiered_year(ada: ExtendedCustomer) -> ExtendedCustomer:
    """15 graduated seats by the year and Pro by the month, which the second month bills alone."""
    seats = replace(GRADUATED, interval="year")
    begun = ada.start(ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((seats, 15),)))
    begun = bill(begun, "create", line(begun, PRO, 4900), line(begun, seats, 168000, 15)).next_period().later(hours=1)
    return bill(begun, "cycle", line(begun, PRO, 4900)).later(days=3).cancel()


def setup_beside_tiered(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A set-up fee is billed on the subscription."""
    begun = ada.start(GRADUATED, 15)
    begun = bill(begun, "create", line(begun, GRADUATED, 14000, 15)).later(days=5)
    charged = begun.bill(9900, "manual", name="1", lines=[begun.one_off_line(9900)])
    return touched(charged).later(days=2).cancel()


def two_bills_at_once(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Two items, each billed by an invoice of its own."""
    begun = ada.start(with_extras(GRADUATED, (TAXED, 1)), 15)
    begun = bill(begun, "create", line(begun, GRADUATED, 14000, 15))
    return touched(bill(begun, "update", line(begun, TAXED, 2400, tax=400))).later(days=2).cancel()


SINGLE_ITEMS = (
    lifecycle(
        "a usage threshold bills 50.00 beside a base of 20.00 and its tax",
        usage_beside_tax,
        "subscription 24.00 +20.00 Taxed monthly",
        "renewal      50.00      0 Taxed monthly",
        "churn            0 -20.00 Taxed monthly cancellation_requested",
    ),
    lifecycle(
        "storage is billed alone beside a base in a foreign currency: 45.00 + 120.00 / 12",
        storage_beside_euros,
        "subscription  45.00 +45.00 EUR Both monthly",
        "upgrade      120.00 +10.00 EUR Both monthly",
        "churn             0 -55.00 EUR Both monthly cancellation_requested",
        currency="eur",
    ),
    lifecycle(
        "a month bills Pro alone beside seats by the year: 49.00 + 1,680.00 / 12",
        month_beside_tiered_year,
        "subscription 1729.00 +189.00 Seats annual x15",
        "renewal        49.00       0 Seats annual x15",
        "churn              0 -189.00 Seats annual x15 cancellation_requested",
    ),
    lifecycle(
        "a set-up fee is billed beside seats of 140.00",
        setup_beside_tiered,
        "subscription 140.00 +140.00 Seats monthly x15",
        "purchase      99.00       -",
        "churn             0 -140.00 Seats monthly x15 cancellation_requested",
    ),
    lifecycle(
        "two items are billed by an invoice each: 140.00 and 20.00",
        two_bills_at_once,
        "subscription 140.00 +160.00 Seats monthly x15",
        "renewal       24.00       0 Seats monthly x15",
        "churn             0 -160.00 Seats monthly x15 cancellation_requested",
    ),
)


# ---- B. Tax inside ------------------------------------------------------------------------------------------------


def by_default_rate(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The subscription's default tax rate is inclusive; nobody has been billed yet."""
    return replace(ada, subscription_fields={"default_tax_rates": [tax_rate(20)]}).start(UNSPECIFIED, 3)


def account_default(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Stripe Tax decides by the account's setting, which only the invoice's lines show."""
    begun = replace(ada, subscription_fields={"automatic_tax": {"enabled": True}}).start(UNSPECIFIED)
    billed = bill(begun, "create", line(begun, UNSPECIFIED, 2400, tax=400)).next_period(quantity=2).later(hours=1)
    return bill(billed, "cycle", line(billed, UNSPECIFIED, 4800, 2, tax=800))


def exempt(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A business customer pays the whole amount without tax."""
    begun = ada.start(TAXED)
    return bill(begun, "create", line(begun, TAXED, 2400)).later(days=3).cancel()


def taxed_with(ada: ExtendedCustomer, coupon: Body, off: int, tax: int) -> ExtendedCustomer:
    """24.00 with tax inside, less a coupon."""
    begun = ada.sent("coupon.created", coupon).start(TAXED, coupon=coupon).with_discount_events()
    return bill(begun, "create", line(begun, TAXED, 2400, tax=tax, off={discount_id(begun): off}))


def shown_by_the_next_bill(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The bridge is installed after the start: only the next bill shows that tax is inside."""
    begun = ada.start(UNSPECIFIED)
    begun = bill(begun, "create", line(begun, UNSPECIFIED, 2400, tax=400)).forget_history().later(days=2)
    renewed = touched(begun).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, UNSPECIFIED, 2400, tax=400)).later(days=3).cancel()


def seats_with_odd_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """9.99 with 19 % inside is 8.39, and three of it are 25.18, not 3 x 8.39."""
    plan = ComplexPlan(id="price_odd", minor=999, name="Odd", price_fields=INSIDE)
    begun = ada.start(plan)
    more = bill(begun, "create", line(begun, plan, 999, tax=160)).later(days=3).change(quantity=3)
    renewed = more.next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, plan, 2997, 3, tax=479))


TAX_INSIDE = (
    lifecycle(
        "the subscription's tax rate is inside: 3 x 24.00 / 1.2",
        by_default_rate,
        "subscription 0 +60.00 Open monthly x3",
    ),
    lifecycle(
        "the item's tax rate is inside: 24.00 / 1.2",
        lambda ada: ada.start(BY_ITEM_RATE),
        "subscription 0 +20.00 Open monthly",
    ),
    lifecycle(
        "only the lines show that tax is inside",
        account_default,
        "subscription 24.00 +20.00 Open monthly",
        "upgrade          0 +20.00 Open monthly x2",
        "renewal      48.00      0 Open monthly x2",
    ),
    lifecycle(
        "an exempt customer pays no tax inside",
        exempt,
        "subscription 24.00 +24.00 Taxed monthly",
        "churn            0 -24.00 Taxed monthly cancellation_requested",
    ),
    lifecycle(
        "half off a price with tax inside: 20.00 / 2",
        lambda ada: taxed_with(ada, HALF, 1200, 200),
        "subscription 12.00 +10.00 Taxed monthly with HALF",
    ),
    lifecycle(
        "6.00 off a price with tax inside: (24.00 - 6.00) / 1.2",
        lambda ada: taxed_with(ada, SIX_OFF, 600, 300),
        "subscription 18.00 +15.00 Taxed monthly with SIX",
    ),
    lifecycle(
        "a baseline is corrected when a bill shows that tax is inside",
        shown_by_the_next_bill,
        "renewal 24.00      0 Open monthly",
        "churn       0 -20.00 Open monthly cancellation_requested",
    ),
    lifecycle(
        "the rate counts rather than the rounded tax: 9.99 / 1.19, then 29.97 / 1.19",
        seats_with_odd_tax,
        "subscription  9.99  +8.39 Odd monthly",
        "upgrade          0 +16.79 Odd monthly x3",
        "renewal      29.97      0 Odd monthly x3",
    ),
)


# ---- C. Coupons of one product, of the customer, and several ------------------------------------------------------


def limited(ada: ExtendedCustomer, coupon: Body, off: int) -> ExtendedCustomer:
    """A coupon that comes off Support only."""
    begun = ada.sent("coupon.created", coupon).start(BASE, coupon=coupon).with_discount_events()
    found = discount_id(begun)
    return bill(begun, "create", line(begun, BASE, 2000), line(begun, SUPPORT, 1000, off={found: off}))


def for_all(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A coupon that comes off both items."""
    begun = ada.sent("coupon.created", HALF).start(BASE, coupon=HALF).with_discount_events()
    found = discount_id(begun)
    lines = line(begun, BASE, 2000, off={found: 1000}), line(begun, SUPPORT, 1000, off={found: 500})
    return bill(begun, "create", *lines)


def limited_to_the_year(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Half off the storage of 120.00 a year, and a month that bills only the base."""
    plan = with_extras(BASE, (STORAGE, 1))
    begun = ada.sent("coupon.created", HALF).start(plan, coupon=HALF).with_discount_events()
    off = {discount_id(begun): 6000}
    begun = bill(begun, "create", line(begun, BASE, 2000), line(begun, STORAGE, 12000, off=off)).next_period()
    renewed = begun.later(hours=1)
    return bill(renewed, "cycle", line(renewed, BASE, 2000)).later(days=2).cancel()


def customer_discount(ada: ExtendedCustomer, kind: str = "created", days: int = 0) -> ExtendedCustomer:
    """20 % off everything that this customer has, since some days and without end."""
    found = payloads.discount(
        "di_customer",
        FIFTH,
        customer=ada.customer_id,
        subscription=None,
        start=ada.at - timedelta(days=days),
        end=None,
        shape=ada.shape,
    )
    return ada.sent("coupon.created", FIFTH).sent(f"customer.discount.{kind}", found)


def for_the_customer(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The customer has a discount before the first subscription."""
    begun = customer_discount(ada).start(PRO)
    return bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980})).later(days=3).cancel()


def for_the_customer_later(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The customer gets a discount, and loses it."""
    begun = ada.start(PRO)
    reduced = customer_discount(bill(begun, "create", line(begun, PRO, 4900)).later(days=3)).later(days=3)
    return customer_discount(reduced, "deleted", days=3).later(days=3).cancel()


def own_and_customer(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The subscription's own discount replaces the customer's, until it is removed."""
    begun = customer_discount(ada).sent("coupon.created", HALF).start(PRO, coupon=HALF).with_discount_events()
    begun = bill(begun, "create", line(begun, PRO, 4900, off={discount_id(begun): 2450}))
    return begun.later(days=3).without_coupon().later(days=3).cancel()


def amount_then_percent(ada: ExtendedCustomer) -> ExtendedCustomer:
    """5.00 off, then half."""
    made = ada.sent("coupon.created", HALF).sent("coupon.created", FIVE_OFF)
    holding = replace(made, more_coupons={"sub_ada_1": (HALF,)}).start(PRO, coupon=FIVE_OFF)
    return holding.with_discount_events().bill(2200, "subscription_create", name="1")


COUPONS = (
    lifecycle(
        "half off Support only: 20.00 + 10.00 / 2",
        lambda ada: limited(ada, HALF, 500),
        "subscription 25.00 +25.00 Base monthly with HALF",
        shapes=tuple(Shape),
    ),
    lifecycle(
        "12.00 off Support only, which costs 10.00: 20.00",
        lambda ada: limited(ada, TWELVE_OFF, 1000),
        "subscription 20.00 +20.00 Base monthly with TWELVE",
    ),
    lifecycle(
        "half off both items: 30.00 / 2",
        for_all,
        "subscription 15.00 +15.00 Base monthly with HALF",
    ),
    lifecycle(
        "half off Support by the API's word, before any bill: 20.00 + 10.00 / 2",
        lambda ada: ada.start(BASE, coupon=HALF).with_discount_events(),
        "subscription 0 +25.00 Base monthly with HALF",
        shapes=(Shape.CLOVER,),
        api_catalog=(
            Coupon(id="HALF", percent=50, duration=Duration.FOREVER, applies_to=("prod_price_support",)),  # type: ignore[arg-type]
        ),
    ),
    lifecycle(
        "half off the yearly storage only, and a month without it: 20.00 + 120.00 / 12 / 2",
        limited_to_the_year,
        "subscription 80.00 +25.00 Base monthly with HALF",
        "renewal      20.00      0 Base monthly with HALF",
        "churn            0 -25.00 Base monthly with HALF cancellation_requested",
    ),
    lifecycle(
        "a discount on the customer: 49.00 x 0.8",
        for_the_customer,
        "subscription 39.20 +39.20 Pro monthly with FIFTH",
        "churn            0 -39.20 Pro monthly with FIFTH cancellation_requested",
    ),
    lifecycle(
        "a discount on the customer begins and ends: 49.00 x 0.8 between",
        for_the_customer_later,
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0  -9.80 Pro monthly",
        "upgrade          0  +9.80 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "the subscription's own discount replaces the customer's: 49.00 / 2, then 49.00 x 0.8",
        own_and_customer,
        "subscription 24.50 +24.50 Pro monthly with HALF",
        "upgrade          0 +14.70 Pro monthly with FIFTH",
        "churn            0 -39.20 Pro monthly with FIFTH cancellation_requested",
    ),
    lifecycle(
        "5.00 off, then half: (49.00 - 5.00) / 2",
        amount_then_percent,
        "subscription 22.00 +22.00 Pro monthly with FIVE",
    ),
)


# ---- D. Changes to prices that do not say it all ------------------------------------------------------------------


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


# ---- G. Plans beside usage ----------------------------------------------------------------------------------------


def meter_first(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The metered price is the first item, and one unit of it costs more than the base."""
    begun = ada.start(with_extras(DEAR_USAGE, (PRO, 1)))
    renewed = bill(begun, "create", line(begun, PRO, 4900)).next_period().later(hours=1)
    billed = bill(renewed, "cycle", line(renewed, PRO, 4900), line(renewed, DEAR_USAGE, 100000, 2))
    return billed.later(days=2).cancel()


def tiered_base(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A base whose tiers no payload has, Support of 10.00, and a meter."""
    begun = ada.start(with_extras(GRADUATED, (SUPPORT, 1), (DEAR_USAGE, 1)), 15)
    return bill(begun, "create", line(begun, GRADUATED, 14000, 15), line(begun, SUPPORT, 1000)).later(days=2).cancel()


def small_tiered_base(ada: ExtendedCustomer) -> ExtendedCustomer:
    """One seat of 10.00 beside storage of 480.00 a year: the bill shows which is more."""
    storage = replace(STORAGE, minor=48000)
    begun = ada.start(with_extras(GRADUATED, (storage, 1)))
    return bill(begun, "create", line(begun, GRADUATED, 1000), line(begun, storage, 48000)).later(days=2).cancel()


USAGE_PLANS = (
    lifecycle(
        "the meter is listed first and costs more a unit: the plan is Pro",
        meter_first,
        "subscription   49.00 +49.00 Pro monthly",
        "renewal      1049.00      0 Pro monthly",
        "churn              0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "the base is tiered, beside Support and a meter: the plan is Seats",
        tiered_base,
        "subscription 150.00 +150.00 Seats monthly x15",
        "churn             0 -150.00 Seats monthly x15 cancellation_requested",
    ),
    lifecycle(
        "the base is tiered and no bill shows its amount: the plan is Seats",
        lambda ada: ada.start(with_extras(GRADUATED, (SUPPORT, 1), (DEAR_USAGE, 1)), 15),
        "subscription 0 +10.00 Seats monthly x15 estimated",
    ),
    lifecycle(
        "the bill shows that the storage is more than the seats: 480.00 / 12 and 10.00",
        small_tiered_base,
        "subscription 490.00 +50.00 Storage annual",
        "churn             0 -50.00 Storage annual cancellation_requested",
    ),
    lifecycle(
        "a payment without any state is of Pro, not of the usage that cost more",
        lambda ada: bill(
            begun := ada.start(with_extras(DEAR_USAGE, (PRO, 1))),
            "create",
            line(begun, PRO, 4900),
            line(begun, DEAR_USAGE, 100000, 2),
        ).only("invoice.paid"),
        "subscription 1049.00 +49.00 Pro monthly estimated unattributed",
        shapes=(Shape.OLD,),
    ),
)

VALUATION = (*SINGLE_ITEMS, *TAX_INSIDE, *COUPONS, *CHANGES, *USAGE_PLANS)
