"""The inbox: every verified webhook, as received, and its processing status.

    received ──▶ waiting ──▶ settled
     │  ▲  │        │
     │  │  └────────┼──────▶ ignored     no fact in it; `reason` says why
     ▼  │           ▼
    failed ◀────────┘                    retried at `retry_at`, or only by the operator (None)

`waiting`: assigned to a stream, which will settle it. `replay` leads back to received from every status.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Row, bindparam, delete, func, literal_column, select, update

from bridge.scope import Scope
from bridge.store.count_cache import cached
from bridge.store.schema import RECEIVED, RETRIED, as_microseconds, bodies, compress, decompress, inbox
from bridge.store.statements import execute_many, literal, padded_chunks, per_dialect
from processors.values import Value

if TYPE_CHECKING:
    from processors.interface import Event

MAX_REASON_LENGTH = 1000
CONFLICT = "two streams report the same fact"  # a failed webhook's reason begins with it


class InboxStatus(StrEnum):
    """The processing status of a stored webhook."""

    RECEIVED = "received"
    WAITING = "waiting"
    SETTLED = "settled"
    IGNORED = "ignored"
    FAILED = "failed"


UNSETTLED = (InboxStatus.RECEIVED, InboxStatus.WAITING, InboxStatus.FAILED)


class NewWebhook(Value):
    """A verified webhook to be stored. `body`: the bytes that were signed."""

    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    body: bytes

    @classmethod
    def of_event(cls, source: str, event: Event, body: bytes, received_at: datetime) -> NewWebhook:
        """A webhook of a source, or an event that its processor's API returned, by its envelope."""
        return cls(
            source=source,
            account=event.account,
            livemode=event.livemode,
            event_id=event.id,
            type=event.type,
            created_at=event.created_at or received_at,
            received_at=received_at,
            body=body,
        )

    @property
    def scope(self) -> str:
        """The ledger that it belongs to."""
        return str(Scope(self.source, self.account, self.livemode))


class Purged(Value):
    """How many bodies were deleted. `after`: the row to continue after; None: all others are younger."""

    count: int
    after: int | None


class InboxRow(Value):
    """A stored webhook.

    `compressed_body` is None when it was purged or not asked for. `notes`: the ledger's, once settled; `reason` is then
    all of them. `revenue_event_count`: the revenue events of which it is the first cause. `waiting_since`: when it
    joined the stream of its customer; None: when it was received.
    """

    id: int
    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    status: InboxStatus
    reason: str | None
    notes: tuple[str, ...]
    stream_id: str | None
    attempts: int
    revenue_event_count: int
    retry_at: datetime | None
    settled_at: datetime | None
    waiting_since: datetime | None
    compressed_body: bytes | None

    @property
    def body(self) -> bytes | None:
        """The body as it was received, decompressed each time."""
        return None if self.compressed_body is None else decompress(self.compressed_body)

    @property
    def scope(self) -> str:
        """The ledger that it belongs to."""
        return str(Scope(self.source, self.account, self.livemode))


# ---- Insert ----------------------------------------------------------------------------------------------------


EncodedRow = Mapping[str, object]  # a row as stored, its body compressed: made before the write lock is taken

INSERTED = ("source", "account", "livemode", "event_id", "type", "created_at", "received_at", "status")
COLUMNS_GIVEN = ", ".join(INSERTED)
# PostgreSQL: rows and bodies in one statement, so in one round trip, one array per column. Only this conflict means
# "seen before": silently skipping a row for any other conflict would lose a webhook.
ADD_UNLESS_SEEN = f"""
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
                         %s::text[], %b::bytea[]) AS given ({COLUMNS_GIVEN}, body)
), new AS (
    INSERT INTO inbox ({COLUMNS_GIVEN}) SELECT {COLUMNS_GIVEN} FROM given
    ON CONFLICT (event_id, source) DO NOTHING RETURNING id, event_id, source
), stored AS (
    INSERT INTO bodies (inbox_id, body) SELECT new.id, given.body FROM new JOIN given USING (event_id, source)
)
SELECT id, event_id, source FROM new
"""  # nosec B608: of constants
# SQLite's are plain text: composing and compiling statements took a fifth of the CPU time of a commit of ten rows.
SEEN = "SELECT event_id, source FROM inbox WHERE event_id IN ({})"
LAST_ID = "SELECT coalesce(max(id), 0) FROM inbox"
ADD_SINGLE_WRITER = f"INSERT INTO inbox (id, {COLUMNS_GIVEN}) VALUES (?{', ?' * len(INSERTED)})"  # nosec B608: of constants
ADD_BODIES_SINGLE_WRITER = "INSERT INTO bodies (inbox_id, body) VALUES (?, ?)"


