"""The worker audits on schedule: each source with a key, one worker at a time, and an error is kept too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer

from bridge.settings import Settings
from bridge.store import Store, audits, leases
from bridge.worker.auditing import AFTER_START, Auditor
from tests.fake_processors import STRIPE_KEY, STRIPE_PERMISSIONS, FakeStripe
from tests.settings import some_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def fake() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def settings(sqlite_url: str, fake: FakeStripe, httpserver: HTTPServer) -> Settings:
    api = {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": fake.serve(httpserver)}
    return some_settings(sqlite_url, AUDIT_HOURS="2", **api)


def times(store: Store) -> list[tuple[str, datetime, str | None]]:
    with store.reading() as tx:
        return [(one.source, one.at, one.error) for one in audits.recent(tx)][::-1]


def test_a_source_with_a_key_is_audited_some_time_after_the_start_and_then_on_schedule(
    sqlite_store: Store, settings: Settings
) -> None:
    auditor = Auditor(store=sqlite_store, settings=settings, owner="worker")

    for minutes in (0, 14, 15, 60, 134, 135):
        auditor.run(NOON + timedelta(minutes=minutes))

    first = NOON + AFTER_START
    assert times(sqlite_store) == [("stripe", first, None), ("stripe", first + 2 * HOUR, None)]


def test_a_failed_audit_is_kept_with_its_reason_and_repeated_on_schedule(
    sqlite_store: Store, settings: Settings, fake: FakeStripe
) -> None:
    fake.permissions = STRIPE_PERMISSIONS - {"rak_dispute_read"}
    auditor = Auditor(store=sqlite_store, settings=settings, owner="worker", started_at=NOON - HOUR)

    auditor.run(NOON)
    auditor.run(NOON + HOUR)

    [(_, at, error)] = times(sqlite_store)
    assert at == NOON
    assert error is not None
    assert "rak_dispute_read" in error


def test_another_worker_that_audits_is_left_alone(sqlite_store: Store, settings: Settings) -> None:
    with sqlite_store.transaction() as tx:
        leases.acquire(tx, "audit stripe", "other", NOON, NOON + HOUR)

    Auditor(store=sqlite_store, settings=settings, owner="worker", started_at=NOON - HOUR).run(NOON)

    assert times(sqlite_store) == []


def test_nothing_is_audited_without_a_key_or_with_zero_hours(sqlite_store: Store, settings: Settings) -> None:
    for chosen in (
        some_settings("sqlite:///x.db"),
        some_settings("sqlite:///x.db", AUDIT_HOURS="0", STRIPE_API_KEY="rk_live_x"),
    ):
        Auditor(store=sqlite_store, settings=chosen, owner="worker", started_at=NOON - HOUR).run(NOON)

    assert times(sqlite_store) == []
