"""The inbox: every webhook that was proven, as it came, and what became of it.

    received ──▶ waiting ──▶ settled
     │  ▲  │        │
     │  │  └────────┼──────▶ ignored     it tells nothing, with its reason
     ▼  │           ▼
    failed ◀────────┘                    tried again at `retry_at`, or left for the operator (None)

`waiting` means: it was given to a stream, which will settle it. `replay` leads back to received from everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects import postgresql

from bridge.store.statements import chunks, constant, either, listed, run_each
from bridge.store.count_cache import remembered
from bridge.store.schema import RECEIVED, RETRIED, bodies, inbox, packed, unpacked

LONGEST_REASON = 1000


class InboxStatus(StrEnum):
    """What became of a stored webhook."""

    RECEIVED = "received"
    WAITING = "waiting"
    SETTLED = "settled"
    IGNORED = "ignored"
    FAILED = "failed"


UNSETTLED = (InboxStatus.RECEIVED, InboxStatus.WAITING, InboxStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """A proven webhook that is to be stored. `body`: the bytes that were signed."""

    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    body: bytes

    @property
    def scope(self) -> str:
        """The ledger that it belongs to."""
        return scope_of(self.source, self.account, self.livemode)


REGISTERED = "bridge.attribution"  # the type of what the merchant's own program tells, stored like a webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How many bodies were dropped. `after`: the row to go on after; None: what is left is younger."""

    count: int
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A stored webhook. `body` None: it was purged, or not asked for. `produced`: revenue events that rest on it."""

    id: int
    scope: str
    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    status: InboxStatus
    reason: str | None
    stream_id: str | None
    attempts: int
    produced: int
    retry_at: datetime | None
    settled_at: datetime | None
    body: bytes | None


def scope_of(source: str, account: str | None, livemode: bool) -> str:
    """The ledger of a source's account: live and test money never mix."""
    return f"{source}|{account or ''}|{'live' if livemode else 'test'}"


def account_of(scope: str) -> str | None:
    """The connected account that a ledger belongs to; None: the source's own."""
    return scope.partition("|")[2].rpartition("|")[0] or None


# ---- Arriving --------------------------------------------------------------------------------------------------


Ready = Mapping[str, object]  # a row as it is stored, with its body packed: made before anyone waits for a lock

ARRIVED = ("source", "account", "livemode", "event_id", "type", "created_at", "received_at", "status")
ADD_ROWS = insert(inbox)
ADD_BODIES = insert(bodies)
# Only this conflict means that an event was seen: another, passed over in silence, would be a loss.
ADD_UNLESS_SEEN = (
    postgresql.insert(inbox)
    .from_select(ARRIVED, listed(inbox.c[name] for name in ARRIVED))
    .on_conflict_do_nothing(index_elements=["event_id", "source"])
    .returning(inbox.c.id, inbox.c.event_id, inbox.c.source)
)
SEEN = select(inbox.c.event_id, inbox.c.source).where(inbox.c.event_id.in_(bindparam("event_ids", expanding=True)))
LAST_ID = select(func.coalesce(func.max(inbox.c.id), 0))


def ready(arrival: NewWebhook) -> Ready:
    """The row of an arrival. What PostgreSQL's text cannot hold is replaced: whatever was proven can be stored."""
    return {
        "source": arrival.source,
        "account": arrival.account if arrival.account is None else _writable(arrival.account),
        "livemode": arrival.livemode,
        "event_id": _writable(arrival.event_id),
        "type": _writable(arrival.type),
        "created_at": arrival.created_at,
        "received_at": arrival.received_at,
        "status": InboxStatus.RECEIVED.value,
        "body": packed(arrival.body),
    }


def store(tx: Connection, rows: Sequence[Ready]) -> list[bool]:
    """Stores those that were not seen before; for each, in the order given, whether it is new."""
    firsts: dict[tuple[object, object], Ready] = {}
    for row in rows:
        firsts.setdefault((row["event_id"], row["source"]), row)
    keep = _keep_among_others if tx.dialect.name == "postgresql" else _keep_alone
    fresh = keep(tx, firsts)
    run_each(tx, ADD_BODIES, [{"inbox_id": row_id, "body": firsts[key]["body"]} for key, row_id in fresh.items()])
    return [(row["event_id"], row["source"]) in fresh and firsts[row["event_id"], row["source"]] is row for row in rows]


def _keep_alone(tx: Connection, rows: Mapping[tuple[object, object], Ready]) -> dict[tuple[object, object], int]:
    """The ids of what is new, for a database that nobody else writes to meanwhile: looking before is enough."""
    seen: set[tuple[object, object]] = set()
    for event_ids in chunks(event_id for event_id, _ in rows):
        seen |= {(row.event_id, row.source) for row in tx.execute(SEEN, {"event_ids": event_ids})}
    last_id = tx.execute(LAST_ID).scalar_one()
    fresh = {key: last_id + n for n, key in enumerate((key for key in rows if key not in seen), start=1)}
    run_each(tx, ADD_ROWS, [{"id": row_id, **_without_body(rows[key])} for key, row_id in fresh.items()])
    return fresh


