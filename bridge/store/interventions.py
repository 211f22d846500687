"""Interventions of an operator in the delivery: send now, release without an attribution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Update, bindparam, case, select, update

from bridge.store import outbox as deliveries
from bridge.store.outbox.heads import lock_heads
from bridge.store.schema import HEAD, outbox
from bridge.store.statements import literal, padded_chunks, per_dialect

# A delivery whose request is on its way keeps its lease: it must not be sent twice.
IS_FREE = outbox.c.leased_by.is_(None)
NOW: BindParameter[Any] = bindparam("now")
SEND_PENDING = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("pending"), IS_FREE)
        .values(next_at=NOW, ready_at=case((HEAD, NOW)))
    )
)
RELEASE_HELD = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("held"))
        .values(status=literal("pending"), next_at=NOW, ready_at=case((HEAD, NOW)))
    )
)
HEADS_BEFORE = per_dialect(
    lambda among: select(outbox.c.stream_id).where(among(outbox.c.id, "ids")).order_by(outbox.c.stream_id).distinct()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentNow:
    """How many deliveries will be sent at once, by their status before."""

    pending: int
    failed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.pending + self.failed


def send_now(tx: Connection, ids: Iterable[int], now: datetime) -> SentNow:
    """Sends pending deliveries without waiting for their next try, and failed ones again.

    Each customer's order is kept: one behind an earlier event of the same customer goes out after it. Held deliveries
    stay held: `release_held` sends them without an attribution, which cannot be undone.
    """
    wanted = sorted(set(ids))
    pending = _update(tx, SEND_PENDING, wanted, now)
    return SentNow(pending=pending, failed=deliveries.retry(tx, wanted, now))


def release_held(tx: Connection, ids: Iterable[int], now: datetime) -> int:
    """Sends held deliveries without waiting for their attribution; returns how many were still held."""
    return _update(tx, RELEASE_HELD, sorted(set(ids)), now)


def _update(tx: Connection, statement: Mapping[str, Update], ids: Iterable[int], now: datetime) -> int:
    changed = 0
    for chunk in padded_chunks(ids):
        streams = tx.execute(HEADS_BEFORE[tx.dialect.name], {"ids": chunk}).scalars().all()
        lock_heads(tx, streams)
        changed += tx.execute(statement[tx.dialect.name], {"ids": chunk, "now": now}).rowcount
    return changed
