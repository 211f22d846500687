"""Webhooks in unusual orders and with long gaps: the sums are right, and the events are right as far as they can be."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bridge.internal_events import attributions
from bridge.store import Store, inbox, leases, open_store, streams
from bridge.store.inbox import InboxStatus
from bridge.worker import assignment
from bridge.worker.routing import LEASE, ROUTER, route
from bridge.worker.settling import settle_due
from processors.stripe.simulation.customer import Customer
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker, after, kind, only, without

BORN = datetime(2026, 1, 1, tzinfo=NOON.tzinfo)
HOUR = 3600.0
SHORT_HOLDS = ("0", "0.02")  # hours: 0 s and 72 s, shorter than a window
AN_HOUR_LATER = 3700.0
ADA = "stripe||live|cus_ada"


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """One kind: the ledger decides here. tests/lifecycles/test_arrival_stored.py compares both."""
    return sqlite_store


def signup() -> tuple[bytes, ...]:
    return Customer.begin("ada", BORN).subscribe().webhooks


# ---- Money before its customer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", [*SHORT_HOLDS, "1"])
def test_an_invoice_payment_that_arrives_first_is_reported_with_its_start(store: Store, hold: str) -> None:
    worker = VirtualWorker(store, HOLD_HOURS=hold)
    first = only(signup(), "invoice_payment.paid")

    worker.play([(0, first), (1, without(signup(), "invoice_payment.paid"))], until=2 * HOUR)

    assert worker.rows() == ["subscription 49.00 +49.00"]


def test_a_start_whose_money_was_reported_as_a_purchase_is_reported_as_a_movement_alone(store: Store) -> None:
    worker = VirtualWorker(store)
    first = only(signup(), "invoice_payment.paid")

    worker.play(
        [(0, first), (AN_HOUR_LATER, without(signup(), "invoice_payment.paid"))], until=AN_HOUR_LATER + 2 * HOUR
    )

    assert worker.rows() == ["purchase 49.00 -", "subscription 0.00 +49.00"]
    assert {one.stream_id for one in worker.deliveries()} == {ADA}


@pytest.mark.parametrize("hold", [*SHORT_HOLDS, "1"])
def test_a_refund_that_arrives_before_its_payment_names_the_customer(store: Store, hold: str) -> None:
    worker = VirtualWorker(store, HOLD_HOURS=hold)
    webhooks = Customer.begin("ada", BORN).buy(4990).later(days=3).refund(2000).webhooks

    worker.play([(0, only(webhooks, "refund.created")), (1, without(webhooks, "refund.created"))], until=2 * HOUR)

    assert worker.rows() == ["purchase 49.90 -", "refund -20.00 +0.00"]
    assert {one.customer_id for one in worker.deliveries()} == {"cus_ada"}


@pytest.mark.parametrize("hold", [*SHORT_HOLDS, "1"])
def test_a_dispute_that_arrives_before_its_payment_names_the_customer(store: Store, hold: str) -> None:
    worker = VirtualWorker(store, HOLD_HOURS=hold)
    webhooks = Customer.begin("ada", BORN).buy(4990).later(days=3).dispute(3000).webhooks
    first = only(webhooks, "charge.dispute.funds_withdrawn")

    worker.play([(0, first), (1, [one for one in webhooks if one not in first])], until=2 * HOUR)

    assert worker.rows() == ["purchase 49.90 -", "refund -30.00 +0.00"]
    assert {one.customer_id for one in worker.deliveries()} == {"cus_ada"}


@pytest.mark.parametrize("hold", ["0", "1"])
@pytest.mark.parametrize("gap", [1.0, AN_HOUR_LATER])
@pytest.mark.parametrize("later", [(), ("checkout.session.completed",)])
def test_a_refund_before_its_invoice_never_takes_the_start_away(
    store: Store, hold: str, gap: float, later: tuple[str, ...]
) -> None:
    worker = VirtualWorker(store, HOLD_HOURS=hold)
    customer = Customer.begin("ada", BORN).subscribe().later(days=3).refund(2000)
    first, rest = only(customer.webhooks, "refund.created"), without(customer.webhooks, "refund.created")
    last = only(rest, *later)

    worker.play([(0, first), (gap, without(rest, *later)), (gap + 5, last)], until=gap + 3 * HOUR)
    present = worker.mrr()
    cancelled = customer.later(days=20).cancel().webhooks[len(customer.webhooks) :]
    worker.play([(gap + 4 * HOUR, cancelled)], until=gap + 7 * HOUR)

    # 49.00 paid, 20.00 given back; 49.00 a month until the cancellation.
    assert (present, worker.mrr(), worker.paid()) == (Decimal("49.00"), Decimal(0), Decimal("29.00"))
    assert sorted(row.split()[0] for row in worker.rows()) == ["churn", "refund", "subscription"]
    assert {row.stream_id for row in worker.streams()} == {ADA}


def split_in_two(payment: bytes, first_minor: int) -> tuple[bytes, bytes]:
    """An invoice's one payment as two."""
    found = []
    for name, minor in (("a", first_minor), ("b", 4900 - first_minor)):
        event = json.loads(payment)
        event["id"] = f"evt_part_{name}"
        event["data"]["object"] |= {"id": f"inpay_{name}", "amount_paid": minor}
        event["data"]["object"]["payment"]["payment_intent"] = f"pi_part_{name}"
        found.append(json.dumps(event).encode())
    return found[0], found[1]