def encode_row(webhook: NewWebhook) -> EncodedRow:
    """The row of a webhook. Characters that PostgreSQL's text cannot hold are replaced: every webhook can be stored."""
    return {
        "source": webhook.source,
        "account": webhook.account if webhook.account is None else _storable(webhook.account),
        "livemode": webhook.livemode,
        "event_id": _storable(webhook.event_id),
        "type": _storable(webhook.type),
        "created_at": webhook.created_at,
        "received_at": webhook.received_at,
        "status": InboxStatus.RECEIVED.value,
        "body": compress(webhook.body),
    }


def insert_new(tx: Connection, rows: Sequence[EncodedRow]) -> list[bool]:
    """Stores the webhooks that were not seen before; for each row, in the order given, whether it is new."""
    firsts: dict[tuple[object, object], EncodedRow] = {}
    for row in rows:
        firsts.setdefault((row["event_id"], row["source"]), row)
    insert_rows = insert_concurrent if tx.dialect.name == "postgresql" else insert_single_writer
    new = insert_rows(tx, firsts)
    return [(row["event_id"], row["source"]) in new and firsts[row["event_id"], row["source"]] is row for row in rows]


def insert_single_writer(
    tx: Connection, rows: Mapping[tuple[object, object], EncodedRow]
) -> dict[tuple[object, object], int]:
    """Inserts under SQLite's write lock: no other writer, so a look before the insert is enough. The new ids by key."""
    seen: set[tuple[object, object]] = set()
    for event_ids in padded_chunks(event_id for event_id, _ in rows):
        query = SEEN.format(", ".join("?" * len(event_ids)))
        seen.update((event_id, source) for event_id, source in tx.exec_driver_sql(query, tuple(event_ids)))
    last_id = tx.exec_driver_sql(LAST_ID).scalar_one()
    new = {key: last_id + n for n, key in enumerate((key for key in rows if key not in seen), start=1)}
    if new:
        values = [(row_id, *_as_stored(rows[key])) for key, row_id in new.items()]
        tx.exec_driver_sql(ADD_SINGLE_WRITER, values)
        tx.exec_driver_sql(ADD_BODIES_SINGLE_WRITER, [(row_id, rows[key]["body"]) for key, row_id in new.items()])
    return new


def insert_concurrent(
    tx: Connection, rows: Mapping[tuple[object, object], EncodedRow]
) -> dict[tuple[object, object], int]:
    """Inserts while other transactions do the same (PostgreSQL). The new ids by key."""
    # Rows are sorted so that concurrent inserts lock in one order and cannot deadlock: an insert waits for the other
    # transaction's uncommitted row of the same key.
    ordered = [rows[key] for key in sorted(rows, key=str)]
    if not ordered:
        return {}
    arrays = [list(values) for values in zip(*map(_as_stored, ordered), strict=True)]
    found = tx.exec_driver_sql(ADD_UNLESS_SEEN, (*arrays, [row["body"] for row in ordered]))
    return {(event_id, source): row_id for row_id, event_id, source in found}


def _as_stored(row: EncodedRow) -> tuple[object, ...]:
    """The values of INSERTED as the driver takes them."""
    values = (row[name] for name in INSERTED)
    return tuple(as_microseconds(value) if isinstance(value, datetime) else value for value in values)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


# ---- Read ------------------------------------------------------------------------------------------------------

