"""A revenue event in the outbox: its delivery status, and the values that are added, claimed and recorded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from processors.values import Value

LIVE, IMPORTED = 0, 1  # priorities


class DeliveryStatus(StrEnum):
    """The delivery status of a revenue event."""

    HELD = "held"
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"
    NOT_FORWARDED = "not_forwarded"


UNSENT = (DeliveryStatus.HELD, DeliveryStatus.PENDING)


class NewDelivery(Value):
    """A revenue event for the outbox. `body`: its `data` as JSON. `priority`: LIVE is sent before IMPORTED.

    `received_at`: arrival of the first webhook that caused it; None: no webhook did.
    """

    stream_id: str
    scope: str
    source: str
    livemode: bool
    output_key: str
    status: DeliveryStatus
    body: str
    next_at: datetime
    created_at: datetime
    event_type: str
    currency: str
    amount: Decimal
    mrr_impact: Decimal | None = None
    hold_until: datetime | None = None
    priority: int = LIVE
    event_ids: tuple[str, ...] = ()
    received_at: datetime | None = None


class Delivery(Value):
    """A revenue event in the outbox. `next_at`: the earliest time to send it.

    `amount` and `mrr_impact` in major units, exact. `event_ids`: the processor's events that caused it, which began to
    arrive at `received_at`. `customer_id` to `occurred_at`: as in the body; `attribution`: where the visit was found.
    """

    id: int
    stream_id: str
    scope: str
    source: str
    livemode: bool
    output_key: str
    status: DeliveryStatus
    body: str
    event_type: str
    currency: str
    amount: Decimal
    mrr_impact: Decimal | None
    attempts: int
    next_at: datetime
    hold_until: datetime | None
    priority: int
    created_at: datetime
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None
    event_ids: tuple[str, ...]
    customer_id: str | None
    subscription_id: str | None
    transaction_id: str | None
    plan: str | None
    attribution: str | None
    movement: str | None
    occurred_at: datetime | None
    received_at: datetime | None


class Outcome(Value):
    """The result of an attempt at a claimed delivery. `next_at`: when it is retried, for PENDING only."""

    id: int
    status: DeliveryStatus
    attempts: int
    at: datetime
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class Backlog(Value):
    """The events still to be sent: how many, and when the oldest was created."""

    count: int
    oldest: datetime | None
