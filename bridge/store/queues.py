"""Rows that wait or failed, and the latest of each stage: read from indexes, whatever the length of the history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from bridge.formatting import timestamp
from bridge.ledger.wait_reasons import AWAITING_CUSTOMER, AWAITING_DATE, AWAITING_OTHERS
from bridge.store import inbox as inbox_rows
from bridge.store import streams as streams_rows
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.schema import DUE, OPEN, READY, inbox, outbox, streams
from bridge.store.statements import literal
from processors.values import Value


class Queues(Value):
    """Numbers of rows, and times. None: there is none.

    `pending`: revenue events to be sent that are not held. `retrying`: those of them that were tried before and wait
    for their next attempt. `due_since`: since when the first due customer has been due; `ready_since`: since when the
    first event that can be sent now has been ready. `first_hold_until`: the next end of a hold.
    """

    last_received_at: datetime | None
    last_settled_at: datetime | None
    last_delivered_at: datetime | None
    failed_webhooks: int
    due_since: datetime | None
    pending: int
    retrying: int
    held: int
    first_hold_until: datetime | None
    failed_deliveries: int
    ready_since: datetime | None

    @property
    def sendable(self) -> int:
        """The number of revenue events that can be sent now: neither held nor waiting for another attempt."""
        return self.pending - self.retrying

    def eta(self, per_hour: int) -> timedelta | None:
        """How long the events that can be sent now take at the hourly limit; None without any, or without a limit."""
        return timedelta(hours=self.sendable / per_hour) if per_hour and self.sendable > 0 else None


# The newest by id: close enough to the newest by time, and one step into an index.
LAST_RECEIVED = (
    select(inbox.c.received_at).where(inbox.c.type.not_like("bridge.%")).order_by(inbox.c.id.desc()).limit(1)
)
LAST_SETTLED = (
    select(inbox.c.settled_at).where(inbox.c.status == literal("settled")).order_by(inbox.c.id.desc()).limit(1)
)
LAST_DELIVERED = (
    select(outbox.c.delivered_at)
    .where(outbox.c.delivered_at.is_not(None))
    .order_by(outbox.c.delivered_at.desc())
    .limit(1)
)
FAILED_WEBHOOKS = select(func.count()).where(inbox.c.status == literal("failed"))
DUE_SINCE = select(func.min(streams.c.due_at)).where(DUE, streams.c.due_at <= bindparam("now"))
NEXT_WAIT = (
    select(streams.c.due_at, streams.c.last_at, streams.c.has_customer, streams.c.reason)
    .where(DUE, streams.c.due_at > bindparam("now"))
    .order_by(streams.c.due_at)
    .limit(1)
)
IS_HELD = outbox.c.status == literal("held")
WAITING = select(
    func.count().filter(~IS_HELD), func.count().filter(IS_HELD), func.min(outbox.c.hold_until).filter(IS_HELD)
).where(OPEN)
RETRYING = select(func.count()).where(READY, outbox.c.attempts > 0, outbox.c.ready_at > bindparam("now"))
READY_SINCE = select(func.min(outbox.c.ready_at)).where(READY, outbox.c.ready_at <= bindparam("now"), ~IS_HELD)
FAILED_DELIVERIES = select(func.count()).where(outbox.c.status == literal("failed"))

LONGEST_WINDOW = timedelta(days=1)  # more than any time for which other webhooks of the customer are awaited


class Wait(Value):
    """Until when a customer's webhooks wait, and for what; `reason` None: for the customer's other webhooks."""

    until: datetime
    reason: str | None

    def __str__(self) -> str:
        """As in `until 2026-01-01 12:00:00 UTC: waiting for the payment of in_1`."""
        return f"until {timestamp(self.until)} UTC: {self.cause}"

    @property
    def cause(self) -> str:
        """For what they wait, in words."""
        return self.reason or AWAITING_OTHERS


def next_wait(tx: Connection, now: datetime) -> Wait | None:
    """The customer whose wait ends next; None: nobody waits."""
    row = tx.execute(NEXT_WAIT, {"now": now}).first()
    return None if row is None else Wait(until=row.due_at, reason=row.reason or _unstated(row))


def waits_of(tx: Connection, rows: Iterable[InboxRow]) -> dict[int, Wait]:
    """Until when webhooks wait, and for what, by row id; those that do not wait are left out."""
    waiting = {row.id: row.stream_id for row in rows if row.status is InboxStatus.WAITING and row.stream_id}
    found = streams_rows.find(tx, waiting.values())
    return {
        row_id: Wait(until=stream.due_at, reason=stream.reason or _unstated(stream))
        for row_id, stream_id in waiting.items()
        if (stream := found.get(stream_id)) is not None and stream.due_at is not None
    }


def _unstated(stream: Any) -> str | None:
    """For what a customer's webhooks wait before the first attempt to settle them."""
    if not stream.has_customer:
        return AWAITING_CUSTOMER
    return AWAITING_DATE if stream.due_at - stream.last_at > LONGEST_WINDOW else None


def overdue_since(tx: Connection, now: datetime) -> datetime | None:
    """Since when a webhook should have been processed; None: none is late.

    What waits for a date, a link or its customer's other webhooks is not late.
    """
    unrouted, due = inbox_rows.routed_until(tx, now), tx.execute(DUE_SINCE, {"now": now}).scalar()
    found = (unrouted if unrouted < now else None, due, inbox_rows.oldest_failed(tx))
    return min((at for at in found if at is not None), default=None)


def read(tx: Connection, now: datetime) -> Queues:
    """Reads them all."""
    pending, held, first_hold_until = tx.execute(WAITING).one()
    return Queues(
        last_received_at=tx.execute(LAST_RECEIVED).scalar(),
        last_settled_at=tx.execute(LAST_SETTLED).scalar(),
        last_delivered_at=tx.execute(LAST_DELIVERED).scalar(),
        failed_webhooks=tx.execute(FAILED_WEBHOOKS).scalar_one(),
        due_since=tx.execute(DUE_SINCE, {"now": now}).scalar(),
        pending=pending,
        retrying=tx.execute(RETRYING, {"now": now}).scalar_one(),
        held=held,
        first_hold_until=first_hold_until,
        failed_deliveries=tx.execute(FAILED_DELIVERIES).scalar_one(),
        ready_since=tx.execute(READY_SINCE, {"now": now}).scalar(),
    )


def has_anything(tx: Connection) -> bool:
    """Whether a webhook or a delivery was ever stored."""
    return any(tx.execute(select(table.c.id).limit(1)).first() is not None for table in (inbox, outbox))
