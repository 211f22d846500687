"""States that are settled long after what happened next: bills, and the end of a discount on the customer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal

import pytest

from bridge.ledger import Policy
from processors.stripe import processor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.harness import Ledger, imbalances, rows, translated
from tests.lifecycles.stripe_bills import BASE, LISTED_LOW, SUPPORT, TAXED, bill, discount_id, line
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import START
from tests.lifecycles.stripe_valuation_discounts import customer_discount

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


# ---- A discount on the customer that ends before the state arrives ------------------------------------------------


def discounted_at_first(shape: Shape) -> ExtendedCustomer:
    """49.00 less 20 % for a customer, who loses the discount a day later."""
    begun = customer_discount(ExtendedCustomer.begin("ada", START, shape)).start(PRO)
    paid = bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980}))
    return customer_discount(paid.later(days=1), "deleted", days=1)


@pytest.mark.parametrize("shape", [Shape.OLD, Shape.BASIL])
def test_a_first_state_that_arrives_after_the_end_of_the_discount_does_not_bring_it_back(shape: Shape) -> None:
    given, proof = {"coupon.created", "customer.discount.created"}, {"charge.succeeded", "invoice.paid"}
    windows = [given | proof, {"customer.discount.deleted"}, {"customer.subscription.created"}]

    ledger = after(discounted_at_first(shape), windows)

    assert [event.mrr_impact for event in ledger.events] == [Decimal("39.20"), Decimal("9.80")]  # 49.00 x 0.8, 49.00
    assert imbalances(ledger) == []


def test_two_webhooks_of_the_bill_that_proves_a_start_are_one_bill() -> None:
    customer = discounted_at_first(Shape.OLD)
    paid = next(body for body in customer.webhooks if json.loads(body)["type"] == "invoice.paid")
    other = json.dumps(json.loads(paid) | {"id": "evt_other", "type": "invoice.payment_succeeded"}).encode()

    ledger = Ledger(policy=Policy()).after(translated([paid, other], processor))

    assert [event.mrr_impact for event in ledger.events] == [Decimal("39.20")]  # 49.00 - 9.80, not twice


def test_changes_that_arrive_after_the_end_of_the_discount_do_not_bring_it_back() -> None:
    begun = customer_discount(ExtendedCustomer.begin("ada", START, Shape.BASIL)).start(PRO)
    paid = bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980}))
    changed = paid.later(days=1).change(PRO, 2).later(days=1).change(PRO, 3)
    *start, two, three, _coupon, discount_ended = customer_discount(changed.later(days=1), "deleted", days=3).webhooks

    ledger = Ledger(policy=Policy())
    for window in (start, [discount_ended], [two], [three]):
        ledger = ledger.after(translated(window, processor))

    impacts = [event.mrr_impact for event in ledger.events]
    assert impacts == [Decimal("39.20"), Decimal("9.80"), Decimal("49.00"), Decimal("49.00")]  # 49.00 x 0.8, 1, 2, 3