@pytest.mark.parametrize(
    ("hold", "gap", "expected"),
    [
        ("0", 1.0, ["subscription 49.00 +49.00"]),
        ("1", 1.0, ["subscription 49.00 +49.00"]),
        # The first part was a purchase of 30.00 an hour ago; what is left of the invoice is 19.00.
        ("1", AN_HOUR_LATER, ["purchase 30.00 -", "renewal 19.00 +0.00", "subscription 0.00 +49.00"]),
    ],
)
def test_two_payments_of_one_invoice_are_counted_once(store: Store, hold: str, gap: float, expected: list[str]) -> None:
    worker = VirtualWorker(store, HOLD_HOURS=hold)
    part_a, part_b = split_in_two(*only(signup(), "invoice_payment.paid"), 3000)
    rest = without(signup(), "invoice_payment.paid", "charge.succeeded", "payment_intent.succeeded")

    worker.play([(0, [part_a]), (gap, [*rest, part_b])], until=gap + 3 * HOUR)

    assert sorted(worker.rows()) == sorted(expected)
    assert (worker.mrr(), worker.paid()) == (Decimal("49.00"), Decimal("49.00"))


def test_the_customer_named_two_windows_after_the_money_still_has_one_event(store: Store) -> None:
    nameless = only(signup(), "invoice_payment.paid")
    rest = without(signup(), "invoice_payment.paid")
    note = Customer.begin("ada", BORN).sent("customer.updated", {"id": "cus_ada", "object": "customer", "metadata": {}})

    for order in ((rest, note.webhooks, nameless), (nameless, note.webhooks, rest)):
        with store.transaction() as tx:
            _empty(tx)
        worker = VirtualWorker(store, HOLD_HOURS="0")
        worker.play([(60 * n, bodies) for n, bodies in enumerate(order)], until=HOUR)
        assert worker.rows() == ["subscription 49.00 +49.00"]


def _empty(tx: Any) -> None:
    from bridge.store.schema import metadata

    for table in metadata.sorted_tables:
        tx.execute(table.delete())


# ---- Windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0.9, 1.1, 30])
def test_a_visit_registered_long_before_does_not_shorten_the_window_of_its_money(store: Store, hours: float) -> None:
    worker = VirtualWorker(store)
    webhooks = Customer.begin("ada", BORN, visit={}).subscribe().webhooks
    paid = only(webhooks, "invoice_payment.paid")
    intent = json.loads(paid[0])["data"]["object"]["payment"]["payment_intent"]
    visit = {"transaction_id": intent, "visitor_fingerprint": "fp_early", "session_id": "sess_early"}
    at = after(-3600 * hours)
    store.accept(attributions.encode(worker.settings.sources["stripe"], visit, livemode=True, now=at))
    worker.work(at + timedelta(seconds=1))

    worker.play([(0, paid), (1, without(webhooks, "invoice_payment.paid"))], until=3 * HOUR)

    assert worker.rows() == ["subscription 49.00 +49.00"]
    assert [one.attribution for one in worker.deliveries()] == ["registered"]


