"""The heads of the streams: of each, the first event of the outbox that is still held or pending, and no other.

Whoever adds to a stream or takes its head away locks the head first, so that both see what the other did (PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ARRAY, BindParameter, Connection, Text, bindparam, func, select, update

from bridge.store.statements import chunks, constant, either, run_each
from bridge.store.schema import HEAD, outbox

HEADS = either(
    lambda among: select(outbox.c.id, outbox.c.stream_id).where(among(outbox.c.stream_id, "stream_ids"), HEAD)
)
LOCK_HEADS = HEADS["postgresql"].order_by(outbox.c.id).with_for_update()
HEADLESS: BindParameter[Sequence[str]] = bindparam("headless", type_=ARRAY(Text))
headless = func.unnest(HEADLESS).table_valued("stream_id", name="headless").render_derived()
first = outbox.alias("first")
IS_OPEN_FIRST = first.c.status.in_([constant("held"), constant("pending")])
FIRST_OPEN = select(func.min(first.c.id)).with_hint(first, "INDEXED BY ix_outbox_open", "sqlite")
CROWN = update(outbox).values(is_head=True, ready_at=outbox.c.next_at)
CROWN_ONE = CROWN.where(
    outbox.c.id == FIRST_OPEN.where(first.c.stream_id == bindparam("crowned"), IS_OPEN_FIRST).scalar_subquery()
)
FIRST_OF_EACH = FIRST_OPEN.where(first.c.stream_id == headless.c.stream_id, IS_OPEN_FIRST).correlate(headless)
CROWN_ALL = CROWN.where(outbox.c.id.in_(select(FIRST_OF_EACH.scalar_subquery()).select_from(headless)))
DEMOTE = either(lambda among: update(outbox).where(among(outbox.c.id, "ids")).values(is_head=False, ready_at=None))


def lock(tx: Connection, stream_ids: Iterable[str]) -> None:
    """Lets nobody else change the heads of these streams until the transaction ends. SQLite has nobody else."""
    if tx.dialect.name == "postgresql":
        for chunk in chunks(sorted(stream_ids)):
            tx.execute(LOCK_HEADS, {"stream_ids": chunk}).all()


def crown(tx: Connection, stream_ids: Collection[str]) -> None:
    """Gives each of the streams that has no head its first open event as head."""
    headed: set[str] = set()
    for chunk in chunks(stream_ids):
        headed |= {row.stream_id for row in tx.execute(HEADS[tx.dialect.name], {"stream_ids": chunk})}
    others = sorted(set(stream_ids) - headed)
    if others and tx.dialect.name == "postgresql":
        tx.execute(CROWN_ALL, {"headless": others})
        return
    run_each(tx, CROWN_ONE, [{"crowned": stream_id} for stream_id in others])


def overtake(tx: Connection, firsts: Mapping[str, int]) -> None:
    """Makes revived events heads where they come before the present one, which may be on its way just now."""
    present = [row for chunk in chunks(firsts) for row in tx.execute(HEADS[tx.dialect.name], {"stream_ids": chunk})]
    for chunk in chunks(row.id for row in present if firsts[row.stream_id] < row.id):
        tx.execute(DEMOTE[tx.dialect.name], {"ids": chunk})
    crown(tx, firsts.keys())
