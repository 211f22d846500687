"""Bills of single items: what earlier bills measured of the others stays."""

from __future__ import annotations

from dataclasses import replace

from processors.stripe.simulation.customer import PRO
from tests.lifecycles.stripe_bills import STORAGE, TAXED, USAGE, amended, bill, line, with_extras
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle
from tests.lifecycles.stripe_mrr_levels import GRADUATED, IN_DOLLARS


def usage_with_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A usage threshold bills 50.00 in mid-period, next to a price with tax inside."""
    begun = ada.start(with_extras(TAXED, (USAGE, 1)))
    begun = bill(begun, "create", line(begun, TAXED, 2400, tax=400)).later(days=8)
    billed = bill(begun.amend(), "threshold", line(begun, USAGE, 5000, 1000))
    return amended(billed).later(days=2).cancel()


def storage_with_euros(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Storage of 120.00 a year is added, and billed alone."""
    begun = ada.start(IN_DOLLARS)
    begun = bill(begun, "create", line(begun, IN_DOLLARS, 4500)).later(days=5)
    added = begun.change(plan=with_extras(IN_DOLLARS, (STORAGE, 1)))
    return amended(bill(added, "update", line(added, STORAGE, 12000))).later(days=2).cancel()


def month_with_tiered_year(ada: ExtendedCustomer) -> ExtendedCustomer:
    """15 graduated seats by the year and Pro by the month, which the second month bills alone."""
    seats = replace(GRADUATED, interval="year")
    begun = ada.start(ComplexPlan(id="price_pro", minor=4900, name="Pro", extras=((seats, 15),)))
    begun = bill(begun, "create", line(begun, PRO, 4900), line(begun, seats, 168000, 15)).next_period().later(hours=1)
    return bill(begun, "cycle", line(begun, PRO, 4900)).later(days=3).cancel()


def setup_with_tiered(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A set-up fee is billed on the subscription."""
    begun = ada.start(GRADUATED, 15)
    begun = bill(begun, "create", line(begun, GRADUATED, 14000, 15)).later(days=5)
    charged = begun.bill(9900, "manual", name="1", lines=[begun.one_off_line(9900)])
    return amended(charged).later(days=2).cancel()


def two_bills_at_once(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Two items, each billed by an invoice of its own."""
    begun = ada.start(with_extras(GRADUATED, (TAXED, 1)), 15)
    begun = bill(begun, "create", line(begun, GRADUATED, 14000, 15))
    return amended(bill(begun, "update", line(begun, TAXED, 2400, tax=400))).later(days=2).cancel()


SINGLE_ITEMS = (
    lifecycle(
        "a usage threshold bills 50.00 next to a base of 20.00 and its tax",
        usage_with_tax,
        "subscription 24.00 +20.00 Taxed monthly",
        "renewal      50.00      0 Taxed monthly",
        "churn            0 -20.00 Taxed monthly cancellation_requested",
    ),
    lifecycle(
        "storage is billed alone next to a base in a foreign currency: 45.00 + 120.00 / 12",
        storage_with_euros,
        "subscription  45.00 +45.00 EUR Both monthly",
        "upgrade      120.00 +10.00 EUR Both monthly",
        "churn             0 -55.00 EUR Both monthly cancellation_requested",
        currency="eur",
    ),
    lifecycle(
        "a month bills Pro alone next to seats by the year: 49.00 + 1,680.00 / 12",
        month_with_tiered_year,
        "subscription 1729.00 +189.00 Seats annual x15",
        "renewal        49.00       0 Seats annual x15",
        "churn              0 -189.00 Seats annual x15 cancellation_requested",
    ),
    lifecycle(
        "a set-up fee is billed next to seats of 140.00",
        setup_with_tiered,
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
