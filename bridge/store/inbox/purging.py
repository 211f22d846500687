"""Purges the bodies of webhooks that were settled or ignored long enough ago. Their rows stay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select

from bridge.store.inbox.rows import DONE
from bridge.store.schema import bodies, inbox
from bridge.store.statements import padded_chunks, per_dialect
from processors.values import Value

NEXT_BY_AGE = (
    select(inbox.c.id, inbox.c.received_at, inbox.c.settled_at, inbox.c.status)
    .join_from(bodies, inbox, inbox.c.id == bodies.c.inbox_id)
    .where(bodies.c.inbox_id > bindparam("after"))
    .order_by(bodies.c.inbox_id)
    .limit(bindparam("limit"))
)
PURGE = per_dialect(lambda among: delete(bodies).where(among(bodies.c.inbox_id, "row_ids")))
PURGEABLE = (
    select(func.count(), func.coalesce(func.sum(func.length(bodies.c.body)), 0))
    .join_from(bodies, inbox, inbox.c.id == bodies.c.inbox_id)
    .where(
        inbox.c.status.in_(DONE),
        inbox.c.settled_at < bindparam("before"),
        inbox.c.received_at <= bindparam("before"),
    )
)


class Purged(Value):
    """How many bodies were deleted. `after`: the row to continue after; None: all others are younger."""

    count: int
    after: int | None


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
