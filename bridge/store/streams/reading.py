"""Reads streams, their states and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, or_, select

from bridge.store.schema import DUE, decompress, states, streams
from bridge.store.statements import padded_chunks, per_dialect
from bridge.store.streams.rows import StreamCounts, StreamRow

UNLEASED = or_(streams.c.leased_until.is_(None), streams.c.leased_until <= bindparam("now"))
FIND = per_dialect(lambda among: select(streams).where(among(streams.c.stream_id, "stream_ids")))
LOCK = per_dialect(
    lambda among: (
        select(streams)
        .where(among(streams.c.stream_id, "stream_ids"))
        .order_by(streams.c.stream_id)
        .with_for_update(skip_locked=True)
    )
)
COUNTS = select(
    func.count().filter(streams.c.due_at > bindparam("now")),
    func.count().filter(streams.c.due_at <= bindparam("now"), UNLEASED),
    func.count().filter(streams.c.leased_until > bindparam("now")),
).where(DUE)
STATE = select(states.c.state).where(states.c.stream_id == bindparam("stream_id"))


def find(tx: Connection, stream_ids: Iterable[str]) -> dict[str, StreamRow]:
    """The streams that exist, by id."""
    return _by_id(tx, FIND, stream_ids)


def lock(tx: Connection, stream_ids: Iterable[str]) -> dict[str, StreamRow]:
    """The streams that exist, by id, locked until the transaction ends, without those that another one has locked.

    It waits for no other transaction, so it cannot deadlock (PostgreSQL; SQLite has a single writer).
    """
    return _by_id(tx, LOCK, sorted(stream_ids))


def _by_id(
    tx: Connection, query: Mapping[str, Select[*tuple[Any, ...]]], stream_ids: Iterable[str]
) -> dict[str, StreamRow]:
    found: dict[str, StreamRow] = {}
    for chunk in padded_chunks(stream_ids):
        rows = tx.execute(query[tx.dialect.name], {"stream_ids": chunk})
        found |= {row.stream_id: StreamRow(**row._mapping) for row in rows}
    return found


def counts(tx: Connection, now: datetime) -> StreamCounts:
    """How many streams wait, are due, and are being settled; reads only streams with something to settle."""
    waiting, due, leased = tx.execute(COUNTS, {"now": now}).one()
    return StreamCounts(waiting=waiting, due=due, leased=leased)


def state_of(tx: Connection, stream_id: str) -> str | None:
    """The stream's last state, read only; None: it was never settled."""
    return decode(tx.execute(STATE, {"stream_id": stream_id}).scalar())


def decode(state: bytes | None) -> str | None:
    """The text of a stored state."""
    return None if state is None else decompress(state).decode()
