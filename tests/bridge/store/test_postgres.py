"""A server that fails or cannot be reached is reported within four seconds, and used again when it is back."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import count
from threading import Barrier, Event

import pytest
from sqlalchemy import text

from bridge.errors import Deadlock, StoreUnavailable
from bridge.store import Store, leases, open_store, outbox
from bridge.store.outbox import NewDelivery
from bridge.worker.summing import Summing
from tests.bridge.store.builders import NOON, SCOPE, SOON, a_delivery, a_webhook, added, an_outcome, claimed


@pytest.fixture
def store(postgresql_url: str) -> Iterator[Store]:
    store = open_store(postgresql_url)
    yield store
    store.close()


def test_a_locked_table_is_reported_in_time_and_has_no_effect_afterwards(store: Store) -> None:
    began = time.monotonic()

    with store.transaction() as tx:
        tx.execute(text("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable):
            store.accept(a_webhook())

    assert time.monotonic() - began < SOON
    assert store.accept(a_webhook()) is True


def test_of_two_that_drop_the_sums_of_two_days_in_opposite_order_one_is_undone_and_repeated(
    store: Store,
) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [_days_ago(5), _days_ago(6)])
    assert Summing(store=store).run(NOON) == 5
    both_began = Barrier(2)

    def add(first: int, second: int) -> int:
        deliveries = [_days_ago(first, f"{first} before {second}"), _days_ago(second, f"{second} after {first}")]
        for undone in count():
            with suppress(Deadlock), store.transaction() as tx:
                outbox.add(tx, deliveries[:1])
                if not undone:
                    both_began.wait(10)
                outbox.add(tx, deliveries[1:])
                return undone
        raise AssertionError("never written")

    with ThreadPoolExecutor(2) as writers:
        undone = list(writers.map(add, (5, 6), (6, 5)))

    assert 1 <= sum(undone) <= 5  # a repetition can come before the other one goes on, and meet it again
    with store.reading() as tx:
        assert tx.execute(text("SELECT count(*) FROM outbox")).scalar() == 6
        assert tx.execute(text("SELECT count(*) FROM summed_days")).scalar() == 3  # 5, less the two days


def _days_ago(days: int, key: str = "first") -> NewDelivery:
    at = (NOON - timedelta(days=days)).isoformat()
    customer = f"{SCOPE}|{days} {key}"
    return a_delivery(f"{days} {key}", stream_id=customer, body=json.dumps({"metadata": {"occurred_at": at}}))


def test_an_event_added_while_its_customers_earlier_ones_are_recorded_is_sent(store: Store) -> None:
    first, second = added(store, a_delivery("first"), a_delivery("second"))
    is_added, may_commit = Event(), Event()

    def add_third() -> None:
        with store.transaction() as tx:
            outbox.add(tx, [a_delivery("third")])
            is_added.set()
            assert may_commit.wait(10)

    def record_second() -> None:
        with store.transaction() as tx:
            outbox.record(tx, [an_outcome(second)])

    with ThreadPoolExecutor(2) as others:
        with store.transaction() as tx:
            outbox.record(tx, [an_outcome(first)])
            adding = others.submit(add_third)
            _await_a_waiting_connection(store)  # for the head, which is no longer the head afterwards
        assert is_added.wait(10)
        recording = others.submit(record_second)
        _await_a_waiting_connection(store, recording)
        may_commit.set()
        adding.result(10)
        recording.result(10)

    assert len(claimed(store)) == 1


def _await_a_waiting_connection(store: Store, or_end: Future[None] | None = None) -> None:
    until = time.monotonic() + 3
    while not (or_end and or_end.done()):
        with store.reading() as tx:
            waiting = tx.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one()
        if waiting:
            return
        assert time.monotonic() < until
        time.sleep(0.01)


def test_connections_that_died_are_replaced_unnoticed(store: Store) -> None:
    store.accept(a_webhook("evt_1"))
    with store.transaction() as tx:
        tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    assert store.accept(a_webhook("evt_2")) is True
    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)


def test_a_connection_that_is_lost_within_a_transaction_raises(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.transaction() as tx:
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)


def test_a_server_that_refuses_is_reported_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = open_store(f"postgresql://user:secret@127.0.0.1:{port}/bridge")

    with pytest.raises(StoreUnavailable) as refusal:
        store.accept(a_webhook())

    assert "secret" not in str(refusal.value)
    store.close()


def test_a_server_that_never_responds_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"postgresql://user@127.0.0.1:{silent.getsockname()[1]}/bridge")
        began = time.monotonic()

        with pytest.raises(StoreUnavailable):
            store.accept(a_webhook())

        assert time.monotonic() - began < SOON
        store.close()
