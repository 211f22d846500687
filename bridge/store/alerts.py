"""The alerts that were sent and have not been cleared, one row for each cause."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, delete, select

from bridge.store.schema import alerts
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect
from processors.values import Value, asdict


class AlertState(Value):
    """A cause between two looks at it.

    `since`: when it was first seen. `subjects`: what the last message named. `sent_at`: when that was; None: nothing
    was sent yet. `absent_since`: since when it is gone; None: it is there. `retry_at`: when to try again to send.
    `cleared_at`: when the all-clear was sent, kept so that a cause that comes back at once does not send at once.
    """

    cause: str
    since: datetime
    subjects: tuple[str, ...]
    sent_at: datetime | None = None
    absent_since: datetime | None = None
    cleared_at: datetime | None = None
    retry_at: datetime | None = None
    failures: int = 0
    error: str | None = None


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(alerts)
    values = {column.name: insert.excluded[column.name] for column in alerts.c if column.name != "cause"}
    return insert.on_conflict_do_update(index_elements=["cause"], set_=values)


SAVE = insert_per_dialect(_upsert)
DELETE = delete(alerts).where(alerts.c.cause == bindparam("which"))
ALL = select(alerts).order_by(alerts.c.cause)


def all_states(tx: Connection) -> dict[str, AlertState]:
    """The state of each cause that has one."""
    return {row.cause: _from_row(row._asdict()) for row in tx.execute(ALL)}


def save(tx: Connection, states: Iterable[AlertState], gone: Iterable[str] = ()) -> None:
    """Writes these states, and deletes those of the causes in `gone`."""
    rows = [{**asdict(one), "subjects": json.dumps(one.subjects)} for one in states]
    execute_many(tx, SAVE[tx.dialect.name], sorted(rows, key=lambda row: str(row["cause"])))
    execute_many(tx, DELETE, [{"which": cause} for cause in sorted(gone)])


def _from_row(values: Mapping[str, Any]) -> AlertState:
    return AlertState(**{**values, "subjects": tuple(json.loads(values["subjects"]))})
