"""Records the results of processing, and lets webhooks be processed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from bridge.store.inbox.rows import storable
from bridge.store.schema import bodies, inbox
from bridge.store.statements import execute_many, literal, padded_chunks, per_dialect

MAX_REASON_LENGTH = 1000

THIS = inbox.c.id == bindparam("row_id")
ASSIGN = update(inbox).where(THIS).values(
    status=literal("waiting"), stream_id=bindparam("to"), reason=None, retry_at=None, waiting_since=None
)  # fmt: skip
IGNORE = update(inbox).where(THIS).values(
    status=literal("ignored"), reason=bindparam("why"), retry_at=None, settled_at=bindparam("now")
)  # fmt: skip
FAIL = update(inbox).where(THIS).values(
    status=literal("failed"), reason=bindparam("why"), retry_at=bindparam("again"), attempts=inbox.c.attempts + 1
)  # fmt: skip
SETTLE = update(inbox).where(THIS).values(
    status=literal("settled"), reason=None, notes=bindparam("json"), revenue_event_count=bindparam("count"),
    retry_at=None, settled_at=bindparam("now"),
)  # fmt: skip
REPLAY = per_dialect(
    lambda among: (
        update(inbox)
        .where(among(inbox.c.id, "row_ids"), select(bodies.c.inbox_id).where(bodies.c.inbox_id == inbox.c.id).exists())
        .values(
            status=literal("received"), reason=None, notes=None, stream_id=None, retry_at=None, settled_at=None
        )
    )
)  # fmt: skip


def assign(tx: Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Assigns rows to their streams: (row id, stream id)."""
    execute_many(tx, ASSIGN, [{"row_id": row_id, "to": stream_id} for row_id, stream_id in rows])


def ignore(tx: Connection, rows: Iterable[tuple[int, str]], now: datetime) -> None:
    """Marks rows without a fact: (row id, reason)."""
    execute_many(tx, IGNORE, [{"row_id": row_id, "why": _short(reason), "now": now} for row_id, reason in rows])


def fail(tx: Connection, row_id: int, error: str, retry_at: datetime | None) -> None:
    """Marks a row that could not be translated or settled. `retry_at` None: only the operator replays it."""
    tx.execute(FAIL, {"row_id": row_id, "why": _short(error), "again": retry_at})


def mark_settled(tx: Connection, rows: Iterable[tuple[int, int, Sequence[str]]], now: datetime) -> None:
    """Marks rows as settled: (row id, number of revenue events, the ledger's notes)."""
    values = [
        {"row_id": row_id, "count": count, "json": json.dumps(list(notes)) if notes else None, "now": now}
        for row_id, count, notes in rows
    ]
    execute_many(tx, SETTLE, values)


def replay(tx: Connection, row_ids: Iterable[int]) -> int:
    """Processes rows again from the start; returns how many. A row whose body was purged is left as it is."""
    distinct = sorted(set(row_ids))
    return sum(tx.execute(REPLAY[tx.dialect.name], {"row_ids": chunk}).rowcount for chunk in padded_chunks(distinct))


def _short(reason: str) -> str:
    return storable(reason[:MAX_REASON_LENGTH])
