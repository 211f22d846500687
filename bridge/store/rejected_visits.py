"""Webhooks whose visit was rejected, counted by source and cause."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Insert, select

from bridge.store.schema import rejected_visits
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect
from processors.values import Value, asdict


class RejectedVisits(Value):
    """How many webhooks of one source had no visit for one cause, such as "session_id is undefined"; the latest one."""

    source: str
    cause: str
    count: int
    last_at: datetime
    event_id: str


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(rejected_visits)
    new, old = insert.excluded, rejected_visits.c
    return insert.on_conflict_do_update(
        index_elements=["source", "cause"],
        set_={"count": old.count + new.count, "last_at": new.last_at, "event_id": new.event_id},
    )


ADD = insert_per_dialect(_upsert)
LISTED = select(rejected_visits).order_by(rejected_visits.c.last_at.desc(), rejected_visits.c.cause)


def add(tx: Connection, rejected: Iterable[RejectedVisits]) -> None:
    """Adds to the counters."""
    ordered = sorted(rejected, key=lambda one: (one.source, one.cause))  # one order of locks for all workers
    execute_many(tx, ADD[tx.dialect.name], [asdict(one) for one in ordered])


def listed(tx: Connection) -> list[RejectedVisits]:
    """All counters, the latest first."""
    return [RejectedVisits(**row._mapping) for row in tx.execute(LISTED)]
