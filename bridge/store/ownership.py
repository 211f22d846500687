"""The stream that each revenue event belongs to: which one has an output key, and how a stream's events are moved.

An output key is made from the economic fact. When another stream already has it, the same fact was counted twice: a
fault that the operator must see. Only the repetition within one stream is normal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select, update

from bridge.store.outbox import NewDelivery
from bridge.store.outbox.heads import DEMOTE, HEADS, lock_heads, promote_next
from bridge.store.schema import outbox
from bridge.store.statements import padded_chunks, per_dialect

OWNERS = per_dialect(
    lambda among: select(outbox.c.output_key, outbox.c.stream_id).where(
        outbox.c.scope == bindparam("ledger"), among(outbox.c.output_key, "keys")
    )
)
MOVE = update(outbox).where(outbox.c.stream_id == bindparam("old")).values(stream_id=bindparam("new"))


def owned_elsewhere(tx: Connection, wanted: Sequence[NewDelivery]) -> list[tuple[NewDelivery, str]]:
    """The deliveries whose output key belongs to another stream, each with that stream."""
    by_scope: dict[str, dict[str, NewDelivery]] = {}
    for one in wanted:
        by_scope.setdefault(one.scope, {})[one.output_key] = one
    found = []
    for scope, by_key in by_scope.items():
        for chunk in padded_chunks(sorted(by_key)):
            for row in tx.execute(OWNERS[tx.dialect.name], {"ledger": scope, "keys": chunk}):
                if row.stream_id != by_key[row.output_key].stream_id:
                    found.append((by_key[row.output_key], row.stream_id))
    return found


def move(tx: Connection, old_id: str, new_id: str) -> None:
    """Moves the revenue events of a stream to another one. One head per stream remains."""
    lock_heads(tx, (old_id, new_id))
    heads = _heads(tx, (old_id, new_id))
    for chunk in padded_chunks(sorted(heads)[1:]):  # the older one stays the head
        tx.execute(DEMOTE[tx.dialect.name], {"ids": chunk})
    tx.execute(MOVE, {"old": old_id, "new": new_id})
    promote_next(tx, (new_id,))


def _heads(tx: Connection, stream_ids: Iterable[str]) -> list[int]:
    statement = HEADS[tx.dialect.name]
    return [row.id for chunk in padded_chunks(stream_ids) for row in tx.execute(statement, {"stream_ids": chunk})]