def trial_end() -> tuple[Customer, list[bytes], list[bytes]]:
    """A trial that ends at noon, with 20 % tax inside the first charge an hour later: state first, then the money."""
    begun = Customer.begin("ada", NOON - timedelta(days=14, minutes=1)).subscribe(trial_days=14)
    events = [json.loads(body) for body in begun.end_trial().webhooks[len(begun.webhooks) :]]
    invoice = next(event["data"]["object"]["id"] for event in events if event["type"] == "invoice.paid")
    for event in events:
        if event["type"] in ("invoice.paid", "invoice.payment_succeeded"):
            event["data"]["object"]["total_taxes"] = [{"amount": 817, "tax_behavior": "inclusive"}]
        if event["type"] == "customer.subscription.updated":  # its draft is the subscription's latest at once
            event["data"]["object"]["latest_invoice"] = invoice
    bodies = [json.dumps(event).encode() for event in events]
    states = [body for body in bodies if kind(body).startswith("customer.subscription")]
    return begun, states, [body for body in bodies if body not in states]


@pytest.mark.parametrize(
    ("basis", "first", "expected"),
    [
        ("gross", "invoice_payment.paid", "subscription 49.00 +49.00"),
        ("net_of_tax", "invoice_payment.paid", "subscription 40.83 +49.00"),  # 49.00 - 8.17 tax
        ("net_of_tax", "invoice.paid", "subscription 40.83 +49.00"),
    ],
)
def test_after_a_trial_the_first_charge_has_a_window_of_its_own(
    store: Store, basis: str, first: str, expected: str
) -> None:
    worker = VirtualWorker(store, AMOUNT_BASIS=basis)
    begun, states, money = trial_end()
    fourteen_days = 14 * 86400.0

    worker.play(
        [
            (-fourteen_days, begun.webhooks),
            (0, states),
            (3600, only(money, first)),
            (3601, without(money, first)),
        ],
        until=4 * HOUR,
    )

    assert worker.rows() == [expected]


@pytest.mark.parametrize(
    "order",
    [
        ("charge.dispute.created", "charge.dispute.funds_withdrawn"),
        ("charge.dispute.funds_withdrawn", "charge.dispute.created"),
    ],
)
def test_a_link_without_a_customer_does_not_put_off_the_money_it_is_linked_to(
    store: Store, order: tuple[str, str]
) -> None:
    worker = VirtualWorker(store)
    webhooks = Customer.begin("ada", BORN).buy(4990).later(days=3).dispute(3000).webhooks

    worker.play([(n, only(webhooks, one)) for n, one in enumerate(order)], until=2 * HOUR + 10)

    # One hour for the customer, and one hour for the visit.
    assert worker.rows() == ["refund -30.00 +0.00"]
    assert worker.deliveries()[0].created_at <= after(HOUR + 2)


def test_a_customer_who_is_never_quiet_is_settled_all_the_same(store: Store) -> None:
    worker = VirtualWorker(store, SETTLE_SECONDS="60")
    notes = [
        json.dumps({**json.loads(signup()[0]), "id": f"evt_note_{n}", "type": "customer.updated"}).encode()
        for n in range(40)
    ]

    worker.play([(0, signup()), *((10 + 20 * n, [note]) for n, note in enumerate(notes))], until=400)

    assert worker.rows() == ["subscription 49.00 +49.00"]
    assert worker.deliveries()[0].created_at <= after(4 * 60 + 30)


# ---- Adoption --------------------------------------------------------------------------------------------------------


def test_what_was_reported_without_a_customer_moves_to_the_customer_and_is_not_sent_again(store: Store) -> None:
    worker = VirtualWorker(store)
    customer = Customer.begin("ada", BORN).buy(4990).later(days=3).refund(2000)
    first, rest = only(customer.webhooks, "refund.created"), without(customer.webhooks, "refund.created")

    worker.play([(0, first)], until=3 * HOUR)
    sent = worker.deliveries()
    worker.play([(4 * HOUR, rest)], until=6 * HOUR)

    assert [one.status.value for one in sent] == ["delivered"]
    assert worker.rows() == ["refund -20.00 +0.00", "purchase 49.90 -"]
    assert (worker.deliveries()[0].body, worker.deliveries()[0].output_key) == (sent[0].body, sent[0].output_key)
    assert {one.stream_id for one in worker.deliveries()} == {ADA}
    with store.reading() as tx:
        assert {row.stream_id for row in inbox.listing(tx, limit=100) if row.status is InboxStatus.SETTLED} == {ADA}


