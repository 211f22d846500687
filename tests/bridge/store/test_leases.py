"""What only one may do is done by one; who has been silent for long is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.store import Store, leases
from tests.bridge.store.builders import HOUR, MINUTE, NOON


def acquired(store: Store, owner: str, now: datetime) -> bool:
    with store.transaction() as tx:
        return leases.acquire(tx, "router", owner, now, now + MINUTE)


def test_a_lease_is_one_owners_until_it_runs_out(store: Store) -> None:
    answers = [
        acquired(store, "a", NOON),
        acquired(store, "b", NOON),
        acquired(store, "a", NOON + MINUTE / 2),
        acquired(store, "b", NOON + MINUTE),
        acquired(store, "b", NOON + 2 * MINUTE),
    ]

    assert answers == [True, False, True, False, True]


def test_a_lease_that_is_given_up_is_free(store: Store) -> None:
    acquired(store, "a", NOON)

    with store.transaction() as tx:
        leases.release_all(tx, "b")
    assert acquired(store, "b", NOON) is False
    with store.transaction() as tx:
        leases.release_all(tx, "a")

    assert acquired(store, "b", NOON) is True


def test_whether_another_has_a_lease_is_read_without_waiting_for_its_transaction(store: Store) -> None:
    acquired(store, "a", NOON)
    answers = []
    with store.transaction() as extending:
        leases.acquire(extending, "router", "a", NOON, NOON + 2 * MINUTE)
        for owner, now in (("b", NOON), ("a", NOON), ("b", NOON + MINUTE)):
            with store.reading() as tx:
                answers.append(leases.is_held_elsewhere(tx, "router", owner, now))

    assert answers == [True, False, False]


def test_workers_that_beat_are_known_for_a_day(store: Store) -> None:
    with store.transaction() as tx:
        leases.heartbeat(tx, "a", NOON)
        leases.heartbeat(tx, "b", NOON + HOUR)
        leases.heartbeat(tx, "b", NOON + 2 * HOUR)
        assert leases.heartbeats(tx) == {"a": NOON, "b": NOON + 2 * HOUR}

        leases.heartbeat(tx, "b", NOON + timedelta(days=1, minutes=1))

        assert set(leases.heartbeats(tx)) == {"b"}
