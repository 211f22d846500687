"""Visits of Payment Links and placeholders, from the webhook to the delivery, the counter and the metric."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.monitoring.prometheus import exposition
from bridge.settings import Settings
from bridge.store import Store, rejected_visits
from bridge.store.rejected_visits import RejectedVisits
from processors.stripe.simulation.payloads import checkout_session, event
from tests.bridge.worker.test_pipeline import deliveries_in, receive, work
from tests.settings import some_settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return some_settings(database_url)


def a_sale(**more: Any) -> bytes:
    """The completed session of a Payment Link: 29.00 USD, without metadata."""
    session = checkout_session("cs_1", mode="payment", customer="cus_1", minor=2900, payment_intent="pi_1", **more)
    return event("checkout.session.completed", session, at=NOW, event_id="evt_1")


def test_a_payment_link_brings_its_visit(store: Store, settings: Settings) -> None:
    receive(store, [a_sale(client_reference_id="pls1_fp_7__ses_9")])

    work(store, settings, LATER)

    (delivery,) = deliveries_in(store)
    assert delivery.status == "pending"
    assert '"visitor_fingerprint":"fp_7","session_id":"ses_9"' in delivery.body
    with store.reading() as tx:
        assert rejected_visits.listed(tx) == []


def test_a_placeholder_is_held_counted_and_a_metric(store: Store, settings: Settings) -> None:
    receive(store, [a_sale(metadata={"visitor_fingerprint": "fp_1", "session_id": "undefined"})])

    work(store, settings, LATER)

    (delivery,) = deliveries_in(store)
    assert delivery.status == "held"
    with store.reading() as tx:
        assert rejected_visits.listed(tx) == [
            RejectedVisits(
                source="stripe", cause="session_id is undefined", count=1, last_at=LATER, event_id="evt_1"
            )
        ]  # fmt: skip
    sample = b'pulsora_bridge_rejected_visits{cause="session_id is undefined",source="stripe"} 1.0'
    assert sample in exposition(store, LATER)[0]
