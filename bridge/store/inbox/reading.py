"""Reads webhooks: those to be processed next, lists, single ones, and their numbers by source and status."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, literal_column, select

from bridge.store.count_cache import cached
from bridge.store.inbox.rows import CONFLICT, InboxRow, InboxStatus, storable
from bridge.store.schema import RECEIVED, RETRIED, bodies, inbox
from bridge.store.statements import literal, padded_chunks, per_dialect

COLUMNS = list(inbox.c)
NAMES = [*(column.name for column in COLUMNS), "body"]
WITH_BODY = select(*COLUMNS, bodies.c.body).outerjoin(bodies, bodies.c.inbox_id == inbox.c.id)
BY_ID = per_dialect(lambda among: WITH_BODY.where(among(inbox.c.id, "row_ids")))
# "INDEXED BY": SQLite keeps no statistics on how many rows have which status, and would read all that wait.
UNROUTED = select(inbox.c.id).where(RECEIVED).order_by(inbox.c.id).limit(bindparam("limit")).with_hint(
    inbox, "INDEXED BY ix_inbox_fresh", "sqlite"
)  # fmt: skip
FIRST_UNROUTED = select(inbox.c.received_at).where(RECEIVED).order_by(inbox.c.id).limit(1).with_hint(
    inbox, "INDEXED BY ix_inbox_fresh", "sqlite"
)  # fmt: skip
RETRY = select(inbox.c.id).where(RETRIED, inbox.c.retry_at <= bindparam("now")).order_by(inbox.c.retry_at).limit(
    bindparam("limit")
).with_hint(inbox, "INDEXED BY ix_inbox_retry", "sqlite")  # fmt: skip
OF_STREAMS = per_dialect(
    lambda among: WITH_BODY.where(among(inbox.c.stream_id, "stream_ids"), among(inbox.c.status, "statuses")).with_hint(
        inbox, "INDEXED BY ix_inbox_stream", "sqlite"
    )
)
FIND = WITH_BODY.where(inbox.c.event_id == bindparam("event_id"))
LIST = select(*COLUMNS, literal_column("NULL").label("body")).order_by(inbox.c.id.desc())
COUNTS = select(inbox.c.source, inbox.c.status, func.count()).group_by(inbox.c.source, inbox.c.status)
CONFLICTS = select(func.count()).where(
    inbox.c.status == literal("failed"), inbox.c.retry_at.is_(None), inbox.c.reason.startswith(CONFLICT)
)
OF_SOURCE = select(inbox.c.received_at).where(
    inbox.c.source == bindparam("source"),
    inbox.c.status == bindparam("status"),
    inbox.c.type.not_like("bridge.%"),
)
FIRST_OF_SOURCE = OF_SOURCE.order_by(inbox.c.id).limit(1)
LAST_OF_SOURCE = OF_SOURCE.order_by(inbox.c.id.desc()).limit(1)
OLDEST = select(inbox.c.received_at).where(inbox.c.status == bindparam("status")).order_by(inbox.c.id).limit(1)


def unrouted(tx: Connection, limit: int, now: datetime) -> list[InboxRow]:
    """The next rows to be routed: received, or failed and due to be retried. By id, so in the order received."""
    received = tx.execute(UNROUTED, {"limit": limit}).scalars()
    retried = tx.execute(RETRY, {"limit": limit, "now": now}).scalars()
    return by_ids(tx, sorted([*received, *retried])[:limit])


def routed_until(tx: Connection, now: datetime) -> datetime:
    """The instant up to which all received webhooks have been routed."""
    first: datetime | None = tx.execute(FIRST_UNROUTED).scalar()
    return now if first is None else min(first, now)


def of_stream(
    tx: Connection, stream_id: str, statuses: Iterable[InboxStatus] = (InboxStatus.WAITING,)
) -> list[InboxRow]:
    """The rows of one stream, by id."""
    return of_streams(tx, [stream_id], statuses)


def of_streams(
    tx: Connection, stream_ids: Iterable[str], statuses: Iterable[InboxStatus] = (InboxStatus.WAITING,)
) -> list[InboxRow]:
    """The rows of several streams, by id."""
    wanted = [status.value for status in statuses]
    rows: list[InboxRow] = []
    for chunk in padded_chunks(stream_ids):
        rows += map(from_row, tx.execute(OF_STREAMS[tx.dialect.name], {"stream_ids": chunk, "statuses": wanted}))
    return sorted(rows, key=lambda row: row.id)


def find(tx: Connection, event_id: str, source: str | None = None) -> InboxRow | None:
    """The row of a processor's event id, body included; when several sources have it, the one received first."""
    query = FIND if source is None else FIND.where(inbox.c.source == source)
    rows = [from_row(row) for row in tx.execute(query, {"event_id": storable(event_id)})]
    return min(rows, key=lambda row: row.id, default=None)


