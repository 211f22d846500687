"""Reads deliveries: lists, single ones, and their numbers by source and status."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from bridge.store.count_cache import cached
from bridge.store.outbox.rows import Backlog, Delivery, DeliveryStatus
from bridge.store.schema import OPEN, outbox
from bridge.store.statements import unindexed

NAMES = [column.name for column in outbox.c]
LIST = select(outbox).order_by(outbox.c.id.desc())
OF_STREAM = select(outbox).where(outbox.c.stream_id == bindparam("stream_id")).order_by(outbox.c.id)
FIND = select(outbox).where(outbox.c.id == bindparam("row_id"))
BACKLOG = select(func.count(), func.min(outbox.c.id)).where(OPEN)
UNREAD = ("is_head", "ready_at", "leased_by", "day", "amount_sum", "mrr_sum")  # of the claim, and for sums
COUNTED = (outbox.c.source, outbox.c.livemode, outbox.c.status)
COUNTS = select(outbox.c.source, outbox.c.status, func.count()).group_by(*COUNTED)


def listing(
    tx: Connection,
    status: DeliveryStatus | None = None,
    source: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Delivery]:
    """The newest deliveries first. `before_id`: the page after the one with this id."""
    query = LIST.limit(limit)
    if status is not None:
        query = query.where(outbox.c.status == status.value)
    if source is not None:
        query = query.where(unindexed(outbox.c.source) == source)
    if before_id is not None:
        query = query.where(outbox.c.id < before_id)
    return [from_row(row) for row in tx.execute(query)]


def of_stream(tx: Connection, stream_id: str) -> list[Delivery]:
    """All deliveries of a stream, in order."""
    return [from_row(row) for row in tx.execute(OF_STREAM, {"stream_id": stream_id})]


def find(tx: Connection, delivery_id: int) -> Delivery | None:
    """The delivery with this id."""
    row = tx.execute(FIND, {"row_id": delivery_id}).first()
    return None if row is None else from_row(row)


def counts(tx: Connection) -> dict[tuple[str, DeliveryStatus], int]:
    """The number of deliveries by source and status. With a large outbox it may be some seconds old."""
    return cached(tx, "outbox.counts", lambda: _counts(tx), lambda found: sum(found.values()))


def _counts(tx: Connection) -> dict[tuple[str, DeliveryStatus], int]:
    found: dict[tuple[str, DeliveryStatus], int] = defaultdict(int)
    for source, status, count in tx.execute(COUNTS):
        found[source, DeliveryStatus(status)] += count
    return dict(found)


def backlog(tx: Connection) -> Backlog:
    """The events still to be sent, held or pending."""
    count, oldest_id = tx.execute(BACKLOG).one()
    oldest = None if oldest_id is None else find(tx, oldest_id)
    return Backlog(count=count, oldest=None if oldest is None else oldest.created_at)


def from_row(row: Row[*tuple[object, ...]], status: DeliveryStatus | None = None) -> Delivery:
    """A row of the table."""
    values: dict[str, Any] = dict(zip(NAMES, row, strict=True))
    for name in UNREAD:
        values.pop(name, None)
    values["status"] = status or DeliveryStatus(row.status)
    values["event_ids"] = tuple(json.loads(row.event_ids))
    return Delivery(**values)
