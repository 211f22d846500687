"""The table of events: each is read, ignored with a reason, or fetched; none raises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.facts import SubscriptionState
from processors.stripe.simulation.payloads import invoice_payment, item, price, subscription
from processors.stripe.translate import EVENTS, READERS, as_snapshot, translate
from tests.processors.stripe.translating import AT, translated

A_MONTH = (AT, AT.replace(month=12))


def a_subscription() -> dict[str, Any]:
    row = item("si_1", price("price_1", minor=4900), subscription="sub_1", period=A_MONTH)
    return subscription("sub_1", customer="cus_1", items=[row], started_at=AT, period=A_MONTH)


def thin(kind: str, object_type: str, url: str) -> bytes:
    body = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": kind,
        "created": "2026-11-23T12:00:00.000Z",
        "livemode": True,
        "related_object": {"id": "x_1", "type": object_type, "url": url},
    }
    return json.dumps(body).encode()


def test_what_an_endpoint_is_to_subscribe_to_is_understood() -> None:
    assert set(EVENTS) <= READERS.keys()


@pytest.mark.parametrize("found", [{}, {"id": None}, {"id": "x_1"}, {"id": ["x"], "currency": 5, "status": {}}])
def test_an_object_that_says_nothing_raises_nothing(found: dict[str, Any]) -> None:
    translations = {kind: translated(kind, found) for kind in READERS}

    assert [kind for kind, one in translations.items() if not one.facts and not one.reason] == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("charge.failed", "a charge that failed"),
        ("charge.pending", "a charge that is not paid yet"),
        ("payment_intent.processing", "not paid (yet)"),
        ("payment_intent.amount_capturable_updated", "not paid (yet)"),
        ("invoice.upcoming", "moved no money"),
        ("subscription_schedule.released", "customer.subscription.updated"),
        ("customer.subscription.pending_update_applied", "customer.subscription.updated"),
        ("payout.paid", "payout.paid is not an event that the bridge uses"),
        ("something.of.the.future", "something.of.the.future is not an event that the bridge uses"),
    ],
)
def test_what_is_no_news_says_why(kind: str, reason: str) -> None:
    translation = translated(kind, {"id": "x_1"})

    assert translation.facts == ()
    assert reason in (translation.reason or "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "unreadable"),
        (b"{}", "id, type or created is missing"),
        (b'{"id": "evt_1", "type": "invoice.paid", "created": "soon"}', "created is missing"),
        (b'{"id": "evt_1", "type": "invoice.paid", "created": 1}', "carries no object"),
        (b'{"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": "in_1"}}', "carries no object"),
    ],
)
def test_a_body_that_is_no_event_says_why(body: bytes, reason: str) -> None:
    assert reason in (translate(body, {}).reason or "")


# ---- Thin events --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "object_type", "url"),
    [
        ("v1.customer.subscription.updated", "subscription", "/v1/subscriptions/sub_1"),
        ("v1.customer.subscription.item_price_changed", "subscription", "/v1/subscriptions/sub_1"),
        ("v1.invoice.paid", "invoice", "/v1/invoices/in_1"),
    ],
)
def test_a_thin_event_asks_for_its_object_and_for_a_snapshot_endpoint(kind: str, object_type: str, url: str) -> None:
    translation = translate(thin(kind, object_type, url), {})

    assert translation.fetch == url
    assert "create an endpoint with snapshot events" in (translation.reason or "")
    assert translation.facts == ()


@pytest.mark.parametrize(
    ("kind", "object_type", "url"),
    [
        ("v1.billing.meter.no_meter_found", "billing.meter", "/v1/billing/meters/mtr_1"),
        ("v1.payout.paid", "payout", "/v1/payouts/po_1"),
        ("v1.invoice.paid", "invoice", "https://elsewhere.example/v1/invoices/in_1"),
    ],
)
def test_a_thin_event_of_no_use_asks_for_nothing(kind: str, object_type: str, url: str) -> None:
    translation = translate(thin(kind, object_type, url), {})

    assert translation.fetch is None
    assert translation.reason


def test_a_thin_event_without_an_object_asks_for_nothing() -> None:
    body = json.dumps({"id": "evt_1", "object": "v2.core.event", "type": "v2.core.ping", "created": "2026-11-23"})

    assert translate(body.encode(), {}).reason == "a thin event without an object is not an event that the bridge uses"


def test_a_thin_event_and_its_object_are_as_good_as_a_snapshot() -> None:
    event = thin("v1.customer.subscription.item_price_changed", "subscription", "/v1/subscriptions/sub_1")

    (found,) = translate(as_snapshot(event, json.dumps(a_subscription()).encode()), {}).facts

    assert isinstance(found, SubscriptionState)
    assert (found.at, found.processor_event_id, found.before) == (AT, "evt_thin:snapshot", None)


def test_a_thin_event_of_a_known_type_keeps_that_type() -> None:
    event = thin("v1.invoice_payment.paid", "invoice_payment", "/v1/invoice_payments/inpay_1")
    resource = invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1")

    snapshot = as_snapshot(event, json.dumps(resource).encode())

    assert json.loads(snapshot)["type"] == "invoice_payment.paid"
    assert len(translate(snapshot, {}).facts) == 1