def _keep_among_others(tx: Connection, rows: Mapping[tuple[object, object], Ready]) -> dict[tuple[object, object], int]:
    """The ids of what is new, while others write too: in one order for all, lest two wait for each other."""
    ordered = [rows[key] for key in sorted(rows, key=str)]
    lists = {name: [row[name] for row in ordered] for name in ARRIVED}
    return {(row.event_id, row.source): row.id for row in tx.execute(ADD_UNLESS_SEEN, lists)}


def _without_body(row: Ready) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "body"}


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


# ---- Reading ---------------------------------------------------------------------------------------------------

PLAIN = [inbox.c[name] for name in (
    "id", "source", "account", "livemode", "event_id", "type", "created_at", "received_at", "status", "reason",
    "stream_id", "attempts", "produced", "retry_at", "settled_at",
)]  # fmt: skip
WHOLE = select(*PLAIN, bodies.c.body).outerjoin(bodies, bodies.c.inbox_id == inbox.c.id)
THESE = either(lambda among: WHOLE.where(among(inbox.c.id, "row_ids")))
FRESH = (
    select(inbox.c.id)
    .where(RECEIVED)
    .order_by(inbox.c.id)
    .limit(bindparam("limit"))
    .with_hint(inbox, "INDEXED BY ix_inbox_fresh", "sqlite")
)
FIRST_FRESH = (
    select(inbox.c.received_at)
    .where(RECEIVED)
    .order_by(inbox.c.id)
    .limit(1)
    .with_hint(inbox, "INDEXED BY ix_inbox_fresh", "sqlite")
)
RETRY = (
    select(inbox.c.id)
    .where(RETRIED, inbox.c.retry_at <= bindparam("now"))
    .order_by(inbox.c.retry_at)
    .limit(bindparam("limit"))
    .with_hint(inbox, "INDEXED BY ix_inbox_retry", "sqlite")
)
OF_STREAMS = either(
    lambda among: WHOLE.where(among(inbox.c.stream_id, "stream_ids"), among(inbox.c.status, "statuses")).with_hint(
        inbox, "INDEXED BY ix_inbox_stream", "sqlite"
    )  # left to itself it would look at all that wait
)
FIND = WHOLE.where(inbox.c.event_id == bindparam("event_id"))
LIST = select(*PLAIN, literal_column("NULL").label("body")).order_by(inbox.c.id.desc())


def fresh(tx: Connection, limit: int, now: datetime) -> list[InboxRow]:
    """What is to be routed: received, or failed and due to be tried again. By id, so in the order of arrival."""
    received = tx.execute(FRESH, {"limit": limit}).scalars()
    retried = tx.execute(RETRY, {"limit": limit, "now": now}).scalars()
    rows: list[InboxRow] = []
    for row_ids in chunks(sorted([*received, *retried])[:limit]):
        rows += map(_row, tx.execute(THESE[tx.dialect.name], {"row_ids": row_ids}))
    return sorted(rows, key=lambda row: row.id)


def routed_until(tx: Connection, now: datetime) -> datetime:
    """Up to when everything that has arrived has been routed."""
    first: datetime | None = tx.execute(FIRST_FRESH).scalar()
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
    for chunk in chunks(stream_ids):
        rows += map(_row, tx.execute(OF_STREAMS[tx.dialect.name], {"stream_ids": chunk, "statuses": wanted}))
    return sorted(rows, key=lambda row: row.id)


def find(tx: Connection, event_id: str, source: str | None = None) -> InboxRow | None:
    """The row of a processor's event id, body included; of several sources' that which came first."""
    query = FIND if source is None else FIND.where(inbox.c.source == source)
    rows = [_row(row) for row in tx.execute(query, {"event_id": _writable(event_id)})]
    return min(rows, key=lambda row: row.id, default=None)


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
        return [
            _row(row) for row in tx.execute(query if status is None else query.where(inbox.c.status == status.value))
        ]
    query = query.where(inbox.c.source == source, inbox.c.status == bindparam("status"))
    statuses = InboxStatus if status is None else (status,)  # one look into the index for each
    rows = [_row(row) for wanted in statuses for row in tx.execute(query, {"status": wanted.value})]
    return sorted(rows, key=lambda row: row.id, reverse=True)[:limit]


COUNTS = select(inbox.c.source, inbox.c.status, func.count()).group_by(inbox.c.source, inbox.c.status)
OLDEST = select(inbox.c.received_at).where(inbox.c.status == bindparam("status")).order_by(inbox.c.id).limit(1)


def counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    """How many rows of each source stand where. Over a large inbox the answer may be some seconds old."""
    return remembered(tx, "inbox.counts", lambda: _counts(tx), lambda found: sum(found.values()))


def _counts(tx: Connection) -> dict[tuple[str, InboxStatus], int]:
    return {(source, InboxStatus(status)): count for source, status, count in tx.execute(COUNTS)}


