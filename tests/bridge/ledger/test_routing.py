"""Routing: a webhook joins its customer's stream, in whatever order the ids become known."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

from bridge.ledger.routing import RoutableWebhook, route_webhooks
from processors.facts import Ids, Link

AT = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = "stripe||live"
CUSTOMER = f"{SCOPE}|cus_1"


def a_webhook(row_id: int, **ids: object) -> RoutableWebhook:
    return RoutableWebhook(row_id=row_id, scope=SCOPE, facts=(Link(at=AT, ids=Ids(**ids)),))  # type: ignore[arg-type]


def test_an_event_of_a_customer_goes_to_the_customer() -> None:
    found = route_webhooks([a_webhook(1, customer_id="cus_1", payment_id="pi_1")], {}, set())

    assert found.stream_of == {1: CUSTOMER}
    assert found.links == {"pi_1": CUSTOMER}


def test_ids_lead_a_nameless_event_to_its_customer() -> None:
    found = route_webhooks([a_webhook(7, payment_id="pi_1", invoice_id="in_1")], {"in_1": CUSTOMER}, set())

    assert found.stream_of == {7: CUSTOMER}
    assert found.links == {"pi_1": CUSTOMER}


def test_in_every_order_of_arrival_linked_events_meet_in_one_stream() -> None:
    events = [
        a_webhook(1, payment_id="pi_1", charge_id="ch_1"),
        a_webhook(2, payment_id="pi_1", invoice_id="in_1"),
        a_webhook(3, invoice_id="in_1", subscription_id="sub_1"),
        a_webhook(4, subscription_id="sub_1", customer_id="cus_1"),
    ]

    for order in permutations(events):
        found = route_webhooks(order, {}, set())

        assert set(found.stream_of.values()) == {CUSTOMER}
        assert set(found.links.values()) == {CUSTOMER}


def test_a_stream_that_waited_for_its_customer_is_merged_into_the_customers() -> None:
    waiting = f"{SCOPE}|~in_1"

    found = route_webhooks(
        [a_webhook(9, invoice_id="in_1", customer_id="cus_1")], {"in_1": waiting, "pi_1": waiting}, set()
    )

    assert found.merged == {waiting: CUSTOMER}
    assert found.links == {"in_1": CUSTOMER}


def test_what_was_settled_for_a_guest_stays_there_so_that_it_is_not_counted_again() -> None:
    guest = f"{SCOPE}|~pi_1"

    found = route_webhooks([a_webhook(9, payment_id="pi_1", customer_id="cus_1")], {"pi_1": guest}, {guest})

    assert found.stream_of == {9: guest}
    assert found.merged == {}


def test_an_event_without_any_known_id_opens_a_stream_of_its_own() -> None:
    found = route_webhooks([a_webhook(5, payment_id="pi_9", charge_id="ch_9", guest=True)], {}, set())

    assert found.stream_of == {5: f"{SCOPE}|~ch_9"}


def test_a_subscription_that_moves_to_another_customer_stays_in_its_stream_with_its_payments() -> None:
    other = f"{SCOPE}|cus_2"
    moved = [
        a_webhook(1, customer_id="cus_2", subscription_id="sub_1"),
        a_webhook(2, customer_id="cus_2", subscription_id="sub_1", payment_id="txn_2", invoice_id="txn_2"),
        a_webhook(3, customer_id="cus_2", payment_id="txn_3"),
    ]

    found = route_webhooks(moved, {"sub_1": CUSTOMER}, {CUSTOMER, other})

    assert found.stream_of == {1: CUSTOMER, 2: CUSTOMER, 3: other}
    assert found.links == {"txn_2": CUSTOMER, "txn_3": other}


def test_a_subscription_that_waited_for_its_customer_joins_the_first_that_is_named() -> None:
    waiting = f"{SCOPE}|~sub_1"

    found = route_webhooks([a_webhook(1, customer_id="cus_1", subscription_id="sub_1")], {"sub_1": waiting}, set())

    assert found.stream_of == {1: CUSTOMER}
    assert found.merged == {waiting: CUSTOMER}
