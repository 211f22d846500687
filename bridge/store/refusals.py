"""Refused webhooks, counted by source, cause and hour: bounded, however many are refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Insert, bindparam, case, delete, func, literal, select

from bridge.store.schema import EPOCH, Instant, refused_webhooks
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect
from processors.values import Value, asdict

RETENTION = timedelta(days=30)


class Refusals(Value):
    """How many webhooks of one source were refused for one cause in the hour that begins at `hour`."""

    source: str
    cause: str
    hour: datetime
    count: int
    last_at: datetime


class RefusalSum(Value):
    """How many webhooks of one source were refused for one cause since some time, and when the last one was."""

    source: str
    cause: str
    count: int
    last_at: datetime


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(refused_webhooks)
    new, old = insert.excluded, refused_webhooks.c
    return insert.on_conflict_do_update(
        index_elements=["source", "cause", "hour"],
        set_={
            "count": old.count + new.count,
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
        },
    )


ADD = insert_per_dialect(_upsert)
IS_OLD = (refused_webhooks.c.hour > EPOCH) & (refused_webhooks.c.hour < bindparam("before"))
DELETE_OLD = delete(refused_webhooks).where(IS_OLD)
# Old hours are added up in one row for each source and cause, so that the total never falls.
ADD_OLD = insert_per_dialect(
    lambda insert_into: _upsert(insert_into).from_select(
        ["source", "cause", "hour", "count", "last_at"],
        select(
            refused_webhooks.c.source,
            refused_webhooks.c.cause,
            literal(EPOCH, Instant),
            func.sum(refused_webhooks.c.count),
            func.max(refused_webhooks.c.last_at),
        )
        .where(IS_OLD)
        .group_by(refused_webhooks.c.source, refused_webhooks.c.cause),
    )
)
HAS_OLD = select(refused_webhooks.c.hour).where(IS_OLD).limit(1)
TOTALS = (
    select(refused_webhooks.c.source, refused_webhooks.c.cause, func.sum(refused_webhooks.c.count))
    .group_by(refused_webhooks.c.source, refused_webhooks.c.cause)
    .order_by(refused_webhooks.c.source, refused_webhooks.c.cause)
)
SINCE = (
    select(
        refused_webhooks.c.source,
        refused_webhooks.c.cause,
        func.sum(refused_webhooks.c.count).label("count"),
        func.max(refused_webhooks.c.last_at).label("last_at"),
    )
    .where(refused_webhooks.c.hour >= bindparam("since"))
    .group_by(refused_webhooks.c.source, refused_webhooks.c.cause)
    .order_by(func.max(refused_webhooks.c.last_at).desc())
)


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def add(tx: Connection, refused: Iterable[Refusals], now: datetime) -> None:
    """Adds to the counters, and adds up those older than 30 days in one row for each source and cause."""
    ordered = sorted(refused, key=lambda one: (one.source, one.cause, one.hour))  # one order of locks for all processes
    execute_many(tx, ADD[tx.dialect.name], [asdict(one) for one in ordered])
    old = {"before": hour_of(now - RETENTION)}
    if tx.execute(HAS_OLD, old).first() is not None:
        tx.execute(ADD_OLD[tx.dialect.name], old)
        tx.execute(DELETE_OLD, old)


def totals(tx: Connection) -> list[tuple[str, str, int]]:
    """Source, cause and number of all refused webhooks ever."""
    return [(source, cause, int(count)) for source, cause, count in tx.execute(TOTALS)]


def since(tx: Connection, at: datetime) -> list[RefusalSum]:
    """The refused webhooks since the beginning of that hour, by source and cause; the latest first."""
    return [
        RefusalSum(source=source, cause=cause, count=int(count), last_at=last_at)
        for source, cause, count, last_at in tx.execute(SINCE, {"since": hour_of(at)})
    ]
