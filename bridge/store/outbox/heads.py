"""The head of each stream: its first event that is held or pending, the only one of the stream that can be sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ARRAY, BindParameter, Connection, Text, bindparam, func, select, update

from bridge.store.schema import HEAD, outbox
from bridge.store.statements import execute_many, literal, padded_chunks, per_dialect

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
        waiting = sorted(set(stream_ids) - headed(tx, stream_ids))
        execute_many(tx, PROMOTE_ONE, [{"promoted": stream_id} for stream_id in waiting])
        return
    unlocked = set(stream_ids)
    while unlocked:
        unlocked -= lock_heads(tx, unlocked)
        unlocked -= _promote_all(tx, unlocked)
        unlocked &= headed(tx, unlocked)


def headed(tx: Connection, stream_ids: Collection[str]) -> set[str]:
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
