"""Trouble with the server or the way to it: told within four seconds, and over when its cause is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from bridge.errors import StoreUnavailable
from bridge.store import Store, leases, open_store
from tests.bridge.store.builders import NOON, a_webhook


@pytest.fixture
def store(postgresql_url: str) -> Iterator[Store]:
    store = open_store(postgresql_url)
    yield store
    store.close()


def test_a_locked_table_is_told_in_time_and_forgotten_afterwards(store: Store) -> None:
    began = time.monotonic()

    with store.transaction() as tx:
        tx.execute(text("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable):
            store.accept(a_webhook())

    assert time.monotonic() - began < 4
    assert store.accept(a_webhook()) is True


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


def test_a_connection_that_dies_at_work_is_told(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.transaction() as tx:
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)


def test_a_server_that_refuses_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = open_store(f"postgresql://user:secret@127.0.0.1:{port}/bridge")

    with pytest.raises(StoreUnavailable) as refusal:
        store.accept(a_webhook())

    assert "secret" not in str(refusal.value)
    store.close()


def test_a_server_that_never_answers_is_told_within_four_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"postgresql://user@127.0.0.1:{silent.getsockname()[1]}/bridge")
        began = time.monotonic()

        with pytest.raises(StoreUnavailable):
            store.accept(a_webhook())

        assert time.monotonic() - began < 4
        store.close()
