"""What an operator does to deliveries by hand, on both databases."""

from __future__ import annotations

from datetime import timedelta

from bridge.store import Store, interventions, outbox
from bridge.store.outbox import DeliveryStatus
from tests.bridge.store.builders import BERT, HOUR, NOON, a_delivery, an_outcome

LATER = NOON + 6 * HOUR


def claimed(store: Store, at_hours: int = 0) -> list[str]:
    now = NOON + at_hours * HOUR
    with store.transaction() as tx:
        return [one.output_key for one in outbox.claim(tx, now, 10, "sender", now + timedelta(minutes=1))]


def test_one_that_waits_for_its_next_try_is_sent_now(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [a_delivery("payment:pi_1", next_at=LATER)])
        row_id = outbox.listing(tx)[0].id
    assert claimed(store) == []

    with store.transaction() as tx:
        assert interventions.send_now(tx, [row_id], NOON).total == 1

    assert claimed(store) == ["payment:pi_1"]


def test_one_that_is_on_its_way_is_not_sent_a_second_time(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [a_delivery()])
        row_id = outbox.listing(tx)[0].id
    assert claimed(store) == ["payment:pi_1"]

    with store.transaction() as tx:
        assert interventions.send_now(tx, [row_id], NOON).total == 0

    assert claimed(store) == []


def test_a_failed_one_is_sent_again_and_a_delivered_or_held_one_is_left_alone(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [a_delivery("failed"), a_delivery("delivered", stream_id=BERT)])
        outbox.add(tx, [a_delivery("held", stream_id=f"{BERT}2", status=DeliveryStatus.HELD, hold_until=LATER)])
        ids = {one.output_key: one.id for one in outbox.listing(tx)}
        outbox.record(tx, [an_outcome(ids["failed"], DeliveryStatus.FAILED), an_outcome(ids["delivered"])])

    with store.transaction() as tx:
        sent = interventions.send_now(tx, ids.values(), NOON)

    assert (sent.pending, sent.failed) == (0, 1)
    assert claimed(store) == ["failed"]


def test_the_order_of_a_customer_is_kept(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [a_delivery("first", next_at=LATER), a_delivery("second", next_at=LATER)])
        second = next(one for one in outbox.listing(tx) if one.output_key == "second")

    with store.transaction() as tx:
        interventions.send_now(tx, [second.id], NOON)

    assert claimed(store) == []


def test_a_held_one_is_released_at_once(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [a_delivery(status=DeliveryStatus.HELD, hold_until=LATER)])
        row_id = outbox.listing(tx)[0].id

    with store.transaction() as tx:
        assert interventions.release_held(tx, [row_id, row_id], NOON) == 1
        assert interventions.release_held(tx, [row_id], NOON) == 0

    assert claimed(store) == ["payment:pi_1"]
