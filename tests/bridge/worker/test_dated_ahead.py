"""Facts that are dated ahead of the machine's clock: they wait until their date, on both databases."""

from __future__ import annotations

from bridge.store import Store
from processors.stripe.simulation.customer import Customer
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker, after, only, without

HOUR = 3600.0
THREE_DAYS = 3 * 86_400.0


def refund_in_three_days() -> tuple[bytes, ...]:
    return Customer.begin("ada", NOON).buy(4990).later(days=3).refund(2000).webhooks


def test_a_refund_dated_ahead_is_reported_on_its_date(store: Store) -> None:
    worker = VirtualWorker(store)

    worker.play([(0, only(refund_in_three_days(), "refund.created"))], until=THREE_DAYS - HOUR)
    before = worker.rows()
    worker.work_until(after(THREE_DAYS + HOUR))

    assert before == []  # an hour after its arrival, when money without a customer is reported, it is still ahead
    assert worker.rows() == ["refund -20.00 +0.00"]


def test_a_refund_dated_ahead_goes_to_the_customer_who_is_named_before_its_date(store: Store) -> None:
    worker = VirtualWorker(store)
    webhooks = refund_in_three_days()

    worker.play(
        [(0, only(webhooks, "refund.created")), (2 * HOUR, without(webhooks, "refund.created"))],
        until=THREE_DAYS + HOUR,
    )

    assert worker.rows() == ["purchase 49.90 -", "refund -20.00 +0.00"]
    assert {one.customer_id for one in worker.deliveries()} == {"cus_ada"}
