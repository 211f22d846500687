"""What arrives is kept once, and ends as settled, ignored or failed; nothing is lost on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.store import Store, inbox, streams
from bridge.store.inbox import InboxStatus, Purged
from tests.bridge.store.builders import ANNA, BERT, HOUR, MINUTE, NOON, SCOPE, a_webhook, an_update, statuses, stored


def test_what_arrived_is_read_back_as_it_came(store: Store) -> None:
    arrival = a_webhook(account="acct_1", livemode=False, body=b'{"caf\xc3\xa9": 1}\r\n', type="charge.refunded")

    store.accept(arrival)

    with store.reading() as tx:
        (row,) = inbox.unrouted(tx, 10, NOON)
    assert (row.scope, row.event_id, row.type, row.body) == (
        "stripe|acct_1|test",
        "evt_1",
        "charge.refunded",
        b'{"caf\xc3\xa9": 1}\r\n',
    )
    assert (row.created_at, row.received_at, row.status, row.attempts) == (NOON, NOON, InboxStatus.RECEIVED, 0)


def test_an_event_is_stored_once_per_source(store: Store) -> None:
    news = [store.accept(a_webhook("evt_1", source=source)) for source in ("stripe", "stripe", "second")]

    assert news == [True, False, True]


def test_within_one_commit_only_the_first_of_two_is_new(store: Store) -> None:
    rows = [
        inbox.encode_row(a_webhook("evt_1")),
        inbox.encode_row(a_webhook("evt_2")),
        inbox.encode_row(a_webhook("evt_1")),
    ]

    with store.transaction() as tx:
        news = inbox.insert_new(tx, rows)

    assert news == [True, True, False]


@pytest.mark.parametrize("odd", ["evt_\x00", "evt_\ud800", "é" * 255, "🦊" * 255, "'; --", "%s %(x)s :y ?"])
def test_whatever_an_event_is_called_it_can_be_stored_and_found(store: Store, odd: str) -> None:
    assert store.accept(a_webhook(odd, type=odd, account=odd)) is True

    assert store.accept(a_webhook(odd)) is False
    with store.reading() as tx:
        assert inbox.find(tx, odd) is not None


def test_fresh_rows_come_in_the_order_of_arrival(store: Store) -> None:
    stored(store, "evt_3", "evt_1", "evt_2")

    with store.reading() as tx:
        fresh = inbox.unrouted(tx, 2, NOON)

    assert [row.event_id for row in fresh] == ["evt_3", "evt_1"]


def test_a_failed_row_comes_back_when_its_time_has_come(store: Store) -> None:
    first, second = stored(store, "evt_1", "evt_2")
    with store.transaction() as tx:
        inbox.fail(tx, first, "no such price", NOON + HOUR)
        inbox.fail(tx, second, "hopeless", None)

    with store.reading() as tx:
        before = inbox.unrouted(tx, 10, NOON + HOUR - timedelta(seconds=1))
        after = inbox.unrouted(tx, 10, NOON + HOUR)

    assert before == []
    assert [(row.event_id, row.attempts, row.reason) for row in after] == [("evt_1", 1, "no such price")]


def test_an_assigned_row_waits_with_its_stream(store: Store) -> None:
    first, second, third = stored(store, "evt_1", "evt_2", "evt_3")

    with store.transaction() as tx:
        inbox.assign(tx, [(first, ANNA), (second, BERT), (third, ANNA)])

    with store.reading() as tx:
        assert [row.id for row in inbox.of_stream(tx, ANNA)] == [first, third]
        assert [row.id for row in inbox.of_streams(tx, [BERT, ANNA])] == [first, second, third]
        assert inbox.unrouted(tx, 10, NOON) == []


def test_settled_rows_are_read_only_when_asked_for(store: Store) -> None:
    first, second = stored(store, "evt_1", "evt_2")
    with store.transaction() as tx:
        inbox.assign(tx, [(first, ANNA), (second, ANNA)])
        inbox.mark_settled(tx, [(first, 2, ["estimated"])], NOON)

    with store.reading() as tx:
        waiting = inbox.of_stream(tx, ANNA)
        everything = inbox.of_stream(tx, ANNA, tuple(InboxStatus))

    assert [row.id for row in waiting] == [second]
    assert [(row.status, row.revenue_event_count, row.reason) for row in everything] == [
        ("settled", 2, "estimated"),
        ("waiting", 0, None),
    ]


def test_counts_add_up_to_all_that_arrived(store: Store) -> None:
    first, second, third, _ = stored(store, "evt_1", "evt_2", "evt_3", "evt_4")
    store.accept(a_webhook("evt_1", source="second"))

    with store.transaction() as tx:
        inbox.ignore(tx, [(first, "not wanted")], NOON)
        inbox.fail(tx, second, "broken", None)
        inbox.assign(tx, [(third, ANNA)])

    with store.reading() as tx:
        assert inbox.counts(tx) == {
            ("stripe", InboxStatus.IGNORED): 1,
            ("stripe", InboxStatus.FAILED): 1,
            ("stripe", InboxStatus.WAITING): 1,
            ("stripe", InboxStatus.RECEIVED): 1,
            ("second", InboxStatus.RECEIVED): 1,
        }


def test_lists_show_the_newest_first_page_by_page(store: Store) -> None:
    ids = stored(store, *(f"evt_{n}" for n in range(5)))
    with store.transaction() as tx:
        inbox.ignore(tx, [(ids[0], "not wanted"), (ids[3], "not wanted")], NOON)

    with store.reading() as tx:
        page = inbox.listing(tx, limit=2)
        following = inbox.listing(tx, limit=2, before_id=page[-1].id)
        ignored = inbox.listing(tx, status=InboxStatus.IGNORED)
        of_source = inbox.listing(tx, source="stripe", limit=3)
        of_both = inbox.listing(tx, status=InboxStatus.IGNORED, source="stripe", before_id=ids[3])

    assert [row.event_id for row in page] == ["evt_4", "evt_3"]
    assert [row.event_id for row in following] == ["evt_2", "evt_1"]
    assert [row.event_id for row in ignored] == ["evt_3", "evt_0"]
    assert [row.event_id for row in of_source] == ["evt_4", "evt_3", "evt_2"]
    assert [row.event_id for row in of_both] == ["evt_0"]
    assert all(row.body is None for row in page)


def test_the_oldest_failed_is_the_first_that_has_not_been_retried(store: Store) -> None:
    for minute, event_id in enumerate(("evt_1", "evt_2", "evt_3")):
        store.accept(a_webhook(event_id, received_at=NOON + minute * MINUTE))
    first, second, _ = stored(store, "evt_1", "evt_2", "evt_3")
    with store.transaction() as tx:
        inbox.mark_settled(tx, [(first, 1, ())], NOON)
        inbox.fail(tx, second, "broken", None)

    with store.reading() as tx:
        assert inbox.oldest_failed(tx) == NOON + MINUTE


def test_a_replayed_row_starts_again(store: Store) -> None:
    (row_id,) = stored(store, "evt_1")
    with store.transaction() as tx:
        inbox.assign(tx, [(row_id, ANNA)])
        inbox.mark_settled(tx, [(row_id, 1, ())], NOON)

    with store.transaction() as tx:
        replayed = inbox.replay(tx, [row_id, 999])

    assert replayed == 1
    with store.reading() as tx:
        (row,) = inbox.unrouted(tx, 10, NOON)
    assert (row.event_id, row.stream_id, row.reason) == ("evt_1", None, None)


def test_only_bodies_that_have_served_are_purged_and_their_rows_stay(store: Store) -> None:
    old, ignored, recent, _ = stored(store, "evt_old", "evt_ignored", "evt_recent", "evt_waiting")
    with store.transaction() as tx:
        inbox.mark_settled(tx, [(old, 1, ())], NOON - HOUR)
        inbox.ignore(tx, [(ignored, "not wanted")], NOON - HOUR)
        inbox.mark_settled(tx, [(recent, 1, ())], NOON + HOUR)

    with store.transaction() as tx:
        first = inbox.purge(tx, NOON, 1)
        rest = inbox.purge(tx, NOON, 10, first.after or 0)
        none = inbox.purge(tx, NOON, 10)

    assert (first, rest, none) == (Purged(count=1, after=old), Purged(count=1, after=None), Purged(count=0, after=None))
    with store.reading() as tx:
        bodies = {event_id: inbox.find(tx, event_id).body is not None for event_id in statuses(store)}  # type: ignore[union-attr]
    assert bodies == {"evt_old": False, "evt_ignored": False, "evt_recent": True, "evt_waiting": True}
    assert store.accept(a_webhook("evt_old")) is False


def test_what_has_not_served_keeps_nothing_behind_it_from_being_purged(store: Store) -> None:
    _, waiting, old = stored(store, "evt_1", "evt_2", "evt_3")
    with store.transaction() as tx:
        inbox.mark_settled(tx, [(old, 1, ())], NOON - HOUR)

    with store.transaction() as tx:
        first = inbox.purge(tx, NOON, 2)
        second = inbox.purge(tx, NOON, 2, first.after or 0)

    assert (first, second) == (Purged(count=0, after=waiting), Purged(count=1, after=None))


def test_what_came_later_is_not_even_looked_at(store: Store) -> None:
    stored(store, "evt_1", "evt_2")

    with store.transaction() as tx:
        assert inbox.purge(tx, NOON - HOUR, 1) == Purged(count=0, after=None)


def test_a_purged_row_cannot_be_replayed(store: Store) -> None:
    (row_id,) = stored(store, "evt_1")
    with store.transaction() as tx:
        inbox.mark_settled(tx, [(row_id, 1, ())], NOON - HOUR)
        inbox.purge(tx, NOON, 10)

    with store.transaction() as tx:
        assert inbox.replay(tx, [row_id]) == 0

    assert statuses(store) == {"evt_1": InboxStatus.SETTLED}


def test_a_reason_of_any_length_is_kept_short(store: Store) -> None:
    (row_id,) = stored(store, "evt_1")

    with store.transaction() as tx:
        inbox.fail(tx, row_id, "x\x00" * 100_000, None)

    with store.reading() as tx:
        row = inbox.find(tx, "evt_1", "stripe")
    assert row is not None
    assert row.reason is not None
    assert len(row.reason) == 1000


def test_merging_takes_the_rows_along(store: Store) -> None:
    first, second = stored(store, "evt_1", "evt_2")
    nobody = f"{SCOPE}|~pi_1"
    with store.transaction() as tx:
        streams.upsert(tx, [an_update(nobody, has_customer=False)])
        inbox.assign(tx, [(first, nobody), (second, nobody)])
        streams.merge(tx, nobody, ANNA, NOON, since=NOON + MINUTE)

    with store.reading() as tx:
        assert [(row.id, row.waiting_since) for row in inbox.of_stream(tx, ANNA)] == [
            (first, NOON + MINUTE),
            (second, NOON + MINUTE),
        ]
        assert inbox.of_stream(tx, nobody) == []