# "INDEXED BY": SQLite keeps no statistics on how many rows have which status, and would read all that wait.
COLUMNS = list(inbox.c)
WHOLE = select(*COLUMNS, bodies.c.body).outerjoin(bodies, bodies.c.inbox_id == inbox.c.id)
BY_ID = per_dialect(lambda among: WHOLE.where(among(inbox.c.id, "row_ids")))
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
    lambda among: WHOLE.where(among(inbox.c.stream_id, "stream_ids"), among(inbox.c.status, "statuses")).with_hint(
        inbox, "INDEXED BY ix_inbox_stream", "sqlite"
    )
)
FIND = WHOLE.where(inbox.c.event_id == bindparam("event_id"))
LIST = select(*COLUMNS, literal_column("NULL").label("body")).order_by(inbox.c.id.desc())


def unrouted(tx: Connection, limit: int, now: datetime) -> list[InboxRow]:
    """The next rows to be routed: received, or failed and due to be retried. By id, so in the order received."""
    received = tx.execute(UNROUTED, {"limit": limit}).scalars()
    retried = tx.execute(RETRY, {"limit": limit, "now": now}).scalars()
    rows: list[InboxRow] = []
    for row_ids in padded_chunks(sorted([*received, *retried])[:limit]):
        rows += map(from_row, tx.execute(BY_ID[tx.dialect.name], {"row_ids": row_ids}))
    return sorted(rows, key=lambda row: row.id)


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
    rows = [from_row(row) for row in tx.execute(query, {"event_id": _storable(event_id)})]
    return min(rows, key=lambda row: row.id, default=None)


def by_ids(tx: Connection, row_ids: Iterable[int]) -> list[InboxRow]:
    """The rows with these ids, bodies included."""
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


COUNTS = select(inbox.c.source, inbox.c.status, func.count()).group_by(inbox.c.source, inbox.c.status)
CONFLICTS = select(func.count()).where(
    inbox.c.status == literal("failed"), inbox.c.retry_at.is_(None), inbox.c.reason.startswith(CONFLICT)
)
OLDEST = select(inbox.c.received_at).where(inbox.c.status == bindparam("status")).order_by(inbox.c.id).limit(1)


def counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    """The number of rows by source and status. With a large inbox it may be some seconds old."""
    return cached(tx, "inbox.counts", lambda: _counts(tx), lambda found: sum(found.values()))


def _counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    return {(source, InboxStatus(status)): count for source, status, count in tx.execute(COUNTS)}


def conflict_count(tx: Connection) -> int:
    """The webhooks of revenue events that were not sent, because another stream has reported the same fact."""
    return tx.execute(CONFLICTS).scalar_one()


def oldest_failed(tx: Connection) -> datetime | None:
    """When the first row that has failed was received."""
    found: datetime | None = tx.execute(OLDEST, {"status": InboxStatus.FAILED.value}).scalar()
    return found


def from_row(row: Row[*tuple[object, ...]]) -> InboxRow:
    """A row of the columns of `LIST`."""
    values = row._asdict()
    notes = tuple(json.loads(values["notes"])) if values["notes"] else ()
    values["status"] = InboxStatus(values["status"])
    values["reason"] = values["reason"] or "; ".join(notes) or None
    values["notes"] = notes
    values["compressed_body"] = values.pop("body")
    return InboxRow(**values)


# ---- Change the status -----------------------------------------------------------------------------------------

THIS = inbox.c.id == bindparam("row_id")
ASSIGN = update(inbox).where(THIS).values(
    status=literal("waiting"), stream_id=bindparam("to"), reason=None, retry_at=None, waiting_since=None
)  # fmt: skip
IGNORE = update(inbox).where(THIS).values(
    status=literal("ignored"), reason=bindparam("why"), retry_at=None, settled_at=bindparam("now")
)  # fmt: skip
FAIL = update(inbox).where(THIS).values(
    status=literal("failed"), reason=bindparam("why"), retry_at=bindparam("again"), attempts=inbox.c.attempts + 1
)  # fmt: skip
SETTLE = update(inbox).where(THIS).values(
    status=literal("settled"), reason=None, notes=bindparam("json"), revenue_event_count=bindparam("count"),
    retry_at=None, settled_at=bindparam("now"),
)  # fmt: skip
REPLAY = per_dialect(
    lambda among: (
        update(inbox)
        .where(among(inbox.c.id, "row_ids"), select(bodies.c.inbox_id).where(bodies.c.inbox_id == inbox.c.id).exists())
        .values(
            status=literal("received"), reason=None, notes=None, stream_id=None, retry_at=None, settled_at=None
        )
    )
)  # fmt: skip


