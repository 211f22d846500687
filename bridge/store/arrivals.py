"""Accepted webhooks, counted by source and hour: how often a source sends, whatever the length of its history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, Insert, bindparam, case, delete, func, select, type_coerce

from bridge.store.refusals import hour_of
from bridge.store.schema import arrivals
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect
from processors.values import Value, asdict

RETENTION = timedelta(days=60)
MICROSECONDS_AN_HOUR = 3600 * 1_000_000


class Arrivals(Value):
    """How many webhooks of one source were accepted in the hour that begins at `hour`, and when the last one was."""

    source: str
    hour: datetime
    count: int
    last_at: datetime


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(arrivals)
    new, old = insert.excluded, arrivals.c
    return insert.on_conflict_do_update(
        index_elements=["source", "hour"],
        set_={
            "count": old.count + new.count,
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
        },
    )


ADD = insert_per_dialect(_upsert)
DELETE_OLD = delete(arrivals).where(arrivals.c.hour < bindparam("before"))
OF_SOURCE = (
    select(arrivals.c.source, arrivals.c.hour, arrivals.c["count"], arrivals.c.last_at)
    .where(arrivals.c.source == bindparam("whose"), arrivals.c.hour >= bindparam("since"))
    .order_by(arrivals.c.hour)
)
# As the stored numbers: a source has up to 1,440 of them, and they are read every few seconds.
HOURS_OF_SOURCE = (
    select(type_coerce(arrivals.c.hour, BigInteger))
    .where(arrivals.c.source == bindparam("whose"), arrivals.c.hour >= bindparam("since"))
    .order_by(arrivals.c.hour)
)
LAST_AT = select(func.max(arrivals.c.last_at)).where(arrivals.c.source == bindparam("whose"))


def add(tx: Connection, accepted: Iterable[Arrivals], now: datetime) -> None:
    """Adds to the counters, and deletes those older than 60 days."""
    ordered = sorted(accepted, key=lambda one: (one.source, one.hour))  # one order of locks for all processes
    execute_many(tx, ADD[tx.dialect.name], [asdict(one) for one in ordered])
    tx.execute(DELETE_OLD, {"before": hour_of(now - RETENTION)})


def of_source(tx: Connection, source: str, since: datetime) -> list[Arrivals]:
    """The hours of a source in which webhooks arrived, since the beginning of that hour, oldest first."""
    rows = tx.execute(OF_SOURCE, {"whose": source, "since": hour_of(since)})
    return [Arrivals(**row._mapping) for row in rows]


def hours_of(tx: Connection, source: str, since: datetime) -> list[int]:
    """The same hours as whole numbers, counted from 1970."""
    found = tx.execute(HOURS_OF_SOURCE, {"whose": source, "since": hour_of(since)}).scalars()
    return [stored // MICROSECONDS_AN_HOUR for stored in found]


def last_at(tx: Connection, source: str) -> datetime | None:
    """When the last webhook of a source was accepted; None: none was."""
    found: datetime | None = tx.execute(LAST_AT, {"whose": source}).scalar()
    return found
