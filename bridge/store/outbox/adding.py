"""Adds revenue events to the outbox, and releases held ones whose attribution was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from msgspec.structs import fields
from sqlalchemy import Connection, bindparam, case, select, update

from bridge.store import delivery_columns
from bridge.store.outbox.heads import IS_OPEN_FIRST, first, headed, lock_heads, promote_next
from bridge.store.outbox.rows import LIVE, UNSENT, DeliveryStatus, NewDelivery
from bridge.store.schema import HEAD, outbox
from bridge.store.statements import execute_many, insert_per_dialect, literal, padded_chunks, per_dialect, unindexed

ADD = insert_per_dialect(
    lambda insert_into: insert_into(outbox).on_conflict_do_nothing(index_elements=["scope", "output_key"])
)
BEFORE_LIVE = per_dialect(
    lambda among: (
        select(first.c.id)
        .where(among(first.c.stream_id, "stream_ids"), IS_OPEN_FIRST, first.c.priority > LIVE)
        .with_hint(first, "INDEXED BY ix_outbox_open", "sqlite")
    )
)
HASTEN = per_dialect(lambda among: update(outbox).where(among(outbox.c.id, "ids")).values(priority=LIVE))
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
    rows = [_values(one) for one in wanted]
    if tx.dialect.name == "postgresql":
        lock_heads(tx, waiting)
    else:
        _mark_heads(rows, waiting - headed(tx, waiting))
    added = execute_many(tx, ADD[tx.dialect.name], rows)
    _hasten(tx, {one.stream_id for one in wanted if one.status in UNSENT and one.priority == LIVE})
    if tx.dialect.name == "postgresql" or added < len(rows):
        promote_next(tx, waiting)
    return added


def _mark_heads(rows: Iterable[dict[str, object]], without_head: set[str]) -> None:
    """Makes the first open event of each of these streams its head, as `promote_next` would once it is added.

    A stream without a head has no open event. On PostgreSQL another transaction may give it one meanwhile.
    """
    for row in rows:
        if row["stream_id"] in without_head and row["status"] in UNSENT:
            row |= {"is_head": True, "ready_at": row["next_at"]}
            without_head.remove(row["stream_id"])


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
        "ready_at": None,
        "next_at": one.hold_until if held else one.next_at,
        "event_ids": json.dumps(one.event_ids),
        **delivery_columns.row(one.body, one.created_at, one.event_type, one.amount, one.mrr_impact),
    }
