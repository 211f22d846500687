"""What every store promises, whichever database it is."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bridge.errors import StoreUnavailable, UsageError
from bridge.store import Store, inbox, leases, open_store, outbox
from bridge.store.inbox import InboxStatus
from tests.bridge.store.builders import NOON, SOON, a_webhook, an_outcome, statuses, stored
from tests.bridge.store.processes import ended, started


def test_an_acknowledged_event_is_there_for_everybody(store: Store, database_url: str) -> None:
    store.accept(a_webhook("evt_1"))

    other = open_store(database_url)
    assert statuses(other) == {"evt_1": InboxStatus.RECEIVED}
    assert other.accept(a_webhook("evt_1")) is False
    other.close()


def test_each_of_many_threads_gets_its_own_result(store: Store) -> None:
    results: dict[str, bool] = {}

    def send(event_id: str, name: str) -> None:
        results[name] = store.accept(a_webhook(event_id))

    threads = [threading.Thread(target=send, args=(f"evt_{n % 20}", f"{n}")) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 60
    assert sum(results.values()) == 20
    assert len(statuses(store)) == 20


def test_what_goes_wrong_inside_a_transaction_undoes_all_of_it(store: Store) -> None:
    (row_id,) = stored(store, "evt_1")

    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        inbox.ignore(tx, [(row_id, str(1 / 0))], NOON)

    with pytest.raises(IntegrityError), store.transaction() as tx:
        _break_a_rule(tx, row_id)
    assert statuses(store) == {"evt_1": InboxStatus.RECEIVED}


def _break_a_rule(tx: object, row_id: int) -> None:
    inbox.ignore(tx, [(row_id, "gone")], NOON)  # type: ignore[arg-type]
    tx.execute(text("INSERT INTO inbox (id) VALUES (1)"))  # type: ignore[attr-defined]


def test_a_reader_sees_nothing_uncommitted(store: Store) -> None:
    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)
        with store.reading() as other:
            assert leases.heartbeats(other) == {}


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.reading() as tx:
        leases.heartbeat(tx, "worker", NOON)


def test_a_closed_store_opens_again_by_itself(store: Store) -> None:
    store.accept(a_webhook("evt_1"))

    store.close()
    store.close()

    assert store.accept(a_webhook("evt_2")) is True
    assert set(statuses(store)) == {"evt_1", "evt_2"}


def test_a_process_that_forks_shares_nothing_with_its_child(store: Store, database_url: str) -> None:
    lines = ended(started("fork", database_url))

    assert lines == ["['evt_child', 'evt_parent', 'evt_parent_again'] True"]


def test_four_processes_store_and_work_at_once(store: Store, database_url: str) -> None:
    accepting = started("accept", database_url, "a0,a1", threads=4, count=12)
    working = started("work", database_url, "w0,w1", threads=4, count=12)

    acknowledged = ended(accepting)
    ended(working)

    assert len(set(acknowledged)) == 96  # 2 x 4 x 12
    with store.reading() as tx:
        rows = inbox.listing(tx, limit=1000)
        assert {row.event_id for row in rows} == set(acknowledged)
        if store.dialect == "sqlite":
            assert tx.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]


def test_what_was_acknowledged_survives_a_kill(store: Store, database_url: str) -> None:
    process = started("accept", database_url, threads=4, count=100_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(40)]

    process.kill()

    acknowledged += process.stdout.read().split("\n")[:-1]
    process.communicate()
    with store.reading() as tx:
        assert [event_id for event_id in acknowledged if inbox.find(tx, event_id) is None] == []
    assert store.accept(a_webhook("evt_after")) is True


def test_processes_that_settle_and_send_the_same_customers_lose_and_double_nothing(
    store: Store, database_url: str
) -> None:
    sent = [int(line) for line in ended(started("race", database_url, "p0,p1,p2", threads=2, count=12))]

    far_off = NOON + timedelta(days=9999)
    with store.transaction() as tx:
        while last := outbox.claim(tx, far_off, 100, "last", far_off):
            outbox.record(tx, [an_outcome(delivery.id) for delivery in last])
            sent += [delivery.id for delivery in last]

    with store.reading() as tx:
        everything = outbox.listing(tx, limit=100_000)
    assert {delivery.status for delivery in everything} == {outbox.DeliveryStatus.DELIVERED}
    assert sorted(sent) == sorted(delivery.id for delivery in everything)


def test_processes_together_never_take_more_than_the_budget(store: Store, database_url: str) -> None:
    granted = sum(int(line) for line in ended(started("rate_limit", database_url, "p0,p1,p2", threads=2, count=5)))

    assert granted == 50


def test_a_missing_database_is_reported_in_time_with_a_time_to_retry(store: Store, database_url: str) -> None:
    store.close()
    missing = open_store(database_url.replace("/bridge", "/nowhere_bridge"))

    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as refusal:
        missing.accept(a_webhook())

    assert time.monotonic() - began < SOON
    assert refusal.value.retry_after_seconds > 0
    with pytest.raises(StoreUnavailable):
        missing.schema_fits()
    missing.close()


def test_what_a_store_is_can_be_described(store: Store) -> None:
    facts = store.describe()

    assert facts["dialect"] == store.dialect
    assert {"version", "path", "bytes"} <= set(facts)


@pytest.mark.parametrize(
    "url", ["", "bridge.db", "sqlite://", "sqlite:///:memory:", "mysql://localhost/bridge", "://", "postgres"]
)
def test_a_url_that_cannot_work_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match="DATABASE_URL"):
        open_store(url)


def test_postgres_may_be_spelt_the_old_way() -> None:
    assert open_store("postgres://localhost/bridge").dialect == "postgresql"
    assert open_store("postgresql+psycopg://localhost/bridge").dialect == "postgresql"
