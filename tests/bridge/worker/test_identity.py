"""A killed worker is known to have ended; about workers of other machines nothing is known."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.store import Store, leases, outbox, streams
from bridge.store.outbox import DeliveryStatus, NewDelivery
from bridge.worker import identity, loop
from tests.bridge.store.builders import NOON
from tests.settings import some_settings


@pytest.fixture
def ended() -> str:
    """The name of a worker of this machine that has ended."""
    host, _, space = identity.own_name().split(":")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{host}:{process.pid}:{space}"


def test_a_process_of_this_machine_that_is_gone_has_ended(ended: str) -> None:
    assert identity.has_ended(ended) is True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_process_that_ended_and_was_not_looked_after_has_ended() -> None:
    host, _, space = identity.own_name().split(":")
    process = subprocess.Popen([sys.executable, "-c", ""])

    while not identity.has_ended(f"{host}:{process.pid}:{space}"):
        time.sleep(0.01)

    assert process.wait() == 0


def test_this_process_has_not_ended() -> None:
    assert identity.has_ended(identity.own_name()) is False


@pytest.mark.parametrize("change", ["another-host:{pid}:{space}", "{host}:{pid}:00000000", "{host}:{pid}", "worker"])
def test_of_another_machine_or_container_nothing_is_known(ended: str, change: str) -> None:
    host, pid, space = ended.split(":")

    assert identity.has_ended(change.format(host=host, pid=pid, space=space)) is False


def test_what_an_ended_worker_had_in_hand_goes_on_at_once(store: Store, database_url: str, ended: str) -> None:
    _claim_everything(store, ended)

    worker = loop.Worker(store=store, settings=some_settings(database_url), owner="successor")
    worker.heartbeat(NOON)

    with store.transaction() as tx:
        assert leases.acquire(tx, "router", "successor", NOON, NOON + timedelta(minutes=1)) is True
        assert [claim.stream_id for claim in streams.claim_due(tx, NOON, 10, "successor", NOON)] == ["s"]
        assert [found.output_key for found in outbox.claim(tx, NOON, 10, "successor", NOON)] == ["payment:pi_1"]


def test_what_the_database_ends_after_its_worker_is_gone_is_taken_over_too(
    store: Store, database_url: str, ended: str
) -> None:
    worker = loop.Worker(store=store, settings=some_settings(database_url), owner="successor")
    with store.transaction() as tx:
        leases.heartbeat(tx, ended, NOON)
    worker.heartbeat(NOON)
    _claim_everything(store, ended)

    worker.heartbeat(NOON + loop.HEARTBEAT_INTERVAL)

    with store.transaction() as tx:
        assert len(streams.claim_due(tx, NOON, 10, "successor", NOON)) == 1


def test_an_ended_worker_is_forgotten_when_no_lease_of_its_can_be_left(
    store: Store, database_url: str, ended: str
) -> None:
    worker = loop.Worker(store=store, settings=some_settings(database_url), owner="successor")
    with store.transaction() as tx:
        leases.heartbeat(tx, ended, NOON)

    worker.heartbeat(NOON + timedelta(minutes=4))
    with store.reading() as tx:
        soon = set(leases.heartbeats(tx))
    worker.heartbeat(NOON + timedelta(minutes=6))

    with store.reading() as tx:
        assert (soon, set(leases.heartbeats(tx))) == ({"successor", ended}, {"successor"})


def test_a_worker_is_seen_although_the_clock_was_put_back(store: Store, database_url: str) -> None:
    worker = loop.Worker(store=store, settings=some_settings(database_url), owner="w")
    worker.heartbeat(NOON)

    worker.heartbeat(NOON - timedelta(hours=1))

    with store.reading() as tx:
        assert leases.heartbeats(tx) == {"w": NOON - timedelta(hours=1)}


def test_what_a_living_worker_has_in_hand_stays_its_own(store: Store, database_url: str) -> None:
    _claim_everything(store, identity.own_name())

    worker = loop.Worker(store=store, settings=some_settings(database_url), owner="successor")
    worker.heartbeat(NOON)

    with store.transaction() as tx:
        assert leases.acquire(tx, "router", "successor", NOON, NOON + timedelta(minutes=1)) is False
        assert streams.claim_due(tx, NOON, 10, "successor", NOON) == []
        assert outbox.claim(tx, NOON, 10, "successor", NOON) == []


def test_a_worker_that_stops_leaves_nothing_under_lease(store: Store, database_url: str) -> None:
    _claim_everything(store, "leaver")

    loop.Worker(store=store, settings=some_settings(database_url), owner="leaver").release()

    with store.transaction() as tx:
        assert leases.acquire(tx, "router", "successor", NOON, NOON + timedelta(minutes=1)) is True
        assert len(streams.claim_due(tx, NOON, 10, "successor", NOON)) == 1
        assert len(outbox.claim(tx, NOON, 10, "successor", NOON)) == 1
        assert leases.heartbeats(tx) == {}


def _claim_everything(store: Store, owner: str) -> None:
    """A router lease, a claimed stream and a claimed delivery, all until long after noon."""
    later = NOON + timedelta(hours=1)
    delivery = NewDelivery(
        stream_id="s", scope="stripe||live", source="stripe", livemode=True, output_key="payment:pi_1",
        status=DeliveryStatus.PENDING, body="{}", next_at=NOON, created_at=NOON, event_type="purchase",
        currency="EUR", amount=Decimal("1.00"),
    )  # fmt: skip
    with store.transaction() as tx:
        leases.heartbeat(tx, owner, NOON)
        leases.acquire(tx, "router", owner, NOON, later)
        streams.upsert(
            tx, [streams.StreamUpdate(stream_id="s", scope="stripe||live", has_customer=True, at=NOON, due_at=NOON)]
        )
        outbox.add(tx, [delivery])
        assert streams.claim_due(tx, NOON, 10, owner, later)
        assert outbox.claim(tx, NOON, 10, owner, later)
