"""What is overdue, what waits and until when, and how long delivered events took."""

from __future__ import annotations

from datetime import timedelta

from bridge.store import Store, inbox, latencies, outbox, queues, streams
from bridge.store.queues import Wait
from bridge.store.streams import StreamUpdate
from tests.bridge.store.builders import (
    ANNA,
    BERT,
    HOUR,
    MINUTE,
    NOON,
    SCOPE,
    a_delivery,
    a_webhook,
    added,
    an_outcome,
    stored,
)


def waits(store: Store, stream_id: str, minutes: int, *, has_customer: bool = True) -> None:
    due_at = NOON + minutes * MINUTE
    update = StreamUpdate(stream_id=stream_id, scope=SCOPE, has_customer=has_customer, at=NOON, due_at=due_at)
    with store.transaction() as tx:
        streams.upsert(tx, [update])


def test_what_waits_for_a_date_is_not_overdue_before_it(store: Store) -> None:
    store.accept(a_webhook("evt_1", received_at=NOON))
    (row_id,) = stored(store, "evt_1")
    with store.transaction() as tx:
        inbox.assign(tx, [(row_id, ANNA)])
    waits(store, ANNA, 25)

    with store.reading() as tx:
        assert queues.overdue_since(tx, NOON + 24 * MINUTE) is None
        assert queues.overdue_since(tx, NOON + 27 * MINUTE) == NOON + 25 * MINUTE


def test_what_is_not_read_yet_and_what_failed_is_overdue_since_its_arrival(store: Store) -> None:
    store.accept(a_webhook("evt_1", received_at=NOON + MINUTE))
    with store.reading() as tx:
        assert queues.overdue_since(tx, NOON + HOUR) == NOON + MINUTE
    (row_id,) = stored(store, "evt_1")

    with store.transaction() as tx:
        inbox.fail(tx, row_id, "broken", NOON + 2 * HOUR)

    with store.reading() as tx:
        assert queues.overdue_since(tx, NOON + HOUR) == NOON + MINUTE


def test_the_next_wait_is_the_one_that_ends_first_in_the_future(store: Store) -> None:
    waits(store, ANNA, 10)
    waits(store, BERT, 20)

    with store.reading() as tx:
        assert queues.next_wait(tx, NOON) == Wait(until=NOON + 10 * MINUTE, reason=None)
        assert queues.next_wait(tx, NOON + 10 * MINUTE) == Wait(until=NOON + 20 * MINUTE, reason=None)
        assert queues.next_wait(tx, NOON + HOUR) is None


def test_a_wait_has_a_cause_before_the_first_attempt_to_settle(store: Store) -> None:
    waits(store, ANNA, 20, has_customer=False)
    waits(store, BERT, 25 * 24 * 60)  # a cancellation that was announced 25 days ahead

    with store.reading() as tx:
        first, second = queues.next_wait(tx, NOON), queues.next_wait(tx, NOON + HOUR)

    assert first is not None
    assert second is not None
    assert first.cause == "waiting for a webhook that names its customer"
    assert second.cause == "waiting for the date on which it takes effect"


def test_delivered_events_are_counted_by_the_time_since_their_first_webhook(store: Store) -> None:
    for key, seconds in (("k1", 2), ("k2", 5), ("k3", 90), ("k4", None)):
        (row_id,) = added(store, a_delivery(key, received_at=None if seconds is None else NOON))
        outcome = an_outcome(row_id, at=NOON + timedelta(seconds=seconds or 0))
        with store.transaction() as tx:
            outbox.record(tx, [outcome])

    with store.reading() as tx:
        found = latencies.counts(tx, [timedelta(seconds=bound) for bound in (1, 5, 100)])

    assert (found.count, found.seconds, found.within) == (
        3,
        97.0,
        (0, 2, 3),
    )  # 2 + 5 + 90, without the one of no webhook


def test_a_waiting_webhook_says_until_when_and_for_what(store: Store) -> None:
    for event_id in ("evt_1", "evt_2"):
        store.accept(a_webhook(event_id, received_at=NOON))
    first, second = stored(store, "evt_1", "evt_2")
    with store.transaction() as tx:
        inbox.assign(tx, [(first, ANNA)])
    waits(store, ANNA, 25)

    with store.reading() as tx:
        found = queues.waits_of(tx, inbox.by_ids(tx, [first, second]))

    assert found == {first: Wait(until=NOON + 25 * MINUTE, reason=None)}
    assert str(found[first]) == f"until {NOON.date()} 12:25:00 UTC: waiting for other webhooks of its customer"
