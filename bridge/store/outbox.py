"""The outbox: every revenue event, what became of it, and whose turn it is.

    held ──▶ pending ──▶ delivered        dropped    unattributed, and the policy says so
              ▲   │                       kept       test mode or dry run: stored, never sent
              └── dead ◀┘                            `retry` brings the dead back

Held ones go out when their visit becomes known (`release`) or when `hold_until` has come. A customer's events go out
in order: of each stream only the head, its first event that is still held or pending, can be claimed. Which one that
is stands in the row (`is_head`, and `ready_at`: from when on), so that a stream with thousands waiting costs a claim
nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, case, func, select, update

from bridge.store import heads
from bridge.store.statements import chunks, constant, each, either, run_each, unindexed
from bridge.store.count_cache import remembered
from bridge.store.schema import HEAD, OPEN, READY, Instant, outbox

LONGEST_ERROR = 1000


class DeliveryStatus(StrEnum):
    """What became of a revenue event."""

    HELD = "held"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A revenue event for the outbox. `body`: its `data` as JSON. `priority`: live 0 goes before imported 1."""

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
    priority: int = 0
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A revenue event in the outbox. `next_at`: from when on it may be sent.

    `amount` and `mrr_impact` in major units, exact. `event_ids`: the processor's events that it rests on.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a claimed delivery. `next_at`: when it is tried again, for PENDING only."""

    id: int
    status: DeliveryStatus
    attempts: int
    at: datetime
    next_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is still to be sent: how many events, and when the oldest was made."""

    count: int
    oldest: datetime | None


# ---- Coming in -------------------------------------------------------------------------------------------------

ADD = each(lambda insert_into: insert_into(outbox).on_conflict_do_nothing(index_elements=["scope", "output_key"]))
RELEASE = (
    update(outbox)
    .where(outbox.c.scope == bindparam("ledger"), outbox.c.output_key == bindparam("key"))
    .where(unindexed(outbox.c.status) == constant("held"))
    .values(
        status=constant("pending"),
        body=bindparam("text"),
        next_at=outbox.c.created_at,
        ready_at=case((HEAD, outbox.c.created_at)),
    )
)


def add(tx: Connection, deliveries: Iterable[NewDelivery]) -> int:
    """Puts revenue events into the outbox; how many were new. What has a known output key is left as it was."""
    wanted = list(deliveries)
    waiting = {one.stream_id for one in wanted if one.status in (DeliveryStatus.HELD, DeliveryStatus.PENDING)}
    heads.lock(tx, waiting)
    added = run_each(tx, ADD[tx.dialect.name], [_values(one) for one in wanted])
    heads.crown(tx, waiting)
    return added


def release(tx: Connection, scope: str, bodies: Mapping[str, str]) -> int:
    """Lets held events go, by output key, with the body that they have now; how many were still held."""
    rows = [{"ledger": scope, "key": key, "text": body} for key, body in sorted(bodies.items())]
    return run_each(tx, RELEASE, rows)


def _values(one: NewDelivery) -> dict[str, object]:
    held = one.status is DeliveryStatus.HELD and one.hold_until is not None
    return {
        "stream_id": one.stream_id,
        "scope": one.scope,
        "source": one.source,
        "livemode": one.livemode,
        "output_key": one.output_key,
        "status": one.status.value,
        "is_head": False,
        "event_type": one.event_type,
        "currency": one.currency,
        "amount": one.amount,
        "mrr_impact": one.mrr_impact,
        "priority": one.priority,
        "next_at": one.hold_until if held else one.next_at,
        "hold_until": one.hold_until,
        "created_at": one.created_at,
        "event_ids": json.dumps(one.event_ids),
        "body": one.body,
    }


# ---- Going out -------------------------------------------------------------------------------------------------

NEXT = (
    select(outbox)
    .where(READY, outbox.c.ready_at <= bindparam("now"))
    .where(outbox.c.source.not_in(bindparam("paused", expanding=True)))
    .order_by(outbox.c.priority, outbox.c.id)
    .limit(bindparam("limit"))
    .with_hint(outbox, "INDEXED BY ix_outbox_next", "sqlite")
    .with_for_update(skip_locked=True)
)
LEASE = either(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"))
        .values(status=constant("pending"), leased_by=bindparam("owner"), ready_at=bindparam("until"))
    )
)
RELEASE_ALL = (
    update(outbox)
    .where(READY, outbox.c.leased_by == bindparam("owner"))
    .values(leased_by=None, ready_at=outbox.c.next_at)
)
IS_THIS = outbox.c.id == bindparam("row_id")
IS_OPEN = unindexed(outbox.c.status).in_([constant("held"), constant("pending")])
STAYS: BindParameter[bool] = bindparam("stays")
AGAIN = func.coalesce(bindparam("again", type_=Instant), outbox.c.next_at)
RECORD = update(outbox).where(IS_THIS, IS_OPEN).values(
    status=bindparam("became"),
    is_head=case((STAYS, outbox.c.is_head), else_=False),
    attempts=bindparam("tries"),
    next_at=AGAIN,
    ready_at=case((and_(STAYS, HEAD), AGAIN)),
    leased_by=None,
    delivered_at=bindparam("delivered"),
    last_status=bindparam("answer"),
    last_error=bindparam("error"),
)  # fmt: skip
LOCK = either(
    lambda among: (
        select(outbox.c.id, outbox.c.stream_id).where(among(outbox.c.id, "ids")).order_by(outbox.c.id).with_for_update()
    )
)


def claim(
    tx: Connection,
    now: datetime,
    limit: int,
    owner: str,
    lease_until: datetime,
    paused_sources: Iterable[str] = (),
) -> list[Delivery]:
    """The next deliveries, now under lease: heads of their streams whose time has come, by priority, then by age.

    A held one whose hold is over becomes pending, and its body is final from here on.
    """
    query = {"now": now, "limit": limit, "paused": list(paused_sources)}
    rows = tx.execute(NEXT, query).all()
    for chunk in chunks(row.id for row in rows):
        tx.execute(LEASE[tx.dialect.name], {"ids": chunk, "owner": owner, "until": lease_until})
    return [_delivery(row, DeliveryStatus.PENDING) for row in rows]


def release_all(tx: Connection, owner: str) -> int:
    """Gives back what a worker that has ended had claimed: it goes out again at once. How many there were."""
    return tx.execute(RELEASE_ALL, {"owner": owner}).rowcount


def record(tx: Connection, outcomes: Iterable[Outcome]) -> None:
    """Writes down what became of deliveries. What is delivered already stays so; the next of its stream moves up."""
    done = list(outcomes)
    ids = chunks(sorted(one.id for one in done))
    streams = {row.stream_id for chunk in ids for row in tx.execute(LOCK[tx.dialect.name], {"ids": chunk})}
    run_each(tx, RECORD, [_outcome(one) for one in done])
    heads.crown(tx, streams)


def _outcome(one: Outcome) -> dict[str, object]:
    return {
        "row_id": one.id,
        "became": one.status.value,
        "stays": one.status in (DeliveryStatus.PENDING, DeliveryStatus.HELD),
        "tries": one.attempts,
        "again": one.next_at,
        "delivered": one.at if one.status is DeliveryStatus.DELIVERED else None,
        "answer": one.last_status,
        "error": one.last_error and one.last_error[:LONGEST_ERROR].replace("\x00", "\ufffd"),
    }


REVIVE = either(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == constant("dead"))
        .values(status=constant("pending"), attempts=0, next_at=bindparam("now"), leased_by=None)
    )
)
DEAD = either(
    lambda among: (
        select(outbox.c.id, outbox.c.stream_id)
        .where(among(outbox.c.id, "ids"), outbox.c.status == constant("dead"))
        .order_by(outbox.c.id)
    )
)


def retry(tx: Connection, ids: Iterable[int], now: datetime) -> int:
    """Sends dead ones once more, ahead of whatever of their stream waits by now; how many there were."""
    revived = 0
    for chunk in chunks(sorted(ids)):
        dead = tx.execute(DEAD[tx.dialect.name], {"ids": chunk}).all()
        heads.lock(tx, {row.stream_id for row in dead})
        revived += tx.execute(REVIVE[tx.dialect.name], {"ids": chunk, "now": now}).rowcount
        heads.overtake(tx, {row.stream_id: row.id for row in reversed(dead)})
    return revived


# ---- Looking ---------------------------------------------------------------------------------------------------

LIST = select(outbox).order_by(outbox.c.id.desc())
OF_STREAM = select(outbox).where(outbox.c.stream_id == bindparam("stream_id")).order_by(outbox.c.id)
FIND = select(outbox).where(outbox.c.id == bindparam("row_id"))
BACKLOG = select(func.count(), func.min(outbox.c.id)).where(OPEN)
STANDING = (outbox.c.source, outbox.c.livemode, outbox.c.status)
COUNTS = select(outbox.c.source, outbox.c.status, func.count()).group_by(*STANDING)


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
    return [_delivery(row) for row in tx.execute(query)]


def of_stream(tx: Connection, stream_id: str) -> list[Delivery]:
    """Everything that ever came out of a stream, in order."""
    return [_delivery(row) for row in tx.execute(OF_STREAM, {"stream_id": stream_id})]


def find(tx: Connection, delivery_id: int) -> Delivery | None:
    """The delivery with this id."""
    row = tx.execute(FIND, {"row_id": delivery_id}).first()
    return None if row is None else _delivery(row)


def counts(tx: Connection) -> dict[tuple[str, DeliveryStatus], int]:
    """How many deliveries of each source stand where. Over a large outbox the answer may be some seconds old."""
    return remembered(tx, "outbox.counts", lambda: _counts(tx), lambda found: sum(found.values()))


def _counts(tx: Connection) -> dict[tuple[str, DeliveryStatus], int]:
    found: dict[tuple[str, DeliveryStatus], int] = defaultdict(int)
    for source, status, count in tx.execute(COUNTS):
        found[source, DeliveryStatus(status)] += count
    return dict(found)


def backlog(tx: Connection) -> Backlog:
    """What is still to be sent, held or pending."""
    count, oldest_id = tx.execute(BACKLOG).one()
    oldest = None if oldest_id is None else find(tx, oldest_id)
    return Backlog(count=count, oldest=None if oldest is None else oldest.created_at)


def _delivery(row: Row[*tuple[object, ...]], status: DeliveryStatus | None = None) -> Delivery:
    return Delivery(
        id=row.id,
        stream_id=row.stream_id,
        scope=row.scope,
        source=row.source,
        livemode=row.livemode,
        output_key=row.output_key,
        status=status or DeliveryStatus(row.status),
        body=row.body,
        event_type=row.event_type,
        currency=row.currency,
        amount=row.amount,
        mrr_impact=row.mrr_impact,
        attempts=row.attempts,
        next_at=row.next_at,
        hold_until=row.hold_until,
        priority=row.priority,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
        last_status=row.last_status,
        last_error=row.last_error,
        event_ids=tuple(json.loads(row.event_ids)),
    )