def by_ids(tx: Connection, row_ids: Iterable[int]) -> list[InboxRow]:
    """The rows with these ids, bodies included, by id."""
    found: list[InboxRow] = []
    for chunk in padded_chunks(row_ids):
        found += map(from_row, tx.execute(BY_ID[tx.dialect.name], {"row_ids": chunk}))
    return sorted(found, key=lambda row: row.id)


def listing(
    tx: Connection,
    status: InboxStatus | None = None,
    source: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[InboxRow]:
    """The newest rows first, without their bodies. `before_id`: the page after the row with this id."""
    query = LIST.limit(limit) if before_id is None else LIST.limit(limit).where(inbox.c.id < before_id)
    if source is None:
        query = query if status is None else query.where(inbox.c.status == status.value)
        return [from_row(row) for row in tx.execute(query)]
    query = query.where(inbox.c.source == source, inbox.c.status == bindparam("status"))
    statuses = InboxStatus if status is None else (status,)  # one index range each
    rows = [from_row(row) for wanted in statuses for row in tx.execute(query, {"status": wanted.value})]
    return sorted(rows, key=lambda row: row.id, reverse=True)[:limit]


def counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    """The number of rows by source and status. With a large inbox it may be some seconds old."""
    return cached(tx, "inbox.counts", lambda: _counts(tx), lambda found: sum(found.values()))


def _counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    return {(source, InboxStatus(status)): count for source, status, count in tx.execute(COUNTS)}


def conflict_count(tx: Connection) -> int:
    """How many webhooks failed because another stream has reported the same fact: their events were not sent."""
    return tx.execute(CONFLICTS).scalar_one()


def oldest_failed(tx: Connection) -> datetime | None:
    """When the first row that has failed was received."""
    found: datetime | None = tx.execute(OLDEST, {"status": InboxStatus.FAILED.value}).scalar()
    return found


def first_received_at(tx: Connection, source: str) -> datetime | None:
    """When the first webhook of a source was stored; None: none was. The bridge's own events do not count."""
    return min(_of_each_status(tx, FIRST_OF_SOURCE, source), default=None)


def last_received_at(tx: Connection, source: str) -> datetime | None:
    """When the last webhook of a source was stored; None: none was. The bridge's own events do not count."""
    return max(_of_each_status(tx, LAST_OF_SOURCE, source), default=None)


def _of_each_status(tx: Connection, query: Select[datetime], source: str) -> list[datetime]:
    """The time that the query finds for each status, as the index has them."""
    found = [tx.execute(query, {"source": source, "status": one.value}).scalar() for one in InboxStatus]
    return [at for at in found if at is not None]


def from_row(row: Row[*tuple[object, ...]]) -> InboxRow:
    """A row of the columns of `LIST`."""
    values: dict[str, Any] = dict(zip(NAMES, row, strict=True))  # `_asdict` takes three times as long
    notes = tuple(json.loads(values["notes"])) if values["notes"] else ()
    values["status"] = InboxStatus(values["status"])
    values["reason"] = values["reason"] or "; ".join(notes) or None
    values["notes"] = notes
    values["compressed_body"] = values.pop("body")
    return InboxRow(**values)
