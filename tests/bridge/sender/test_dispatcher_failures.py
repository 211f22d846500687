"""A dispatcher that is closed, killed, broken or slow loses no event, and repeats only those in flight."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.sender.destinations import Destination
from bridge.sender.http_client import HttpClient, Response
from bridge.store import Store, outbox, rate_limit
from bridge.store.outbox import DeliveryStatus
from tests.bridge.sender.rounds import MINUTE, NOW, SECOND, MakeDispatcher, an_event, keys, put, rounds, rows
from tests.fake_pulsora import Reply, ScriptedPulsora

ROOT = Path(__file__).resolve().parents[3]

DRAINING = """
import sys
from datetime import UTC, datetime
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.store import open_store

destinations = {"stripe": Destination(endpoint=sys.argv[2], token="sec_test_fake")}
dispatcher = Dispatcher(open_store(sys.argv[1]), destinations, owner="test:killed", threads=4, per_hour=0)
while True:
    dispatcher.run_round(datetime(2025, 3, 1, 12, tzinfo=UTC))
"""


@pytest.fixture(name="store")
def _store(sqlite_store: Store) -> Store:
    return sqlite_store


def test_closing_records_what_was_on_its_way_and_sends_nothing_more(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1, client=HttpClient())
    pulsora.rule = lambda data: Reply(delay_seconds=0.5)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(3)))
    report = dispatcher.run_round(NOW)

    dispatcher.close()

    statuses = Counter(row.status for row in rows(store).values())
    assert report.in_flight == 3
    assert statuses == {DeliveryStatus.DELIVERED: 1, DeliveryStatus.PENDING: 2}
    assert all(row.next_at <= NOW + 2 * SECOND for row in rows(store).values() if row.status == "pending")  # no lease
    assert len(pulsora.received) == 1


def test_what_waits_too_long_for_a_thread_is_unclaimed(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sender.pool.MAX_WAIT", 0.1 * SECOND)
    dispatcher = make_dispatcher(threads=1, per_hour=100, client=HttpClient())
    pulsora.script(Reply(delay_seconds=0.4))
    put(store, an_event("in_1"), an_event("in_2", "cus_2"))

    rounds(dispatcher)
    given_back = rows(store)["in_2"]
    rounds(dispatcher, NOW + SECOND)

    assert (given_back.status, given_back.attempts) == (DeliveryStatus.PENDING, 0)
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert {row.attempts for row in rows(store).values()} == {1}
    with store.reading() as tx:
        assert rate_limit.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW + SECOND) == 2


def test_a_fault_of_ours_costs_an_attempt_and_no_thread(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1, client=FaultyClient())
    put(store, an_event("in_1"), an_event("in_2", "cus_2"))

    rounds(dispatcher)

    assert {row.last_error for row in rows(store).values()} == {"no response: unexpected ZeroDivisionError"}
    assert {row.attempts for row in rows(store).values()} == {1}


def test_a_store_that_fails_after_the_answer_does_not_lose_it(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    faults = FailingStore(store)
    dispatcher = make_dispatcher(store=faults)
    put(store, an_event("in_1"))
    faults.fails_at = 2  # the claim succeeds, the record fails

    with pytest.raises(RuntimeError):
        dispatcher.run_round(NOW)
    dispatcher.run_round(NOW + SECOND)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert len(pulsora.received) == 1


def test_a_claim_that_dies_with_its_process_is_sent_again_when_its_lease_is_over(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1"))
    with store.transaction() as tx:
        outbox.claim(tx, NOW, 10, "test:dead", NOW + 3 * MINUTE, [])
    dispatcher = make_dispatcher()

    rounds(dispatcher, NOW + 2 * MINUTE)
    early = keys(pulsora)
    rounds(dispatcher, NOW + 3 * MINUTE)

    assert early == []
    assert keys(pulsora) == ["in_1"]


def test_a_killed_process_loses_nothing_and_repeats_only_what_it_had_in_hand(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora, tmp_path: Path
) -> None:
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(400)))
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    process = subprocess.Popen([sys.executable, "-c", DRAINING, url, pulsora.endpoint], cwd=ROOT)
    while len(pulsora.accepted) < 100:
        assert process.poll() is None
        time.sleep(0.01)

    process.kill()
    process.wait()
    rounds(make_dispatcher(), NOW + 4 * MINUTE)

    sent = Counter(data["transaction_id"] for data in pulsora.accepted)
    assert len(sent) == 400
    assert max(sent.values()) <= 2
    assert sent.total() - 400 <= 4 * 8  # threads, and events in hand of each


def test_no_transaction_is_open_while_an_answer_is_waited_for(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(client=HttpClient())
    is_asked, may_answer = threading.Event(), threading.Event()

    def answer(_: Mapping[str, Any]) -> None:
        is_asked.set()
        assert may_answer.wait(30)

    pulsora.rule = answer
    put(store, an_event("in_1"))
    turning = threading.Thread(target=rounds, args=(dispatcher,))
    turning.start()
    assert is_asked.wait(30)

    put(store, an_event("in_2", "cus_2"))  # StoreUnavailable after four seconds, while another transaction is open
    may_answer.set()
    turning.join()

    assert keys(pulsora).count("in_1") == 1


class FailingStore:
    """A store whose n-th transaction from now fails at its beginning."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fails_at = 0

    def transaction(self) -> Any:
        self.fails_at -= 1
        if self.fails_at == 0:
            raise RuntimeError("the disk is full")
        return self._store.transaction()

    def reading(self) -> Any:
        return self._store.reading()


class FaultyClient(HttpClient):
    """A client with a bug."""

    def post(self, endpoint: str, token: str, body: bytes) -> Response:
        raise ZeroDivisionError(token)
