"""Every attempt to send a delivery: when, the response, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select

from bridge.store.outbox import DeliveryStatus
from bridge.store.schema import attempts
from bridge.store.statements import execute_many
from processors.values import Value

MAX_RESPONSE_LENGTH = 500


class NewAttempt(Value):
    """An attempt that was made. `status` None: no response. `result`: the delivery's status after it."""

    delivery_id: int
    at: datetime
    status: int | None
    response: str
    took_ms: int
    result: DeliveryStatus


class StoredAttempt(NewAttempt):
    """An attempt as it is kept."""

    id: int


ADD = insert(attempts)
# By id, which follows the time: the oldest are found without another index.
OLDEST = select(attempts.c.id).order_by(attempts.c.id).limit(bindparam("limit"))
PURGE = delete(attempts).where(attempts.c.id.in_(OLDEST.scalar_subquery()), attempts.c.at < bindparam("before"))
OF_DELIVERY = select(attempts).where(attempts.c.delivery_id == bindparam("delivery_id")).order_by(attempts.c.id)


def add(tx: Connection, made: Iterable[NewAttempt]) -> None:
    """Keeps attempts. In the transaction that records their results."""
    execute_many(tx, ADD, [_row(one) for one in made])


def _row(one: NewAttempt) -> dict[str, object]:
    return {
        "delivery_id": one.delivery_id,
        "at": one.at,
        "status": one.status,
        "response": one.response[:MAX_RESPONSE_LENGTH].replace("\x00", "\ufffd"),
        "took_ms": one.took_ms,
        "result": one.result.value,
    }


def of_delivery(tx: Connection, delivery_id: int) -> list[StoredAttempt]:
    """The attempts of one delivery, oldest first. None were kept before schema version 0003."""
    rows = tx.execute(OF_DELIVERY, {"delivery_id": delivery_id})
    return [StoredAttempt(**{**row._mapping, "result": DeliveryStatus(row.result)}) for row in rows]


def purge(tx: Connection, made_before: datetime, limit: int) -> int:
    """Deletes the attempts among the oldest that were made before then; returns how many, at most `limit`."""
    return tx.execute(PURGE, {"before": made_before, "limit": limit}).rowcount
