"""A discount of the customer, whose coupon came days before it is needed, through routing and settling."""

from __future__ import annotations

from datetime import timedelta

from bridge.store import Store
from processors.stripe.simulation.customer import PRO
from processors.stripe.simulation.payloads import Shape
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker
from tests.lifecycles.stripe_bills import bill, line
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_valuation_discounts import customer_discount, for_the_customer_later, own_and_customer

DAY = 86_400.0


def test_it_applies_when_the_subscriptions_own_discount_has_ended(store: Store) -> None:
    worker = VirtualWorker(store)
    *start, removed, discount_ended, ended = own_and_customer(_ada()).webhooks

    worker.play([(0, start), (3 * DAY, [removed, discount_ended]), (6 * DAY, [ended])], until=7 * DAY)

    assert worker.rows() == [
        "subscription 24.50 +24.50",  # 49.00 / 2
        "upgrade 0.00 +14.70",  # 49.00 x 0.8 - 24.50
        "churn 0.00 -39.20",
    ]


def test_it_applies_to_a_subscription_that_begins_later(store: Store) -> None:
    worker = VirtualWorker(store)
    discounted = customer_discount(_ada())
    begun = discounted.later(days=3).start(PRO)
    paid = bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980}))

    worker.play([(0, discounted.webhooks), (3 * DAY, paid.webhooks[len(discounted.webhooks) :])], until=4 * DAY)

    assert worker.rows() == ["subscription 39.20 +39.20"]  # 49.00 x 0.8
    assert "mrr_estimated" not in worker.deliveries()[0].body


def test_its_beginning_that_arrives_after_its_end_lowers_nothing(store: Store) -> None:
    worker = VirtualWorker(store)
    *start, beginning, _coupon, ending, _ended = for_the_customer_later(_ada()).webhooks

    worker.play([(0, start), (7 * DAY, [ending]), (8 * DAY, [beginning])], until=9 * DAY)

    assert worker.mrr() == 49  # with the discount of 20 % it would be 39.20


def _ada() -> ExtendedCustomer:
    return ExtendedCustomer.begin("ada", NOON - timedelta(minutes=1), Shape.CLOVER)
