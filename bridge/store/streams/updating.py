"""Creates streams, and updates them when webhooks are received for them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Insert, case, or_

from bridge.store.schema import streams
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect
from bridge.store.streams.rows import StreamUpdate


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(streams)
    new = insert.excluded
    opens_window = or_(streams.c.due_at.is_(None), new.first_at < streams.c.first_at)
    return insert.on_conflict_do_update(
        index_elements=["stream_id"],
        set_={
            "has_customer": or_(streams.c.has_customer, new.has_customer),
            "first_at": case((opens_window, new.first_at), else_=streams.c.first_at),
            "last_at": case((new.last_at > streams.c.last_at, new.last_at), else_=streams.c.last_at),
            # Without a customer an arrival never puts off what waits already.
            "due_at": case(
                (or_(streams.c.has_customer, new.has_customer, streams.c.due_at.is_(None)), new.due_at),
                (streams.c.due_at < new.due_at, streams.c.due_at),
                else_=new.due_at,
            ),
            "version": streams.c.version + 1,
            "reason": None,
        },
    )


UPSERT = insert_per_dialect(_upsert)


def upsert(tx: Connection, updates: Iterable[StreamUpdate]) -> None:
    """Creates or updates streams. A window that is open keeps its beginning."""
    rows = [
        {
            "stream_id": one.stream_id,
            "scope": one.scope,
            "has_customer": one.has_customer,
            "first_at": one.at,
            "last_at": one.last_at or one.at,
            "due_at": one.due_at,
            "version": 1,
        }
        # Sorted, so that concurrent upserts lock rows in one order and cannot deadlock.
        for one in sorted(updates, key=lambda one: one.stream_id)
    ]
    execute_many(tx, UPSERT[tx.dialect.name], rows)
