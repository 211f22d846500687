"""Which stream has an output key, and how its revenue events move to another stream."""

from __future__ import annotations

import pytest

from bridge.store import Store, outbox, ownership
from bridge.store.outbox import DeliveryStatus
from tests.bridge.store.builders import ANNA, BERT, HOUR, NOON, SCOPE, a_delivery, added, an_outcome, claimed

NOBODY = f"{SCOPE}|~pi_1"


def test_a_key_that_another_stream_has_is_found_and_a_repetition_is_not(store: Store) -> None:
    added(store, a_delivery("k1"), a_delivery("k2", stream_id=BERT), a_delivery("k3", scope="other"))
    again = [a_delivery("k1"), a_delivery("k2"), a_delivery("k3"), a_delivery("k4")]

    with store.reading() as tx:
        found = ownership.owned_elsewhere(tx, again)

    assert [(one.output_key, owner) for one, owner in found] == [("k2", BERT)]


@pytest.mark.parametrize("first", [ANNA, NOBODY])
def test_after_a_move_the_oldest_event_of_both_streams_is_sent_first(store: Store, first: str) -> None:
    second = NOBODY if first == ANNA else ANNA
    ids = added(
        store,
        a_delivery("k1", stream_id=first),
        a_delivery("k2", stream_id=second),
        a_delivery("k3", stream_id=first, status=DeliveryStatus.HELD, hold_until=NOON + HOUR),
    )

    with store.transaction() as tx:
        ownership.move(tx, NOBODY, ANNA)

    order = []
    for _ in ids:
        (head,) = claimed(store, NOON + HOUR)
        with store.transaction() as tx:
            outbox.record(tx, [an_outcome(head)])
        order.append(head)
    assert order == ids
    assert claimed(store, NOON + HOUR) == []


def test_an_event_that_is_on_its_way_may_move(store: Store) -> None:
    ids = added(store, a_delivery("k1", stream_id=ANNA), a_delivery("k2", stream_id=NOBODY))
    in_flight = claimed(store)

    with store.transaction() as tx:
        ownership.move(tx, NOBODY, ANNA)
        outbox.record(tx, [an_outcome(one) for one in in_flight])

    assert in_flight == ids
    assert claimed(store, NOON + HOUR) == []
    with store.reading() as tx:
        assert {one.status for one in outbox.of_stream(tx, ANNA)} == {DeliveryStatus.DELIVERED}
