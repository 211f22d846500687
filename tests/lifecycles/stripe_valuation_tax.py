"""Tax inside: from prices, from tax rates, and from the lines of bills."""

from __future__ import annotations

from dataclasses import replace

from processors.stripe.simulation.payloads import Body
from tests.lifecycles.stripe_bills import (
    BY_ITEM_RATE,
    FREE,
    HALF,
    INSIDE,
    SIX_OFF,
    TAXED,
    UNSPECIFIED,
    amended,
    bill,
    discount_id,
    line,
    tax_rate,
)
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle
from tests.lifecycles.stripe_mrr_levels import GRADUATED


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
    renewed = amended(begun).next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, UNSPECIFIED, 2400, tax=400)).later(days=3).cancel()


def seats_with_odd_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """9.99 with 19 % inside is 8.39, and three of it are 25.18, not 3 x 8.39."""
    plan = ComplexPlan(id="price_odd", minor=999, name="Odd", price_fields=INSIDE)
    begun = ada.start(plan)
    more = bill(begun, "create", line(begun, plan, 999, tax=160)).later(days=3).change(quantity=3)
    renewed = more.next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, plan, 2997, 3, tax=479))


def free_month(ada: ExtendedCustomer, *, listed: bool = True) -> ExtendedCustomer:
    """A month is discounted by 100 %, so that its bill shows no tax; then the coupon is removed."""
    plan = TAXED if listed else replace(GRADUATED, price_fields={**GRADUATED.price_fields, **INSIDE})
    seats, minor, tax = (1, 2400, 400) if listed else (15, 14000, 2333)
    begun = ada.start(plan, seats)
    begun = bill(begun, "create", line(begun, plan, minor, seats, tax=tax)).later(days=20)
    given = begun.sent("coupon.created", FREE).with_coupon(FREE).next_period().later(hours=1)
    billed = bill(given, "cycle", line(given, plan, minor, seats, off={discount_id(given): minor}))
    return billed.later(days=5).without_coupon().later(days=3).cancel()


def free_first_month(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The first month is free, so that only the second bill shows that tax is inside."""
    begun = ada.sent("coupon.created", FREE).start(TAXED, coupon=FREE).with_discount_events()
    begun = bill(begun, "create", line(begun, TAXED, 2400, off={discount_id(begun): 2400})).later(days=20)
    renewed = begun.without_coupon().next_period().later(hours=1)
    return bill(renewed, "cycle", line(renewed, TAXED, 2400, tax=400))


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
        "a month is free: the tax that the bill before it showed is still inside",
        free_month,
        "subscription 24.00 +20.00 Taxed monthly",
        "churn            0 -20.00 Taxed monthly with FREE free",
        "subscription     0 +20.00 Taxed monthly reactivation",
        "churn            0 -20.00 Taxed monthly cancellation_requested",
    ),
    lifecycle(
        "a month is free, tiers unknown: 140.00 less 23.33 of tax",
        lambda ada: free_month(ada, listed=False),
        "subscription 140.00 +116.67 Seats monthly x15",
        "churn             0 -116.67 Seats monthly x15 with FREE free",
        "subscription      0 +116.67 Seats monthly x15 reactivation",
        "churn             0 -116.67 Seats monthly x15 cancellation_requested",
    ),
    lifecycle(
        "the first month is free, and the second bill shows the tax inside",
        free_first_month,
        "subscription     0 +20.00 Taxed monthly",
        "renewal      24.00      0 Taxed monthly",
        live=(
            "subscription     0 +24.00 Taxed monthly estimated",
            "downgrade        0  -4.00 Taxed monthly estimate_corrected",
            "renewal      24.00      0 Taxed monthly",
        ),
    ),
    lifecycle(
        "the rate counts rather than the rounded tax: 9.99 / 1.19, then 29.97 / 1.19",
        seats_with_odd_tax,
        "subscription  9.99  +8.39 Odd monthly",
        "upgrade          0 +16.79 Odd monthly x3",
        "renewal      29.97      0 Odd monthly x3",
    ),
)
