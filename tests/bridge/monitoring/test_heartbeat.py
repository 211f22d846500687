"""A worker runs as long as its latest heartbeat is not older than a minute."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.store import Store, leases
from tests.bridge.store.builders import NOON


@pytest.mark.parametrize(("age", "alive"), [(0, True), (60, True), (61, False)])
def test_a_worker_whose_heartbeat_is_older_than_a_minute_does_not_run(age: int, alive: bool) -> None:
    assert is_worker_alive(NOON - timedelta(seconds=age), NOON) is alive


def test_without_a_heartbeat_no_worker_runs() -> None:
    assert is_worker_alive(None, NOON) is False


def test_of_several_workers_the_latest_heartbeat_counts(sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        before = latest_heartbeat(tx)
        leases.heartbeat(tx, "early", NOON - timedelta(hours=3))
        leases.heartbeat(tx, "late", NOON)

        assert (before, latest_heartbeat(tx)) == (None, NOON)
