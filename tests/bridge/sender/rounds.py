"""Rounds of a dispatcher: deliveries for its outbox, rounds until it is idle, and the results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bridge.clock import Uptime
from bridge.sender.dispatcher import Dispatcher, RoundReport
from bridge.store import Store, outbox
from bridge.store.outbox import Delivery, DeliveryStatus, NewDelivery
from tests.fake_pulsora import ScriptedPulsora

TOKEN = "sec_test_fake"
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

MakeDispatcher = Callable[..., Dispatcher]


def a_body(key: str, **changes: object) -> str:
    data = {
        "visitor_fingerprint": "fp",
        "session_id": "s",
        "customer_id": "cus_1",
        "amount": 49.99,
        "transaction_id": key,
        "metadata": {"occurred_at": "2025-03-01T12:00:00Z"},
    }
    return json.dumps({**data, **changes})


def an_event(key: str = "in_1", stream: str = "cus_1", **changes: Any) -> NewDelivery:
    fields: dict[str, Any] = {
        "stream_id": f"stripe||live|{stream}",
        "scope": "stripe||live",
        "source": "stripe",
        "livemode": True,
        "output_key": key,
        "status": DeliveryStatus.PENDING,
        "body": a_body(key, customer_id=stream),
        "next_at": NOW,
        "created_at": NOW,
        "event_type": "purchase",
        "currency": "EUR",
        "amount": Decimal("49.99"),
        "event_ids": ("evt_1",),
    }
    return NewDelivery(**{**fields, **changes})


def put(store: Store, *events: NewDelivery) -> None:
    with store.transaction() as tx:
        outbox.add(tx, events)


def rows(store: Store) -> dict[str, Delivery]:
    with store.reading() as tx:
        return {row.output_key: row for row in outbox.listing(tx, limit=10_000)}


def keys(pulsora: ScriptedPulsora) -> list[str]:
    return [request.data["transaction_id"] for request in pulsora.received if request.data]


def rounds(
    dispatcher: Dispatcher,
    now: datetime = NOW,
    *,
    uptime: Uptime | None = None,
    until: Callable[[], bool] | None = None,
) -> RoundReport:
    """Runs rounds until nothing is in flight and nothing was claimed, or until a condition holds."""
    stop_at = time.monotonic() + 10
    while time.monotonic() < stop_at:
        report = dispatcher.run_round(now, uptime)
        if until() if until else not report.in_flight and not report.claimed:
            return report
    raise AssertionError("the dispatcher did not become idle")