def assign(tx: Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Assigns rows to their streams: (row id, stream id)."""
    execute_many(tx, ASSIGN, [{"row_id": row_id, "to": stream_id} for row_id, stream_id in rows])


def ignore(tx: Connection, rows: Iterable[tuple[int, str]], now: datetime) -> None:
    """Marks rows without a fact: (row id, reason)."""
    execute_many(tx, IGNORE, [{"row_id": row_id, "why": _short(reason), "now": now} for row_id, reason in rows])


def fail(tx: Connection, row_id: int, error: str, retry_at: datetime | None) -> None:
    """Marks a row that could not be translated or settled. `retry_at` None: only the operator replays it."""
    tx.execute(FAIL, {"row_id": row_id, "why": _short(error), "again": retry_at})


def mark_settled(tx: Connection, rows: Iterable[tuple[int, int, Sequence[str]]], now: datetime) -> None:
    """Marks rows as settled: (row id, number of revenue events, the ledger's notes)."""
    values = [
        {"row_id": row_id, "count": count, "json": json.dumps(list(notes)) if notes else None, "now": now}
        for row_id, count, notes in rows
    ]
    execute_many(tx, SETTLE, values)


def replay(tx: Connection, row_ids: Iterable[int]) -> int:
    """Processes rows again from the start; returns how many. A row whose body was purged is left as it is."""
    distinct = sorted(set(row_ids))
    return sum(tx.execute(REPLAY[tx.dialect.name], {"row_ids": chunk}).rowcount for chunk in padded_chunks(distinct))


def _short(reason: str) -> str:
    return _storable(reason[:MAX_REASON_LENGTH])


# ---- Retention -------------------------------------------------------------------------------------------------

NEXT_BY_AGE = (
    select(inbox.c.id, inbox.c.received_at, inbox.c.settled_at, inbox.c.status)
    .join_from(bodies, inbox, inbox.c.id == bodies.c.inbox_id)
    .where(bodies.c.inbox_id > bindparam("after"))
    .order_by(bodies.c.inbox_id)
    .limit(bindparam("limit"))
)
PURGE = per_dialect(lambda among: delete(bodies).where(among(bodies.c.inbox_id, "row_ids")))
DONE = (InboxStatus.SETTLED, InboxStatus.IGNORED)
PURGEABLE = (
    select(func.count(), func.coalesce(func.sum(func.length(bodies.c.body)), 0))
    .join_from(bodies, inbox, inbox.c.id == bodies.c.inbox_id)
    .where(
        inbox.c.status.in_(DONE),
        inbox.c.settled_at < bindparam("before"),
        inbox.c.received_at <= bindparam("before"),
    )
)


def purgeable(tx: Connection, settled_before: datetime) -> tuple[int, int]:
    """How many bodies `purge` would delete, and their bytes as stored."""
    count, size = tx.execute(PURGEABLE, {"before": settled_before}).one()
    return int(count), int(size)


def purge(tx: Connection, settled_before: datetime, limit: int, after: int = 0) -> Purged:
    """Reads the next `limit` bodies by age and deletes those whose webhook was settled or ignored before that time.

    The rows stay, so that a late duplicate is still recognised.
    """
    rows = tx.execute(NEXT_BY_AGE, {"after": after, "limit": limit}).all()
    old = [row for row in rows if row.received_at <= settled_before]
    done = [row.id for row in old if row.status in DONE and row.settled_at < settled_before]
    count = sum(tx.execute(PURGE[tx.dialect.name], {"row_ids": chunk}).rowcount for chunk in padded_chunks(done))
    return Purged(count=count, after=old[-1].id if old and len(old) == limit else None)
