"""Values of the store, each valid by default; a test states only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bridge.store import Store, arrivals, inbox, outbox, streams
from bridge.store.arrivals import Arrivals
from bridge.store.attempts import NewAttempt
from bridge.store.audits import AuditResult, AuditRow
from bridge.store.inbox import InboxStatus, NewWebhook
from bridge.store.outbox import DeliveryStatus, NewDelivery, Outcome
from bridge.store.streams import StreamUpdate
from bridge.store.subscriptions import SubscriptionRow
from processors.values import replace

SOON = 10.0  # seconds: the limit is 3.5, and a shared machine may be slow
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCOPE = "stripe||live"
ANNA = f"{SCOPE}|cus_anna"
BERT = f"{SCOPE}|cus_bert"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

_ARRIVAL = NewWebhook(
    source="stripe",
    account=None,
    livemode=True,
    event_id="evt_1",
    type="invoice.paid",
    created_at=NOON,
    received_at=NOON,
    body=b'{"id": "evt_1"}',
)
_DELIVERY = NewDelivery(
    stream_id=ANNA,
    scope=SCOPE,
    source="stripe",
    livemode=True,
    output_key="payment:pi_1",
    status=DeliveryStatus.PENDING,
    body='{"amount": 49.0}',
    next_at=NOON,
    created_at=NOON,
    event_type="renewal",
    currency="USD",
    amount=Decimal("49.00"),
    mrr_impact=Decimal("0.00"),
    event_ids=("evt_1",),
)


def a_webhook(event_id: str = "evt_1", **changes: object) -> NewWebhook:
    """A webhook of Stripe's live mode."""
    return replace(_ARRIVAL, event_id=event_id, **changes)  # type: ignore[arg-type]


def a_delivery(output_key: str = "payment:pi_1", **changes: object) -> NewDelivery:
    """A renewal of 49.00 USD for Anna, to be sent at once."""
    return replace(_DELIVERY, output_key=output_key, **changes)  # type: ignore[arg-type]


def an_update(stream_id: str = ANNA, at: datetime = NOON, **changes: object) -> StreamUpdate:
    """Something that arrived for a stream, due a minute later."""
    update = StreamUpdate(stream_id=stream_id, scope=SCOPE, has_customer=True, at=at, due_at=at + MINUTE)
    return replace(update, **changes)  # type: ignore[arg-type]


def an_outcome(delivery_id: int, status: DeliveryStatus = DeliveryStatus.DELIVERED, **changes: object) -> Outcome:
    """The first attempt of a delivery, answered at noon."""
    outcome = Outcome(id=delivery_id, status=status, attempts=1, at=NOON, last_status=202)
    return replace(outcome, **changes)  # type: ignore[arg-type]


def an_attempt(delivery_id: int, **changes: object) -> NewAttempt:
    """An attempt at noon that delivered."""
    attempt = NewAttempt(
        delivery_id=delivery_id, at=NOON, status=202, response="202", took_ms=40, result=DeliveryStatus.DELIVERED
    )
    return replace(attempt, **changes)  # type: ignore[arg-type]


def a_subscription_row(subscription_id: str = "sub_1", **changes: object) -> SubscriptionRow:
    """A subscription of Anna's with 49.00 USD of MRR, all of it reported."""
    row = SubscriptionRow(
        stream_id=ANNA, subscription_id=subscription_id, source="stripe", livemode=True, currency="USD", plan="Pro",
        mrr=Decimal(49), baseline=Decimal(0), changed_at=NOON,
    )  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]


def accepted(store: Store, at: datetime = NOON) -> None:
    """A web process accepts a webhook of Stripe."""
    with store.transaction() as tx:
        inbox.insert_new(tx, [inbox.encode_row(a_webhook(received_at=at))])
        arrivals.add(tx, [Arrivals(source="stripe", hour=arrivals.hour_of(at), count=1, last_at=at)], at)


def stored(store: Store, *event_ids: str) -> list[int]:
    """The row ids of webhooks that have just been stored."""
    for event_id in event_ids:
        store.accept(a_webhook(event_id))
    with store.reading() as tx:
        found = [inbox.find(tx, event_id) for event_id in event_ids]
    return [row.id for row in found if row is not None]


def statuses(store: Store) -> dict[str, InboxStatus]:
    """The status of each webhook, by event id."""
    with store.reading() as tx:
        return {row.event_id: row.status for row in inbox.listing(tx)}


def added(store: Store, *deliveries: NewDelivery) -> list[int]:
    """The ids of deliveries that have just been put into the outbox, in this order."""
    with store.transaction() as tx:
        outbox.add(tx, deliveries)
        ids = {one.output_key: one.id for one in outbox.listing(tx, limit=1000)}
    return [ids[one.output_key] for one in deliveries]


def claimed(store: Store, now: datetime = NOON, limit: int = 10, paused: tuple[str, ...] = ()) -> list[int]:
    """The ids of the deliveries that a sender claims now."""
    with store.transaction() as tx:
        return [one.id for one in outbox.claim(tx, now, limit, "sender", now + MINUTE, paused)]


def updated(store: Store, *updates: StreamUpdate) -> None:
    """Commits updates of streams."""
    with store.transaction() as tx:
        streams.upsert(tx, updates)


def an_audit(**more: Any) -> AuditResult:
    """An audit with one row that differs."""
    values: dict[str, Any] = {
        "source": "stripe", "livemode": True, "at": NOON, "first": NOON.date(), "last": NOON.date(), "against": "api",
        "time_zone": "UTC", "compared": 2, "differing": 1, "unexplained": 1, "counts": {"unexplained": 1},
        "days": [("revenue", NOON.date().isoformat(), "USD", "49.00", "50.00")],
    }  # fmt: skip
    return AuditResult(**values | more)


def a_differing_row(**more: Any) -> AuditRow:
    """A payment that differs by one."""
    values: dict[str, Any] = {
        "measure": "revenue", "day": NOON.date(), "currency": "USD", "key": "in_1", "ours": Decimal("49.00"),
        "theirs": Decimal("50.00"), "cause": "unexplained", "detail": "",
    }  # fmt: skip
    return AuditRow(**values | more)