def oldest_unsettled(tx: Connection) -> datetime | None:
    """When the oldest of the rows that are not through yet arrived."""
    firsts = [tx.execute(OLDEST, {"status": status.value}).scalar() for status in UNSETTLED]
    return min((at for at in firsts if at is not None), default=None)


# ---- What became of it -----------------------------------------------------------------------------------------

THIS = inbox.c.id == bindparam("row_id")
ASSIGN = (
    update(inbox).where(THIS).values(status=constant("waiting"), stream_id=bindparam("to"), reason=None, retry_at=None)
)
IGNORE = (
    update(inbox)
    .where(THIS)
    .values(status=constant("ignored"), reason=bindparam("why"), retry_at=None, settled_at=bindparam("now"))
)
FAIL = (
    update(inbox)
    .where(THIS)
    .values(
        status=constant("failed"), reason=bindparam("why"), retry_at=bindparam("again"), attempts=inbox.c.attempts + 1
    )
)
SETTLE = update(inbox).where(THIS).values(
    status=constant("settled"), reason=bindparam("why"), produced=bindparam("events"), retry_at=None,
    settled_at=bindparam("now"),
)  # fmt: skip
REPLAY = either(
    lambda among: (
        update(inbox)
        .where(among(inbox.c.id, "row_ids"), select(bodies.c.inbox_id).where(bodies.c.inbox_id == inbox.c.id).exists())
        .values(status=constant("received"), reason=None, stream_id=None, retry_at=None, settled_at=None)
    )
)


def assign(tx: Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Gives rows to their streams: (row id, stream id)."""
    run_each(tx, ASSIGN, [{"row_id": row_id, "to": stream_id} for row_id, stream_id in rows])


def ignore(tx: Connection, rows: Iterable[tuple[int, str]], now: datetime) -> None:
    """Marks rows that tell nothing: (row id, reason)."""
    run_each(tx, IGNORE, [{"row_id": row_id, "why": _short(reason), "now": now} for row_id, reason in rows])


def fail(tx: Connection, row_id: int, error: str, retry_at: datetime | None) -> None:
    """Marks a row that could not be read or settled. `retry_at` None: only the operator brings it back."""
    tx.execute(FAIL, {"row_id": row_id, "why": _short(error), "again": retry_at})


def mark_settled(tx: Connection, rows: Iterable[tuple[int, int, str | None]], now: datetime) -> None:
    """Marks rows as settled: (row id, revenue events that rest on it, a remark or None)."""
    run_each(
        tx,
        SETTLE,
        [
            {"row_id": row_id, "events": produced, "why": remark and _short(remark), "now": now}
            for row_id, produced, remark in rows
        ],
    )


def replay(tx: Connection, row_ids: Iterable[int]) -> int:
    """Sends rows through the house once more; how many. A row whose body was purged stays where it is."""
    distinct = set(row_ids)
    return sum(tx.execute(REPLAY[tx.dialect.name], {"row_ids": chunk}).rowcount for chunk in chunks(sorted(distinct)))


# ---- Forgetting ------------------------------------------------------------------------------------------------

NEXT_BY_AGE = (
    select(inbox.c.id, inbox.c.received_at, inbox.c.settled_at, inbox.c.status)
    .join_from(bodies, inbox, inbox.c.id == bodies.c.inbox_id)
    .where(bodies.c.inbox_id > bindparam("after"))
    .order_by(bodies.c.inbox_id)
    .limit(bindparam("limit"))
)
PURGE = either(lambda among: delete(bodies).where(among(bodies.c.inbox_id, "row_ids")))
SERVED = (InboxStatus.SETTLED, InboxStatus.IGNORED)


def purge(tx: Connection, settled_before: datetime, limit: int, after: int = 0) -> Purged:
    """Looks at the next so many bodies by age and drops those that have served.

    The rows stay, so that nothing is ever taken twice. However long the history, only `limit` rows are read.
    """
    rows = tx.execute(NEXT_BY_AGE, {"after": after, "limit": limit}).all()
    old = [row for row in rows if row.received_at <= settled_before]
    served = [row.id for row in old if row.status in SERVED and row.settled_at < settled_before]
    count = sum(tx.execute(PURGE[tx.dialect.name], {"row_ids": chunk}).rowcount for chunk in chunks(served))
    return Purged(count=count, after=old[-1].id if old and len(old) == limit else None)


def _row(row: Row[*tuple[object, ...]]) -> InboxRow:
    source, account, livemode, body = row.source, row.account, row.livemode, row.body
    return InboxRow(
        id=row.id,
        scope=scope_of(source, account, livemode),
        source=source,
        account=account,
        livemode=livemode,
        event_id=row.event_id,
        type=row.type,
        created_at=row.created_at,
        received_at=row.received_at,
        status=InboxStatus(row.status),
        reason=row.reason,
        stream_id=row.stream_id,
        attempts=row.attempts,
        produced=row.revenue_event_count,
        retry_at=row.retry_at,
        settled_at=row.settled_at,
        body=None if body is None else unpacked(body),
    )


def _short(reason: str) -> str:
    return _writable(reason[:LONGEST_REASON])
