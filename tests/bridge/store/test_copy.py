"""A store moves from one database to another, whole, to the last cent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.errors import SchemaMismatch, UsageError
from bridge.store import (
    Store,
    alerts,
    arrivals,
    attempts,
    audits,
    catalog,
    copy,
    erasures,
    inbox,
    leases,
    open_store,
    outbox,
    pauses,
    rate_limit,
    reconciliations,
    refusals,
    rejected_visits,
    streams,
    subscriptions,
    totals,
)
from bridge.store.alerts import AlertState
from bridge.store.arrivals import Arrivals
from bridge.store.inbox import InboxStatus
from bridge.store.reconciliations import Run
from bridge.store.refusals import Refusals
from bridge.store.rejected_visits import RejectedVisits
from bridge.store.streams import SettledStream
from tests.bridge.store.builders import (
    ANNA,
    HOUR,
    NOON,
    SCOPE,
    a_delivery,
    a_differing_row,
    a_subscription_row,
    a_webhook,
    added,
    an_attempt,
    an_audit,
    an_update,
    stored,
    updated,
)

Open = Callable[[str], Store]


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens further stores, each empty and migrated."""
    stores: list[Store] = []

    def another(dialect: str) -> Store:
        number = len(stores)
        url = f"sqlite:///{tmp_path}/{number}.db" if dialect == "sqlite" else request.getfixturevalue("postgres").new()
        stores.append(open_store(url))
        stores[-1].migrate()
        return stores[-1]

    yield another
    for store in stores:
        store.close()


def filled(store: Store) -> None:
    """Puts something into every table."""
    first, second, _ = stored(store, "evt_1", "evt_2", "evt_\x00é")
    updated(store, an_update())
    added(store, a_delivery("k1", amount=Decimal("0.10")), a_delivery("k2", mrr_impact=None))
    with store.transaction() as tx:
        inbox.assign(tx, [(first, ANNA)])
        inbox.mark_settled(tx, [(second, 2, ["a note", "another; \x00é"])], NOON)
        (claim,) = streams.claim_due(tx, NOON + HOUR, 1, "worker", NOON + HOUR)
        streams.save(tx, [SettledStream(claim=claim, state='{"state": "é"}')], NOON)
        streams.link(tx, SCOPE, {f"pi_{n}": ANNA for n in range(2500)})
        catalog.upsert(tx, SCOPE, [("price", "x", "{}")])
        rate_limit.reserve(tx, "pulsora", NOON, 5, 2000)
        pauses.pause(tx, "pulsora", NOON + HOUR, "401", probing=True, now=NOON)
        leases.acquire(tx, "router", "worker", NOON, NOON + HOUR)
        leases.heartbeat(tx, "worker", NOON)
        attempts.add(tx, [an_attempt(1)])
        refusals.add(tx, [Refusals(source="stripe", cause="unreadable", hour=NOON, count=1, last_at=NOON)], NOON)
        rejected = RejectedVisits(source="stripe", cause="session_id is null", count=1, last_at=NOON, event_id="evt_1")
        rejected_visits.add(tx, [rejected])
        subscriptions.save(tx, [a_subscription_row()])
        arrivals.add(tx, [Arrivals(source="stripe", hour=NOON, count=1, last_at=NOON)], NOON)
        run = Run(source="stripe", at=NOON, since=NOON, until=NOON, reason="schedule", listed=1, stored=0)
        reconciliations.add(tx, run)
        alerts.save(tx, [AlertState(cause="silent", since=NOON, subjects=("stripe",))])
        audits.add(tx, an_audit(), [a_differing_row()])
        erasures.create_pseudonyms(tx)
        erasures.add_receipt(tx, "{}", NOON)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_everything_arrives_and_the_work_goes_on(store: Store, opened: Open, target: str) -> None:
    filled(store)
    other = opened(target)
    reported: list[tuple[str, int, int]] = []

    counts = copy.copy_store(store, other, lambda *progress: reported.append(progress))

    assert set(counts) == {
        "inbox", "bodies", "streams", "states", "links", "outbox", "catalog", "rate_limit", "pauses", "leases",
        "worker_heartbeats", "attempts", "refused_webhooks", "rejected_visits", "subscriptions", "arrivals",
        "reconciliations", "alerts", "audits", "audit_rows", "erasure_key", "erasures",
    }  # fmt: skip
    assert min(counts.values()) >= 1
    assert [progress for progress in reported if progress[0] == "links"] == [
        ("links", 1000, 2500),
        ("links", 2000, 2500),
        ("links", 2500, 2500),
    ]
    with store.reading() as old, other.reading() as new:
        assert inbox.listing(new) == inbox.listing(old)
        assert outbox.listing(new) == outbox.listing(old)
        assert totals.sums(new) == totals.sums(old)
        assert streams.find(new, [ANNA]) == streams.find(old, [ANNA])
        assert inbox.find(new, "evt_1") == inbox.find(old, "evt_1")
        assert rate_limit.used(new, "pulsora", NOON) == 5


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_what_arrives_after_a_copy_is_stored_with_what_was_copied(store: Store, opened: Open, target: str) -> None:
    filled(store)
    other = opened(target)
    copy.copy_store(store, other)

    assert other.accept(a_webhook("evt_1")) is False
    assert other.accept(a_webhook("evt_new")) is True

    with other.transaction() as tx:
        assert outbox.add(tx, [a_delivery("k3")]) == 1
        assert inbox.counts(tx)["stripe", InboxStatus.RECEIVED] == 2
        assert [one.output_key for one in outbox.claim(tx, NOON, 10, "sender", NOON + HOUR)] == ["k1"]


def test_a_target_that_holds_something_is_left_alone(store: Store, opened: Open) -> None:
    other = opened("sqlite")
    other.accept(a_webhook("evt_1"))

    with pytest.raises(UsageError, match=r"not empty.*inbox"):
        copy.copy_store(store, other)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_copy_that_breaks_off_leaves_the_target_empty(store: Store, opened: Open, target: str) -> None:
    filled(store)
    other = opened(target)

    def break_off(table: str, copied: int, total: int) -> None:
        if table == "outbox":
            raise RuntimeError("the terminal was closed")

    with pytest.raises(RuntimeError):
        copy.copy_store(store, other, break_off)

    assert copy.copy_store(store, other)["inbox"] == 3


def test_a_target_without_tables_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bare.db").touch()
    bare = open_store(f"sqlite:///{tmp_path}/bare.db")

    with pytest.raises(SchemaMismatch, match=r"bare\.db"):
        copy.copy_store(store, bare)

    bare.close()
