"""Plans with usage: the plan is never named after a meter."""

from __future__ import annotations

from dataclasses import replace

from processors.stripe.simulation.customer import PRO
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_bills import DEAR_USAGE, STORAGE, SUPPORT, bill, line, with_extras
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle
from tests.lifecycles.stripe_mrr_levels import GRADUATED


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
    """One seat of 10.00 next to storage of 480.00 a year: the bill shows which is more."""
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
        "the base is tiered, next to Support and a meter: the plan is Seats",
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
        "subscription 1049.00 +49.00 Pro monthly estimated",
        shapes=(Shape.OLD,),
    ),
)
