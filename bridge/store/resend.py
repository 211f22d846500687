"""Deliveries that an operator sends after all: rejected ones with another amount, and those that were not forwarded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, func, select, update

from bridge.store.outbox import Delivery, DeliveryStatus, listing
from bridge.store.outbox.heads import lock_heads, requeue_before
from bridge.store.schema import outbox
from bridge.store.statements import execute_many, literal, unindexed

PAGE = 1000

THIS = outbox.c.id == bindparam("row_id")
REWRITE = (
    update(outbox)
    .where(THIS, outbox.c.status == literal("failed"))
    .values(body=bindparam("text"), amount=bindparam("new_amount"), amount_sum=bindparam("new_sum"))
)
FORWARD = (
    update(outbox)
    .where(THIS, outbox.c.status == literal("not_forwarded"))
    .values(status=bindparam("became"), hold_until=bindparam("until"), next_at=bindparam("due"), leased_by=None)
)
FAILED_WITH = (
    select(func.count())
    .select_from(outbox)
    .where(outbox.c.status == literal("failed"), unindexed(outbox.c.last_error).contains(bindparam("words")))
)


WITH_NOT_FORWARDED = (
    select(outbox.c.source, outbox.c.livemode).where(outbox.c.status == literal("not_forwarded")).distinct()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """A delivery that was not forwarded, and its status from now on. `hold_until`: for HELD only."""

    delivery: Delivery
    status: DeliveryStatus
    hold_until: datetime | None = None


def every(tx: Connection, status: DeliveryStatus, source: str | None = None) -> Iterator[Delivery]:
    """All deliveries of a status, newest first, read page by page."""
    page = listing(tx, status, source, limit=PAGE)
    while page:
        yield from page
        page = listing(tx, status, source, limit=PAGE, before_id=page[-1].id)


def rewrite(tx: Connection, bodies: Mapping[int, tuple[str, Decimal]]) -> None:
    """Gives failed deliveries, by id, another body and its amount. Nothing else in the body may differ."""
    rows = [
        {"row_id": row_id, "text": body, "new_amount": amount, "new_sum": amount}
        for row_id, (body, amount) in sorted(bodies.items())
    ]
    execute_many(tx, REWRITE, rows)


def forward(tx: Connection, chosen: Iterable[Forwarded], now: datetime) -> int:
    """Gives deliveries that were not forwarded their new status; returns how many.

    Each customer's events keep their order: the oldest that is sent after all precedes those that wait already.
    """
    ordered = sorted(chosen, key=lambda one: one.delivery.id)
    lock_heads(tx, {one.delivery.stream_id for one in ordered})
    rows = [
        {"row_id": one.delivery.id, "became": one.status.value, "until": one.hold_until, "due": one.hold_until or now}
        for one in ordered
    ]
    count = execute_many(tx, FORWARD, rows)
    requeue_before(tx, {one.delivery.stream_id: one.delivery.id for one in reversed(ordered)})
    return count


def with_not_forwarded(tx: Connection) -> list[tuple[str, bool]]:
    """The sources and modes that have deliveries which were not forwarded."""
    return [(row.source, row.livemode) for row in tx.execute(WITH_NOT_FORWARDED)]


def failed_with(tx: Connection, words: str) -> int:
    """How many failed deliveries have these words in their last error."""
    return int(tx.execute(FAILED_WITH, {"words": words}).scalar_one())
