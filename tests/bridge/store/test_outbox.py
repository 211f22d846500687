"""Every revenue event goes out once, in its customer's order, and a stuck customer delays nobody else."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from bridge.store import Store, outbox
from bridge.store.outbox import DeliveryStatus
from bridge.store.outbox.heads import HEADS
from tests.bridge.store.builders import (
    ANNA,
    BERT,
    HOUR,
    MINUTE,
    NOON,
    SCOPE,
    a_delivery,
    added,
    an_outcome,
    claimed,
)

HELD, PENDING, DELIVERED = DeliveryStatus.HELD, DeliveryStatus.PENDING, DeliveryStatus.DELIVERED
DEAD, DROPPED, KEPT = DeliveryStatus.FAILED, DeliveryStatus.DROPPED, DeliveryStatus.NOT_FORWARDED


def found(store: Store, delivery_id: int) -> outbox.Delivery:
    with store.reading() as tx:
        delivery = outbox.find(tx, delivery_id)
    assert delivery is not None
    return delivery


def recorded(store: Store, *outcomes: outbox.Outcome) -> None:
    with store.transaction() as tx:
        outbox.record(tx, outcomes)


# ---- Coming in -------------------------------------------------------------------------------------------------


def test_what_was_added_is_read_back_exactly(store: Store) -> None:
    body = '{"metadata": {"plan": "Größe 🦊"}, "amount": 0.1}'
    amount, impact = Decimal("12345678901234567890.1234"), Decimal("-0.10")

    (row_id,) = added(store, a_delivery(body=body, amount=amount, mrr_impact=impact, event_ids=("evt_2", "evt_1")))

    delivery = found(store, row_id)
    assert (delivery.body, delivery.amount, delivery.mrr_impact) == (body, amount, impact)
    assert str(delivery.mrr_impact) == "-0.10"
    assert (delivery.event_ids, delivery.status, delivery.attempts) == (("evt_2", "evt_1"), PENDING, 0)


def test_an_absent_mrr_impact_stays_absent(store: Store) -> None:
    (row_id,) = added(store, a_delivery(mrr_impact=None))

    assert found(store, row_id).mrr_impact is None


def test_an_output_key_is_taken_once_per_ledger(store: Store) -> None:
    with store.transaction() as tx:
        first = outbox.add(tx, [a_delivery("k1"), a_delivery("k2")])
        again = outbox.add(tx, [a_delivery("k1", body="changed"), a_delivery("k3"), a_delivery("k1", scope="other")])

    assert (first, again) == (2, 2)
    with store.reading() as tx:
        assert {one.output_key: one.body for one in outbox.listing(tx)}["k2"] == '{"amount": 49.0}'
        assert "changed" not in {one.body for one in outbox.listing(tx)}


def test_what_is_dropped_or_kept_is_stored_and_never_sent(store: Store) -> None:
    added(store, a_delivery("k1", status=DROPPED), a_delivery("k2", status=KEPT), a_delivery("k3"))

    assert [found(store, row_id).output_key for row_id in claimed(store, NOON + HOUR)] == ["k3"]


# ---- Held ------------------------------------------------------------------------------------------------------


def test_a_held_event_waits_until_its_hold_is_over(store: Store) -> None:
    (row_id,) = added(store, a_delivery(status=HELD, hold_until=NOON + HOUR))

    assert claimed(store, NOON + HOUR - MINUTE) == []
    assert claimed(store, NOON + HOUR) == [row_id]
    assert found(store, row_id).status is PENDING


def test_a_released_event_goes_at_once_with_its_new_body(store: Store) -> None:
    (row_id,) = added(store, a_delivery("k1", status=HELD, hold_until=NOON + HOUR))

    with store.transaction() as tx:
        released = outbox.release(tx, SCOPE, {"k1": "attributed", "k2": "never heard of"})

    assert released == 1
    assert claimed(store, NOON) == [row_id]
    assert found(store, row_id).body == "attributed"


def test_a_body_never_changes_once_it_may_have_been_sent(store: Store) -> None:
    (row_id,) = added(store, a_delivery("k1", status=HELD, hold_until=NOON))
    claimed(store, NOON)

    with store.transaction() as tx:
        released = outbox.release(tx, SCOPE, {"k1": "attributed"})

    assert released == 0
    assert found(store, row_id).body == '{"amount": 49.0}'


def test_what_comes_after_a_held_event_of_a_customer_waits_with_it(store: Store) -> None:
    held, later = added(store, a_delivery("k1", status=HELD, hold_until=NOON + HOUR), a_delivery("k2"))
    assert claimed(store) == []

    with store.transaction() as tx:
        outbox.release(tx, SCOPE, {"k1": "attributed"})

    assert claimed(store) == [held]
    recorded(store, an_outcome(held))
    assert claimed(store) == [later]


# ---- Order -----------------------------------------------------------------------------------------------------


def test_a_customers_events_go_one_after_the_other(store: Store) -> None:
    first, second, other = added(store, a_delivery("k1"), a_delivery("k2"), a_delivery("k3", stream_id=BERT))

    assert claimed(store) == [first, other]
    assert claimed(store) == []
    recorded(store, an_outcome(first), an_outcome(other))
    assert claimed(store) == [second]


def test_a_stuck_customer_delays_nobody_else(store: Store) -> None:
    stuck, _, other = added(store, a_delivery("k1"), a_delivery("k2"), a_delivery("k3", stream_id=BERT))
    claimed(store, limit=1)
    recorded(store, an_outcome(stuck, PENDING, next_at=NOON + HOUR, last_status=500))

    assert claimed(store) == [other]
    assert claimed(store, NOON + HOUR, limit=1) == [stuck]


def test_a_dead_event_lets_the_next_one_go(store: Store) -> None:
    first, second = added(store, a_delivery("k1"), a_delivery("k2"))
    claimed(store)

    recorded(store, an_outcome(first, DEAD, last_status=400, last_error="amount missing"))

    assert claimed(store) == [second]
    dead = found(store, first)
    assert (dead.status, dead.last_status, dead.last_error, dead.delivered_at) == (DEAD, 400, "amount missing", None)


def test_live_events_go_before_imported_ones_then_by_age(store: Store) -> None:
    streams = [f"{SCOPE}|{n}" for n in range(4)]
    priorities = (1, 0, 1, 0)
    ids = added(store, *(a_delivery(s, stream_id=s, priority=p) for s, p in zip(streams, priorities, strict=True)))

    assert claimed(store, limit=3) == [ids[1], ids[3], ids[0]]


def test_a_lease_that_ran_out_is_claimed_again(store: Store) -> None:
    (row_id,) = added(store, a_delivery())

    assert claimed(store, NOON) == [row_id]
    assert claimed(store, NOON) == []
    assert claimed(store, NOON + MINUTE) == [row_id]


def test_a_claim_shows_when_it_was_due_not_its_lease(store: Store) -> None:
    added(store, a_delivery(next_at=NOON - HOUR))

    with store.transaction() as tx:
        (delivery,) = outbox.claim(tx, NOON, 10, "sender", NOON + MINUTE, [])

    assert delivery.next_at == NOON - HOUR


def test_nothing_is_claimed_of_paused_sources(store: Store) -> None:
    _, other = added(store, a_delivery("k1"), a_delivery("k2", source="second", stream_id=BERT))

    assert claimed(store, paused=("stripe", "third")) == [other]


def test_a_late_answer_never_undoes_a_delivery(store: Store) -> None:
    (row_id,) = added(store, a_delivery())
    claimed(store)
    recorded(store, an_outcome(row_id))

    recorded(store, an_outcome(row_id, PENDING, next_at=NOON, last_status=500))

    assert found(store, row_id).status is DELIVERED
    assert claimed(store, NOON + HOUR) == []


def test_a_delivered_event_says_when_and_how(store: Store) -> None:
    (row_id,) = added(store, a_delivery())
    claimed(store)

    recorded(store, an_outcome(row_id, attempts=3, at=NOON + MINUTE, last_status=202))

    delivery = found(store, row_id)
    assert (delivery.delivered_at, delivery.attempts, delivery.last_status) == (NOON + MINUTE, 3, 202)


def test_dead_events_are_sent_again_on_request_ahead_of_what_waits(store: Store) -> None:
    first, second = added(store, a_delivery("k1"), a_delivery("k2"))
    claimed(store)
    recorded(store, an_outcome(first, DEAD, attempts=9))

    with store.transaction() as tx:
        revived = outbox.retry(tx, [first, second, 999], NOON + MINUTE)

    assert revived == 1
    assert found(store, first).attempts == 0
    assert claimed(store, NOON + MINUTE) == [first]
    recorded(store, an_outcome(first))
    assert claimed(store, NOON + MINUTE) == [second]


def test_a_retry_behind_what_is_on_its_way_does_not_send_that_twice(store: Store) -> None:
    first, second, third = added(store, a_delivery("k1"), a_delivery("k2"), a_delivery("k3"))
    claimed(store)
    recorded(store, an_outcome(first))
    claimed(store)
    recorded(store, an_outcome(second, DEAD))
    assert claimed(store) == [third]
    with store.transaction() as tx:
        outbox.retry(tx, [first], NOON)
    assert claimed(store) == []

    with store.transaction() as tx:
        outbox.add(tx, [a_delivery("k4")])
        outbox.retry(tx, [second], NOON)

    assert claimed(store) == [second]


def test_a_retry_from_an_empty_stream_goes_out(store: Store) -> None:
    (row_id,) = added(store, a_delivery())
    claimed(store)
    recorded(store, an_outcome(row_id, DEAD))

    with store.transaction() as tx:
        outbox.retry(tx, [row_id], NOON)

    assert claimed(store) == [row_id]


def test_what_is_added_behind_an_ignored_duplicate_is_sent(store: Store) -> None:
    (first,) = added(store, a_delivery("k1"))
    claimed(store)
    recorded(store, an_outcome(first))

    _, second = added(store, a_delivery("k1"), a_delivery("k2"))

    assert claimed(store) == [second]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "hold", "send", "fail", "kill", "retry", "release"]), st.integers(0, 2))
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_of_every_stream_the_first_open_event_is_its_only_head(sqlite_store: Store, steps: list[Step]) -> None:
    prefix = uuid4().hex

    with sqlite_store.transaction() as tx:
        for number, (step, stream) in enumerate(steps):
            _take(tx, step, f"{prefix}{stream}", number)

        for stream in range(3):
            rows = outbox.of_stream(tx, f"{prefix}{stream}")
            waiting = [row.id for row in rows if row.status in (HELD, PENDING)]
            present = [row.id for row in tx.execute(HEADS[tx.dialect.name], {"stream_ids": [f"{prefix}{stream}"]})]
            assert present == waiting[:1]


def _take(tx: Connection, step: str, stream_id: str, number: int) -> None:
    """One step in the life of a stream; nothing where there is nothing to do it to."""
    rows = outbox.of_stream(tx, stream_id)
    waiting = [row for row in rows if row.status in (HELD, PENDING)]
    dead = [row.id for row in rows if row.status is DEAD]
    key = f"{stream_id}|{number}"
    match step:
        case "add":
            outbox.add(tx, [a_delivery(key, stream_id=stream_id), a_delivery(f"{key}b", stream_id=stream_id)])
        case "hold":
            outbox.add(tx, [a_delivery(key, stream_id=stream_id, status=HELD, hold_until=NOON + HOUR)])
        case "retry":
            outbox.retry(tx, dead[:1], NOON)
        case "release":
            outbox.release(tx, SCOPE, {row.output_key: "new" for row in waiting})
        case _:
            status = {"send": DELIVERED, "fail": PENDING, "kill": DEAD}[step]
            outbox.record(tx, [an_outcome(row.id, status, next_at=NOON) for row in waiting[:1]])


# ---- Looking ---------------------------------------------------------------------------------------------------


def test_counts_and_backlog_show_what_is_still_to_be_sent(store: Store) -> None:
    first, *_ = added(
        store,
        a_delivery("k1", created_at=NOON),
        a_delivery("k2", created_at=NOON + MINUTE),
        a_delivery("k3", status=HELD, hold_until=NOON + HOUR),
        a_delivery("k4", source="second", livemode=False, status=KEPT),
        a_delivery("k5", source="second", livemode=True, status=KEPT),
    )
    recorded(store, an_outcome(first))

    with store.reading() as tx:
        counts, backlog = outbox.counts(tx), outbox.backlog(tx)

    assert counts == {("stripe", DELIVERED): 1, ("stripe", PENDING): 1, ("stripe", HELD): 1, ("second", KEPT): 2}
    assert (backlog.count, backlog.oldest) == (2, NOON + MINUTE)


def test_an_empty_outbox_has_no_backlog(store: Store) -> None:
    with store.reading() as tx:
        backlog = outbox.backlog(tx)

    assert (backlog.count, backlog.oldest) == (0, None)


def test_lists_show_the_newest_first_page_by_page(store: Store) -> None:
    ids = added(store, *(a_delivery(f"k{n}") for n in range(4)), a_delivery("k4", source="second"))

    with store.reading() as tx:
        page = outbox.listing(tx, limit=2)
        following = outbox.listing(tx, limit=2, before_id=page[-1].id)
        of_source = outbox.listing(tx, status=PENDING, source="second")
        of_stream = outbox.of_stream(tx, ANNA)

    assert [one.id for one in page] == [ids[4], ids[3]]
    assert [one.id for one in following] == [ids[2], ids[1]]
    assert [one.id for one in of_source] == [ids[4]]
    assert [one.id for one in of_stream] == ids
