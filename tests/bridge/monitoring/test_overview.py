"""The overview names every problem, and none while everything works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bridge.monitoring.overview import read_overview
from bridge.store import Store, leases, pauses
from bridge.store.outbox import DeliveryStatus
from bridge.store.totals import Sum, Total, totals

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_worker_was_seen(store: Store, at: datetime) -> None:
    with store.transaction() as tx:
        leases.heartbeat(tx, "host:1", at)


def test_a_bridge_without_a_worker_does_not_run(sqlite_store: Store) -> None:
    assert read_overview(sqlite_store, 2000, NOW).problems == [
        "No worker is running. Start one: pulsora-bridge serve (or worker)."
    ]


def test_a_worker_that_fell_silent_is_reported(sqlite_store: Store) -> None:
    a_worker_was_seen(sqlite_store, NOW - timedelta(minutes=30))

    assert read_overview(sqlite_store, 2000, NOW).problems == [
        "No worker has been running for 30 min. Start one: pulsora-bridge serve (or worker)."
    ]


def test_with_a_running_worker_and_no_failures_there_are_no_problems(sqlite_store: Store) -> None:
    a_worker_was_seen(sqlite_store, NOW - timedelta(seconds=10))

    assert read_overview(sqlite_store, 2000, NOW).problems == []


def test_a_pause_is_reported_with_its_reason(sqlite_store: Store) -> None:
    a_worker_was_seen(sqlite_store, NOW)
    with sqlite_store.transaction() as tx:
        pauses.pause(tx, "https://pulsora.co/api/ingest", NOW + timedelta(minutes=5), "401: Invalid API token", now=NOW)

    assert read_overview(sqlite_store, 2000, NOW).problems == [
        "Sending to https://pulsora.co/api/ingest is paused until 2026-01-01 12:05:00 UTC: 401: Invalid API token"
    ]


def test_sums_are_grouped_by_delivery_status() -> None:
    def one(status: DeliveryStatus, amount: str, mrr: str) -> Sum:
        return Sum(
            source="stripe", livemode=True, status=status, currency="USD", event_type="renewal", count=1,
            amount=Decimal(amount), mrr_impact=Decimal(mrr),
        )  # fmt: skip

    found = totals([
        one(DeliveryStatus.DELIVERED, "49.00", "49.00"),
        one(DeliveryStatus.HELD, "10.00", "1.00"),
        one(DeliveryStatus.PENDING, "5.00", "2.00"),
        one(DeliveryStatus.FAILED, "0.50", "0.25"),
        one(DeliveryStatus.NOT_FORWARDED, "0.25", "0.00"),
    ])  # fmt: skip

    assert found == [
        Total(
            source="stripe", mode="live", currency="USD",
            revenue_delivered=Decimal("49.00"), mrr_delivered=Decimal("49.00"),
            revenue_pending=Decimal("15.00"), mrr_pending=Decimal("3.00"),
            revenue_not_sent=Decimal("0.75"), mrr_not_sent=Decimal("0.25"),
        )
    ]  # fmt: skip
