"""The outbox: every revenue event, its delivery status, and the order of delivery.

    held ──▶ pending ──▶ delivered           dropped          unattributed, and `UNATTRIBUTED=drop`
              ▲   │                          not_forwarded    test mode or dry run: stored, not sent
              └─ failed ◀┘                                    `retry` makes a failed one pending again

A held event is sent when its attribution is found (`release`) or at `hold_until`. Each customer's events are sent in
order: of each stream only the head, its first event that is held or pending, can be claimed. The head is marked in its
row (`is_head`, and `ready_at`: when it can be claimed), so that a claim costs the same however many events wait.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ARRAY, BindParameter, Connection, Row, Text, and_, bindparam, case, func, select, update

from bridge.store import delivery_columns
from bridge.store.count_cache import cached
from bridge.store.schema import HEAD, OPEN, READY, Instant, outbox
from bridge.store.statements import (
    execute_many,
    insert_per_dialect,
    literal,
    padded_chunks,
    per_dialect,
    unindexed,
)
from processors.values import immutable

MAX_ERROR_LENGTH = 1000
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


@immutable
class NewDelivery:
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


@immutable
class Delivery:
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


@immutable
class Outcome:
    """The result of an attempt at a claimed delivery. `next_at`: when it is retried, for PENDING only."""

    id: int
    status: DeliveryStatus
    attempts: int
    at: datetime
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


@immutable
class Backlog:
    """The events still to be sent: how many, and when the oldest was created."""

    count: int
    oldest: datetime | None


# ---- Heads -----------------------------------------------------------------------------------------------------

HEADS = per_dialect(
    lambda among: select(outbox.c.id, outbox.c.stream_id).where(among(outbox.c.stream_id, "stream_ids"), HEAD)
)
LOCK_HEADS = per_dialect(
    lambda among: (
        select(outbox.c.stream_id)
        .where(among(outbox.c.stream_id, "stream_ids"), HEAD)
        .order_by(outbox.c.id)
        .with_for_update()
    )
)
WITHOUT_HEAD: BindParameter[Sequence[str]] = bindparam("without_head", type_=ARRAY(Text))
without_head = func.unnest(WITHOUT_HEAD).table_valued("stream_id", name="without_head").render_derived()
first = outbox.alias("first")
IS_OPEN_FIRST = first.c.status.in_([literal("held"), literal("pending")])
FIRST_OPEN = select(func.min(first.c.id)).with_hint(first, "INDEXED BY ix_outbox_open", "sqlite")
PROMOTE = update(outbox).values(is_head=True, ready_at=outbox.c.next_at)
PROMOTE_ONE = PROMOTE.where(
    outbox.c.id == FIRST_OPEN.where(first.c.stream_id == bindparam("promoted"), IS_OPEN_FIRST).scalar_subquery()
)
FIRST_OF_EACH = FIRST_OPEN.where(first.c.stream_id == without_head.c.stream_id, IS_OPEN_FIRST).correlate(without_head)
PROMOTE_ALL = PROMOTE.where(
    outbox.c.id.in_(select(FIRST_OF_EACH.scalar_subquery()).select_from(without_head)), ~outbox.c.is_head
).returning(outbox.c.stream_id)
DEMOTE = per_dialect(lambda among: update(outbox).where(among(outbox.c.id, "ids")).values(is_head=False, ready_at=None))
BEFORE_LIVE = per_dialect(
    lambda among: (
        select(first.c.id)
        .where(among(first.c.stream_id, "stream_ids"), IS_OPEN_FIRST, first.c.priority > LIVE)
        .with_hint(first, "INDEXED BY ix_outbox_open", "sqlite")
    )
)
HASTEN = per_dialect(lambda among: update(outbox).where(among(outbox.c.id, "ids")).values(priority=LIVE))


def lock_heads(tx: Connection, stream_ids: Iterable[str]) -> set[str]:
    """Locks the heads of these streams until the transaction ends; returns the streams that have one (PostgreSQL).

    Each transaction that adds to a stream or takes its head away locks the head first. Otherwise one that adds behind
    the head and one that records its delivery would not see each other, and the stream would be left without a head.
    SQLite has a single writer.
    """
    if tx.dialect.name != "postgresql":
        return set()
    found: set[str] = set()
    for chunk in padded_chunks(sorted(stream_ids)):  # sorted: all lock in one order and cannot deadlock
        found |= {row.stream_id for row in tx.execute(LOCK_HEADS[tx.dialect.name], {"stream_ids": chunk})}
    return found


def promote_next(tx: Connection, stream_ids: Collection[str]) -> None:
    """Makes the first open event of each stream without a head its head.

    On PostgreSQL this repeats until each head is locked. A head that was waited for may have been recorded, and its
    successor is not locked: the transaction that records the successor would not see what this one has added.
    """
    if tx.dialect.name != "postgresql":
        waiting = sorted(set(stream_ids) - _headed(tx, stream_ids))
        execute_many(tx, PROMOTE_ONE, [{"promoted": stream_id} for stream_id in waiting])
        return
    unlocked = set(stream_ids)
    while unlocked:
        unlocked -= lock_heads(tx, unlocked)
        unlocked -= _promote_all(tx, unlocked)
        unlocked &= _headed(tx, unlocked)


def _headed(tx: Connection, stream_ids: Collection[str]) -> set[str]:
    """Those of the streams that have a head."""
    statement = HEADS[tx.dialect.name]
    return {
        row.stream_id for chunk in padded_chunks(stream_ids) for row in tx.execute(statement, {"stream_ids": chunk})
    }


def _promote_all(tx: Connection, stream_ids: Collection[str]) -> set[str]:
    """Promotes on PostgreSQL; returns the streams whose first open event was no head."""
    if not stream_ids:
        return set()
    return {row.stream_id for row in tx.execute(PROMOTE_ALL, {"without_head": sorted(stream_ids)})}


def requeue_before(tx: Connection, revived: Mapping[str, int]) -> None:
    """Makes revived events (id by stream) heads where they precede the present head, which may be in flight."""
    heads = [
        row for chunk in padded_chunks(revived) for row in tx.execute(HEADS[tx.dialect.name], {"stream_ids": chunk})
    ]
    for chunk in padded_chunks(row.id for row in heads if revived[row.stream_id] < row.id):
        tx.execute(DEMOTE[tx.dialect.name], {"ids": chunk})
    promote_next(tx, revived.keys())


# ---- Add and release -------------------------------------------------------------------------------------------

ADD = insert_per_dialect(
    lambda insert_into: insert_into(outbox).on_conflict_do_nothing(index_elements=["scope", "output_key"])
)
RELEASE = (
    update(outbox)
    .where(outbox.c.scope == bindparam("ledger"), outbox.c.output_key == bindparam("key"))
    .where(unindexed(outbox.c.status).in_([literal("held"), literal("not_forwarded")]))
    .values(
        status=case((outbox.c.status == literal("held"), literal("pending")), else_=outbox.c.status),
        body=bindparam("text"),
        customer_id=bindparam("whose"),
        attribution=bindparam("place"),
        next_at=outbox.c.created_at,
        ready_at=case((HEAD, outbox.c.created_at)),
    )
)


def add(tx: Connection, deliveries: Iterable[NewDelivery]) -> int:
    """Adds revenue events; returns how many are new. A known output key is left unchanged: one fact, one event."""
    wanted = list(deliveries)
    waiting = {one.stream_id for one in wanted if one.status in UNSENT}
    lock_heads(tx, waiting)
    added = execute_many(tx, ADD[tx.dialect.name], [_values(one) for one in wanted])
    _hasten(tx, {one.stream_id for one in wanted if one.status in UNSENT and one.priority == LIVE})
    promote_next(tx, waiting)
    return added


def _hasten(tx: Connection, stream_ids: Iterable[str]) -> None:
    """Gives imported events the priority of the live ones of their customers, which wait for them."""
    ids = [
        row.id
        for chunk in padded_chunks(sorted(stream_ids))
        for row in tx.execute(BEFORE_LIVE[tx.dialect.name], {"stream_ids": chunk})
    ]
    for chunk in padded_chunks(ids):
        tx.execute(HASTEN[tx.dialect.name], {"ids": chunk})


def release(tx: Connection, scope: str, bodies: Mapping[str, str]) -> int:
    """Makes held events pending, by output key, with their new body; returns how many were still held.

    Those that are not forwarded get the new body too, and keep their status: they may be sent later.
    """
    rows = [
        {"ledger": scope, "key": key, "text": body, "whose": read.customer_id, "place": read.attribution}
        for key, body in sorted(bodies.items())
        for read in [delivery_columns.read(body)]
    ]
    return execute_many(tx, RELEASE, rows)


NEW_COLUMNS = [field.name for field in fields(NewDelivery)]


def _values(one: NewDelivery) -> dict[str, object]:
    held = one.status is DeliveryStatus.HELD and one.hold_until is not None
    return {name: getattr(one, name) for name in NEW_COLUMNS} | {
        "status": one.status.value,
        "is_head": False,
        "next_at": one.hold_until if held else one.next_at,
        "event_ids": json.dumps(one.event_ids),
        **delivery_columns.row(one.body, one.created_at, one.event_type, one.amount, one.mrr_impact),
    }


# ---- Claim and record ------------------------------------------------------------------------------------------

# SKIP LOCKED: senders that claim at once get different rows and never wait for each other. The row lock ends with the
# transaction; while the request is on its way the lease (`ready_at` in the future) keeps others away, so that no lock
# is held over HTTP, and a killed sender's claims are sent again after it.
NEXT = (
    select(outbox)
    .where(READY, outbox.c.ready_at <= bindparam("now"))
    .where(outbox.c.priority <= bindparam("last_priority"))
    .where(outbox.c.source.not_in(bindparam("paused", expanding=True)))
    .order_by(outbox.c.priority, outbox.c.id)
    .limit(bindparam("limit"))
    .with_hint(outbox, "INDEXED BY ix_outbox_next", "sqlite")
    .with_for_update(skip_locked=True)
)
ANY_READY = select(outbox.c.id).where(READY, outbox.c.ready_at <= bindparam("now")).limit(1).with_hint(
    outbox, "INDEXED BY ix_outbox_next", "sqlite"
)  # fmt: skip
LEASE = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"))
        .values(status=literal("pending"), leased_by=bindparam("owner"), ready_at=bindparam("until"))
    )
)
RELEASE_ALL = (
    update(outbox)
    .where(READY, outbox.c.leased_by == bindparam("owner"))
    .values(leased_by=None, ready_at=outbox.c.next_at)
)
IS_THIS = outbox.c.id == bindparam("row_id")
IS_OPEN = unindexed(outbox.c.status).in_([literal("held"), literal("pending")])
STAYS: BindParameter[bool] = bindparam("stays")
AGAIN = func.coalesce(bindparam("again", type_=Instant), outbox.c.next_at)
RECORD = update(outbox).where(IS_THIS, IS_OPEN).values(
    status=bindparam("became"),
    is_head=case((STAYS, outbox.c.is_head), else_=False),
    attempts=bindparam("attempts_used"),
    next_at=AGAIN,
    ready_at=case((and_(STAYS, HEAD), AGAIN)),
    leased_by=None,
    delivered_at=bindparam("delivered"),
    last_status=bindparam("response"),
    last_error=bindparam("error"),
)  # fmt: skip
LOCK = per_dialect(
    lambda among: (
        select(outbox.c.id, outbox.c.stream_id).where(among(outbox.c.id, "ids")).order_by(outbox.c.id).with_for_update()
    )
)


def is_any_ready(tx: Connection, now: datetime) -> bool:
    """Whether there is anything to claim, pauses and limits aside."""
    return tx.execute(ANY_READY, {"now": now}).first() is not None


def claim(
    tx: Connection,
    now: datetime,
    limit: int,
    owner: str,
    lease_until: datetime,
    paused_sources: Iterable[str] = (),
    last_priority: int = IMPORTED,
) -> list[Delivery]:
    """Claims the next deliveries under a lease: heads of their streams that are ready, by priority, then by age.

    A held one whose hold is over becomes pending, and its body is final from here on.
    """
    query = {"now": now, "limit": limit, "paused": list(paused_sources), "last_priority": last_priority}
    rows = tx.execute(NEXT, query).all()
    for chunk in padded_chunks(row.id for row in rows):
        tx.execute(LEASE[tx.dialect.name], {"ids": chunk, "owner": owner, "until": lease_until})
    return [from_row(row, DeliveryStatus.PENDING) for row in rows]


def release_all(tx: Connection, owner: str) -> int:
    """Releases the claims of a worker that has ended, to be sent again at once; returns how many."""
    return tx.execute(RELEASE_ALL, {"owner": owner}).rowcount


def record(tx: Connection, outcomes: Iterable[Outcome]) -> None:
    """Records the results of attempts and promotes the next event of each stream. Delivered ones stay delivered."""
    done = list(outcomes)
    ids = padded_chunks(sorted(one.id for one in done))
    streams = {row.stream_id for chunk in ids for row in tx.execute(LOCK[tx.dialect.name], {"ids": chunk})}
    execute_many(tx, RECORD, [_outcome(one) for one in done])
    promote_next(tx, streams)


def _outcome(one: Outcome) -> dict[str, object]:
    return {
        "row_id": one.id,
        "became": one.status.value,
        "stays": one.status in UNSENT,
        "attempts_used": one.attempts,
        "again": one.next_at,
        "delivered": one.at if one.status is DeliveryStatus.DELIVERED else None,
        "response": one.last_status,
        "error": one.last_error and one.last_error[:MAX_ERROR_LENGTH].replace("\x00", "\ufffd"),
    }


REVIVE = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("failed"))
        .values(status=literal("pending"), attempts=0, next_at=bindparam("now"), leased_by=None)
    )
)
FAILED = per_dialect(
    lambda among: (
        select(outbox.c.id, outbox.c.stream_id)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("failed"))
        .order_by(outbox.c.id)
    )
)


def retry(tx: Connection, ids: Iterable[int], now: datetime) -> int:
    """Makes failed ones pending again, ahead of the rest of their stream; returns how many."""
    revived = 0
    for chunk in padded_chunks(sorted(ids)):
        failed = tx.execute(FAILED[tx.dialect.name], {"ids": chunk}).all()
        lock_heads(tx, {row.stream_id for row in failed})
        revived += tx.execute(REVIVE[tx.dialect.name], {"ids": chunk, "now": now}).rowcount
        requeue_before(tx, {row.stream_id: row.id for row in reversed(failed)})
    return revived


# ---- Read ------------------------------------------------------------------------------------------------------

LIST = select(outbox).order_by(outbox.c.id.desc())
OF_STREAM = select(outbox).where(outbox.c.stream_id == bindparam("stream_id")).order_by(outbox.c.id)
FIND = select(outbox).where(outbox.c.id == bindparam("row_id"))
BACKLOG = select(func.count(), func.min(outbox.c.id)).where(OPEN)
CLAIM_COLUMNS = {"is_head", "ready_at", "leased_by"}
SUM_COLUMNS = {"day", "amount_sum", "mrr_sum"}
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
    values = {name: value for name, value in row._mapping.items() if name not in CLAIM_COLUMNS | SUM_COLUMNS}
    return Delivery(
        **values | {"status": status or DeliveryStatus(row.status), "event_ids": tuple(json.loads(row.event_ids))}
    )
