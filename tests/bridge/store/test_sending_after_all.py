"""Deliveries sent after all: rejected ones with another amount, and those that were not forwarded, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from bridge.store import Store, interventions, outbox
from bridge.store.interventions import Forwarded
from bridge.store.outbox import Delivery, DeliveryStatus
from tests.bridge.store.builders import ANNA, BERT, HOUR, NOON, SCOPE, a_delivery, added, an_outcome, claimed

KEPT = DeliveryStatus.NOT_FORWARDED


def kept(key: str, stream: str = ANNA, **changes: object) -> outbox.NewDelivery:
    return a_delivery(key, stream_id=stream, status=KEPT, **changes)


def found(store: Store, ids: Sequence[int]) -> list[Delivery]:
    with store.reading() as tx:
        return [one for row_id in ids if (one := outbox.find(tx, row_id)) is not None]


def forwarded(store: Store, *ids: int) -> int:
    chosen = [Forwarded(delivery=one, status=DeliveryStatus.PENDING) for one in found(store, ids)]
    with store.transaction() as tx:
        return interventions.forward(tx, chosen, NOON)


def delivered(store: Store, *ids: int) -> None:
    with store.transaction() as tx:
        outbox.record(tx, [an_outcome(one) for one in ids])


def sent_in_order(store: Store) -> list[int]:
    """The ids in the order in which one sender claims and delivers them."""
    order: list[int] = []
    while batch := claimed(store, NOON + HOUR):
        order += batch
        delivered(store, *batch)
    return order


def test_what_was_not_forwarded_is_sent_before_what_waits_behind_it(store: Store) -> None:
    first, second, waiting = added(store, kept("k:1"), kept("k:2"), a_delivery("k:3"))

    assert forwarded(store, first, second) == 2

    assert sent_in_order(store) == [first, second, waiting]


def test_one_customer_at_a_time_keeps_its_order_and_the_others_go_on(store: Store) -> None:
    anna_1, bert_1, anna_2 = added(store, kept("k:1"), kept("k:2", BERT), kept("k:3"))
    forwarded(store, anna_1, anna_2, bert_1)

    assert claimed(store, NOON + HOUR) == [anna_1, bert_1]


def test_only_what_was_not_forwarded_is_sent(store: Store) -> None:
    done, failed = added(store, a_delivery("k:1"), a_delivery("k:2", stream_id=BERT))
    with store.transaction() as tx:
        outbox.record(tx, [an_outcome(done), an_outcome(failed, DeliveryStatus.FAILED)])

    assert forwarded(store, done, failed) == 0
    assert claimed(store, NOON + HOUR) == []


def test_what_is_held_after_all_waits_for_its_hold(store: Store) -> None:
    [row_id] = added(store, kept("k:1"))
    [one] = found(store, [row_id])
    with store.transaction() as tx:
        interventions.forward(tx, [Forwarded(delivery=one, status=DeliveryStatus.HELD, hold_until=NOON + HOUR)], NOON)

    assert claimed(store, NOON) == []
    assert claimed(store, NOON + HOUR) == [row_id]


def test_an_attribution_found_meanwhile_is_in_the_body_that_is_sent_later(store: Store) -> None:
    [row_id] = added(store, kept("k:1"))
    with store.transaction() as tx:
        outbox.release(tx, SCOPE, {"k:1": '{"amount":49,"session_id":"ses_1"}'})

    [before] = found(store, [row_id])
    assert (before.status, json.loads(before.body)["session_id"]) == (KEPT, "ses_1")


def test_a_failed_one_is_rewritten_and_a_delivered_one_never(store: Store) -> None:
    failed, done = added(store, a_delivery("k:1"), a_delivery("k:2", stream_id=BERT))
    with store.transaction() as tx:
        outbox.record(tx, [an_outcome(failed, DeliveryStatus.FAILED), an_outcome(done)])
        interventions.rewrite(tx, {failed: ('{"amount":5}', Decimal("5.00")), done: ('{"amount":5}', Decimal("5.00"))})

    assert [(one.body, str(one.amount)) for one in found(store, [failed, done])] == [
        ('{"amount":5}', "5.00"),
        ('{"amount": 49.0}', "49.00"),
    ]


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_every_delivery_of_a_status_is_read_whatever_the_size_of_a_page(
    store: Store, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(interventions, "PAGE", page)
    ids = added(store, *(kept(f"k:{number}") for number in range(5)), a_delivery("k:9"))

    with store.reading() as tx:
        assert [one.id for one in interventions.every(tx, KEPT)] == sorted(ids[:5], reverse=True)
        assert interventions.with_not_forwarded(tx) == [("stripe", True)]


def test_failed_ones_are_counted_by_the_words_of_their_error(store: Store) -> None:
    ids = added(store, a_delivery("k:1"), a_delivery("k:2", stream_id=BERT))
    errors = ["400: set REFUND_AMOUNT=positive", "400: another"]
    failed = [
        an_outcome(row_id, DeliveryStatus.FAILED, last_error=error) for row_id, error in zip(ids, errors, strict=True)
    ]
    with store.transaction() as tx:
        outbox.record(tx, failed)

    with store.reading() as tx:
        assert interventions.failed_with(tx, "REFUND_AMOUNT=positive") == 1
