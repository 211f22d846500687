"""The interventions of an operator: send now, release without an attribution, rewrite, and send what was kept back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BindParameter, Connection, Update, bindparam, case, func, select, update

from bridge.store import outbox as deliveries
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.store.outbox.heads import lock_heads, requeue_before
from bridge.store.schema import HEAD, outbox
from bridge.store.statements import execute_many, literal, padded_chunks, per_dialect, unindexed
from processors.values import Value

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
# A delivery whose request is on its way keeps its lease: it must not be sent twice.
IS_FREE = outbox.c.leased_by.is_(None)
NOW: BindParameter[Any] = bindparam("now")
SEND_PENDING = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("pending"), IS_FREE)
        .values(next_at=NOW, ready_at=case((HEAD, NOW)))
    )
)
RELEASE_HELD = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("held"))
        .values(status=literal("pending"), next_at=NOW, ready_at=case((HEAD, NOW)))
    )
)
HEADS_BEFORE = per_dialect(
    lambda among: select(outbox.c.stream_id).where(among(outbox.c.id, "ids")).order_by(outbox.c.stream_id).distinct()
)


class SentNow(Value):
    """How many deliveries will be sent at once, by their status before."""

    pending: int
    failed: int

    @property
    def total(self) -> int:
        """How many in all."""
        return self.pending + self.failed


class Forwarded(Value):
    """A delivery that was not forwarded, and its status from now on. `hold_until`: for HELD only."""

    delivery: Delivery
    status: DeliveryStatus
    hold_until: datetime | None = None


def send_now(tx: Connection, ids: Iterable[int], now: datetime) -> SentNow:
    """Sends pending deliveries without waiting for their next try, and failed ones again.

    Each customer's order is kept: one behind an earlier event of the same customer goes out after it. Held deliveries
    stay held: `release_held` sends them without an attribution, which cannot be undone.
    """
    wanted = sorted(set(ids))
    pending = _update(tx, SEND_PENDING, wanted, now)
    return SentNow(pending=pending, failed=deliveries.retry(tx, wanted, now))


def release_held(tx: Connection, ids: Iterable[int], now: datetime) -> int:
    """Sends held deliveries without waiting for their attribution; returns how many were still held."""
    return _update(tx, RELEASE_HELD, sorted(set(ids)), now)


def _update(tx: Connection, statement: Mapping[str, Update], ids: Iterable[int], now: datetime) -> int:
    changed = 0
    for chunk in padded_chunks(ids):
        streams = tx.execute(HEADS_BEFORE[tx.dialect.name], {"ids": chunk}).scalars().all()
        lock_heads(tx, streams)
        changed += tx.execute(statement[tx.dialect.name], {"ids": chunk, "now": now}).rowcount
    return changed


def every(tx: Connection, status: DeliveryStatus, source: str | None = None) -> Iterator[Delivery]:
    """All deliveries of a status, newest first, read page by page."""
    page = deliveries.listing(tx, status, source, limit=PAGE)
    while page:
        yield from page
        page = deliveries.listing(tx, status, source, limit=PAGE, before_id=page[-1].id)


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
