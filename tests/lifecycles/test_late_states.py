"""Bills that are settled long before the first state of their subscription: what they measured is kept for it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from bridge.ledger import Policy
from processors.stripe import processor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.harness import Ledger, imbalances, rows, translated
from tests.lifecycles.stripe_bills import BASE, LISTED_LOW, SUPPORT, TAXED, bill, discount_id, line
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import START

FIRST = {"charge.succeeded", "coupon.created", "customer.discount.created"}
HALF = payloads.coupon("HALF", percent=50)


def foreign() -> ExtendedCustomer:
    """Listed at 20.00 dollars, paid with 3000 yen."""
    begun = ExtendedCustomer.begin("ada", START, Shape.BASIL, currency="jpy").start(LISTED_LOW)
    return bill(begun, "create", line(begun, LISTED_LOW, 3000))


def taxed() -> ExtendedCustomer:
    """24.00 with 4.00 of tax inside."""
    begun = ExtendedCustomer.begin("ada", START, Shape.BASIL).start(TAXED)
    return bill(begun, "create", line(begun, TAXED, 2400, tax=400))


def limited() -> ExtendedCustomer:
    """20.00, and Support of 10.00 for half."""
    begun = ExtendedCustomer.begin("ada", START, Shape.BASIL).sent("coupon.created", HALF)
    begun = begun.start(BASE, coupon=HALF).with_discount_events()
    return bill(begun, "create", line(begun, BASE, 2000), line(begun, SUPPORT, 1000, off={discount_id(begun): 500}))


def after(customer: ExtendedCustomer, windows: Iterable[set[str]]) -> Ledger:
    """The ledger after these windows of event types; of each the first event."""
    first = {json.loads(body)["type"]: body for body in reversed(customer.webhooks)}
    ledger = Ledger(policy=Policy())
    for kinds in windows:
        ledger = ledger.after(translated([first[kind] for kind in sorted(kinds) if kind in first], processor))
    return ledger


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        pytest.param(
            foreign(), ["purchase 3000 - JPY unattributed", "subscription 0 +3000 JPY Low monthly"], id="foreign"
        ),
        pytest.param(
            taxed(), ["purchase 24.00 - unattributed", "subscription 0 +20.00 Taxed monthly"], id="tax inside"
        ),
        pytest.param(
            limited(), ["purchase 25.00 - unattributed", "subscription 0 +25.00 Base monthly with HALF"], id="limited"
        ),
    ],
)
def test_a_bill_measures_a_subscription_that_no_state_has_shown_yet(
    customer: ExtendedCustomer, expected: list[str]
) -> None:
    ledger = after(customer, [FIRST, {"invoice.paid"}, {"customer.subscription.created"}])

    assert rows(ledger.events) == expected
    assert imbalances(ledger) == []