def test_what_is_held_without_a_customer_is_released_by_the_customers_visit(store: Store) -> None:
    worker = VirtualWorker(store, HOLD_HOURS="2")
    customer = Customer.begin("ada", BORN).buy(4990).later(days=3).refund(2000)
    first, rest = only(customer.webhooks, "refund.created"), without(customer.webhooks, "refund.created")

    worker.play([(0, first), (2.5 * HOUR, rest)], until=3 * HOUR)

    assert sorted((one.event_type, one.status.value) for one in worker.deliveries()) == [
        ("purchase", "delivered"),
        ("refund", "delivered"),
    ]
    assert "none" not in {one.attribution for one in worker.deliveries()}
    assert {one.customer_id for one in worker.deliveries()} == {"cus_ada"}


def test_an_output_key_of_another_stream_is_a_fault_that_the_operator_sees(store: Store) -> None:
    worker = VirtualWorker(store)
    worker.play([(0, signup())], until=200)
    with store.transaction() as tx:  # as if an earlier version had counted the same invoice for somebody else
        tx.exec_driver_sql("UPDATE outbox SET stream_id = 'stripe||live|cus_eve'")
        tx.exec_driver_sql("DELETE FROM states")
        inbox.replay(tx, [row.id for row in inbox.listing(tx, limit=100)])

    worker.play([], until=0)
    worker.work(after(500))

    with store.reading() as tx:
        failed = inbox.listing(tx, status=InboxStatus.FAILED)
        assert inbox.conflict_count(tx) == len(failed) > 0
    assert len(worker.deliveries()) == 1
    assert (failed[0].reason or "").startswith(
        "two streams report the same fact: subscription of 49.00 USD was not sent, stripe||live|cus_eve has already"
    )


def test_the_repetition_of_an_output_key_in_the_same_stream_is_silent(store: Store) -> None:
    worker = VirtualWorker(store)
    worker.play([(0, signup())], until=200)
    with store.transaction() as tx:
        tx.exec_driver_sql("DELETE FROM states")
        inbox.replay(tx, [row.id for row in inbox.listing(tx, limit=100)])

    worker.work(after(500))

    assert worker.rows() == ["subscription 49.00 +49.00"]
    assert "failed" not in worker.statuses()


# ---- Two workers -----------------------------------------------------------------------------------------------------


def test_a_stream_that_another_worker_settles_is_adopted_afterwards(store: Store) -> None:
    """The lease of the other worker, then its end: meanwhile the customer's webhooks stay unrouted."""
    worker = VirtualWorker(store)
    first = only(signup(), "invoice_payment.paid")
    worker.play([(0, first)], until=1)
    with store.transaction() as tx:
        (claim,) = streams.claim_due(tx, after(3601), 1, "other", after(3601 + 120))
    worker.receive(without(signup(), "invoice_payment.paid"), after(3602))

    worker.work(after(3603))
    unrouted = worker.statuses()["received"]
    with store.transaction() as tx:
        streams.release(tx, claim)
    worker.work(after(3604))
    worker.work_until(after(2 * HOUR))

    assert unrouted > 0
    assert worker.rows() == ["subscription 49.00 +49.00"]


def test_a_stream_that_the_router_has_read_cannot_be_settled_by_another_worker(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(postgresql_url), open_store(postgresql_url)
    worker = VirtualWorker(store)
    worker.play([(0, only(signup(), "invoice_payment.paid"))], until=1)
    now = after(3600.1)  # its hold has just run out, and the rest arrives
    worker.receive(without(signup(), "invoice_payment.paid"), now - timedelta(seconds=0.05))
    settled = []
    plain = assignment.route_webhooks

    def while_another_settles(*given: Any) -> Any:
        settled.append(settle_due(other, worker.settings, "other", now))
        return plain(*given)

    monkeypatch.setattr(assignment, "route_webhooks", while_another_settles)
    worker.work(now)
    worker.work_until(after(3 * HOUR))

    assert settled[0] == 0
    assert worker.rows() == ["subscription 49.00 +49.00"]
    assert {row.stream_id for row in worker.streams()} == {ADA}
    store.close()
    other.close()


def test_a_worker_does_not_wait_for_the_one_that_routes(postgresql_url: str) -> None:
    store, other = open_store(postgresql_url), open_store(postgresql_url)
    worker = VirtualWorker(store)
    worker.receive(signup(), NOON)
    with store.transaction() as tx:
        leases.acquire(tx, ROUTER, "first", NOON, NOON + LEASE)

    with store.transaction() as tx:
        leases.acquire(tx, ROUTER, "first", NOON, NOON + LEASE)  # its row is locked until the end of the transaction
        routed = route(other, worker.settings, "second", NOON)

    assert routed == 0
    store.close()
    other.close()
