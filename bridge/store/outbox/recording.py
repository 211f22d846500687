"""Records the results of attempts, and makes failed deliveries pending again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BindParameter, Connection, and_, bindparam, case, func, select, update

from bridge.store.outbox.heads import lock_heads, promote_next, requeue_before
from bridge.store.outbox.rows import UNSENT, DeliveryStatus, Outcome
from bridge.store.schema import HEAD, Instant, outbox
from bridge.store.statements import execute_many, literal, padded_chunks, per_dialect, unindexed

MAX_ERROR_LENGTH = 1000

IS_THIS = outbox.c.id == bindparam("row_id")
IS_OPEN = unindexed(outbox.c.status).in_([literal("held"), literal("pending")])
STAYS: BindParameter[bool] = bindparam("stays")
AGAIN = func.coalesce(bindparam("again", type_=Instant), outbox.c.next_at)
RECORD = update(outbox).where(IS_THIS, IS_OPEN).values(
    status=bindparam("became"),
    is_head=case((STAYS, outbox.c.is_head), else_=False),
    attempts=bindparam("attempts_used"),
    next_at=AGAIN,
    ready_at=case((and_(STAYS, HEAD), AGAIN)),
    leased_by=None,
    delivered_at=bindparam("delivered"),
    last_status=bindparam("response"),
    last_error=bindparam("error"),
)  # fmt: skip
LOCK = per_dialect(
    lambda among: (
        select(outbox.c.id, outbox.c.stream_id).where(among(outbox.c.id, "ids")).order_by(outbox.c.id).with_for_update()
    )
)
REVIVE = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"), outbox.c.status == literal("failed"))
        .values(status=literal("pending"), attempts=0, next_at=bindparam("now"), leased_by=None)
    )
)
FAILED = per_dialect(
    lambda among: select(outbox.c.id, outbox.c.stream_id).where(
        among(outbox.c.id, "ids"), outbox.c.status == literal("failed")
    )
)


def record(tx: Connection, outcomes: Iterable[Outcome]) -> None:
    """Records the results of attempts and promotes the next event of each stream. Delivered ones stay delivered."""
    done = list(outcomes)
    ids = padded_chunks(sorted(one.id for one in done))
    streams = {row.stream_id for chunk in ids for row in tx.execute(LOCK[tx.dialect.name], {"ids": chunk})}
    execute_many(tx, RECORD, [_outcome(one) for one in done])
    promote_next(tx, streams)


def _outcome(one: Outcome) -> dict[str, object]:
    return {
        "row_id": one.id,
        "became": one.status.value,
        "stays": one.status in UNSENT,
        "attempts_used": one.attempts,
        "again": one.next_at,
        "delivered": one.at if one.status is DeliveryStatus.DELIVERED else None,
        "response": one.last_status,
        "error": one.last_error and one.last_error[:MAX_ERROR_LENGTH].replace("\x00", "\ufffd"),
    }


def retry(tx: Connection, ids: Iterable[int], now: datetime) -> int:
    """Makes failed ones pending again, ahead of the rest of their stream; returns how many."""
    revived = 0
    for chunk in padded_chunks(sorted(ids)):
        failed = sorted(tx.execute(FAILED[tx.dialect.name], {"ids": chunk}), key=lambda row: row.id)
        lock_heads(tx, {row.stream_id for row in failed})
        revived += tx.execute(REVIVE[tx.dialect.name], {"ids": chunk, "now": now}).rowcount
        requeue_before(tx, {row.stream_id: row.id for row in reversed(failed)})
    return revived
