"""Payloads that Paddle published with its tests, and the expected outcome of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.catalog import Catalog, key_of
from processors.facts import Fact, Payment, Reason, Refund, RefundKind, RefundStatus, Stage, Status, SubscriptionState
from processors.interface import SignatureError, Translation
from processors.paddle import processor
from processors.paddle.simulation import payloads

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "paddle"
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FOLDERS = ("notifications", "simulations")
DRAFT = "a draft: no money yet"
REMEMBERED = "remembered for later: it belongs to no customer"
NO_DATA = "the customer has no custom data"

# status, stage, and per item: minor units, quantity, whether it counts
SEATS = ((3000, 10, True), (10000, 1, True))
MORE_SEATS = ((3000, 20, True), (10000, 1, True), (25000, 1, True))
STATES = {
    "subscription.activated": (Status.ACTIVE, Stage.CHANGED, SEATS),
    "subscription.canceled": (Status.ENDED, Stage.CHANGED, MORE_SEATS),  # the items still say active
    "subscription.created": (Status.ACTIVE, Stage.CREATED, SEATS),
    "subscription.imported": (Status.ACTIVE, Stage.IMPORTED, SEATS),
    "subscription.past_due": (Status.PAST_DUE, Stage.CHANGED, SEATS),
    "subscription.paused": (Status.PAUSED, Stage.CHANGED, SEATS),
    "subscription.resumed": (Status.ACTIVE, Stage.CHANGED, SEATS),
    "subscription.trialing": (Status.TRIALING, Stage.CHANGED, ((500, 10, False),)),
    "subscription.updated": (Status.ACTIVE, Stage.CHANGED, MORE_SEATS),
}
MONEY = ("transaction.completed", "adjustment.created", "adjustment.updated")
REASONS = {
    "customer.created": NO_DATA,
    "customer.imported": NO_DATA,
    "customer.updated": NO_DATA,
    "discount.created": REMEMBERED,
    "discount.imported": REMEMBERED,
    "discount.updated": REMEMBERED,
    "price.created": REMEMBERED,
    "price.imported": REMEMBERED,
    "price.updated": REMEMBERED,
    "product.created": REMEMBERED,
    "product.imported": REMEMBERED,
    "product.updated": REMEMBERED,
    "transaction.billed": "an invoice was issued: no money yet",
    "transaction.canceled": "the transaction was canceled: no money",
    "transaction.created": DRAFT,
    "transaction.paid": "paid, not yet processed by Paddle: transaction.completed counts",
    "transaction.past_due": "the payment is late: no money yet",
    "transaction.payment_failed": "the payment failed: no money",
    "transaction.ready": DRAFT,
    "transaction.revised": "customer details were revised; a refund is an adjustment",
    "transaction.updated": "moves no money: transaction.completed counts",
}


def files() -> list[tuple[str, str]]:
    return [(folder, path.stem) for folder in FOLDERS for path in sorted((FIXTURES / folder).glob("*.json"))]


@cache
def translated(folder: str, kind: str, at: datetime = AT) -> Translation:
    return processor.translate(body_of(folder, kind, at), {})


def body_of(folder: str, kind: str, at: datetime = AT) -> bytes:
    """The entity in an envelope: the fixtures have none."""
    entity = json.loads((FIXTURES / folder / f"{kind}.json").read_bytes())
    return payloads.event(kind, entity, at=at, event_id=f"evt_{folder}_{kind}")


def test_every_payload_is_proven_once_it_is_signed_and_translated_without_a_raise() -> None:
    for folder, kind in files():
        webhook = processor.sign(body_of(folder, kind), processor.demo_secret, AT)

        event = processor.verify(webhook.body, webhook.headers, [processor.demo_secret], AT, timedelta(minutes=5))
        with pytest.raises(SignatureError):
            processor.verify(webhook.body + b"\n", webhook.headers, [processor.demo_secret], AT, timedelta(minutes=5))

        assert (event.type, event.created_at) == (kind, AT)
    assert len(files()) == 56 + 51


def test_what_is_neither_state_nor_money_gives_the_reason_that_is_written_here() -> None:
    for folder, kind in files():
        if kind in STATES or kind in MONEY:
            continue

        translation = translated(folder, kind)

        assert translation.facts == ()
        assert translation.reason == REASONS.get(kind, f"{kind} is not an event that the bridge uses")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", STATES)
def test_subscriptions_stand_as_they_are_written_here(folder: str, kind: str) -> None:
    status, stage, items = STATES[kind]

    found = only(translated(folder, kind))

    assert isinstance(found, SubscriptionState)
    assert (found.now.status, found.stage, found.ids.subscription_id) == (
        status,
        stage,
        "sub_01hv8x29kz0t586xy6zn1a62ny",
    )
    assert tuple((item.price.unit_amount, item.quantity, item.counts) for item in found.now.items) == items
    assert found.ids.invoice_id == ("txn_01hv8wptq8987qeep44cyrewp9" if stage is Stage.CREATED else None)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_completed_transaction_is_the_money(folder: str) -> None:
    found = only(translated(folder, "transaction.completed"))

    assert isinstance(found, Payment)
    assert (found.amount.minor, found.tax, found.amount.currency.code) == (65215, 5315, "USD")
    assert (found.reason, found.ids.subscription_id) == (Reason.START, "sub_01hv8x29kz0t586xy6zn1a62ny")
    assert [(line.amount, line.quantity) for line in found.lines or ()] == [(30000, 10), (10000, 1)]  # not the 199.00


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ["adjustment.created", "adjustment.updated"])
def test_the_adjustments_wait_for_their_approval(folder: str, kind: str) -> None:
    found = only(translated(folder, kind))

    assert isinstance(found, Refund)
    assert (found.kind, found.status, found.amount.minor) == (RefundKind.REFUND, RefundStatus.PENDING, 100)


def test_the_published_lifecycle_settles_to_the_published_levels() -> None:
    kinds = ("created", "activated", "updated", "canceled")
    translations = [translated("notifications", "transaction.completed", AT + timedelta(seconds=2))]
    translations += [
        translated("notifications", f"subscription.{kind}", AT + timedelta(hours=number))
        for number, kind in enumerate(kinds)
    ]
    known = Catalog(entries={key: one for said in translations for one in said.catalog if (key := key_of(one))})

    events = settle(EMPTY, [fact for said in translations for fact in said.facts], Policy(), known).events

    assert [(event.event_type.value, event.amount, event.mrr_impact) for event in events] == [
        ("subscription", Decimal("652.15"), Decimal("400.00")),  # 10 x 30.00 + 100.00; 199.00 once, and tax
        ("upgrade", Decimal(0), Decimal("550.00")),  # 20 x 30.00 + 100.00 + 250.00 = 950.00
        ("churn", Decimal(0), Decimal("-950.00")),
    ]


def only(translation: Translation) -> Fact:
    (fact,) = translation.facts
    return fact
