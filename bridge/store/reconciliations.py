"""The runs of `reconcile`: which part of the processor's list was compared, and what had not arrived."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from bridge.store.schema import reconciliations
from processors.values import Value, asdict

RETENTION = timedelta(days=30)


class Run(Value):
    """One comparison of a source with its processor.

    `since`, `until`: the part of the list that was read. `listed`: its events; `stored`: those that had not arrived.
    `lost_since`: from then until `since` the processor keeps no events any more. `faults`: of the endpoint; None: not
    compared. `error`: why it is incomplete; then the next run begins where this one did.
    """

    source: str
    at: datetime
    since: datetime
    until: datetime
    reason: str
    listed: int
    stored: int
    lost_since: datetime | None = None
    faults: tuple[str, ...] | None = None
    error: str | None = None


ADD = insert(reconciliations)
COLUMNS = [column for column in reconciliations.c if column.name != "id"]
LATEST_ID = select(func.max(reconciliations.c.id)).where(reconciliations.c.source == bindparam("whose"))
LATEST = select(*COLUMNS).where(reconciliations.c.id == LATEST_ID.scalar_subquery())
WITHOUT_ERROR = reconciliations.c.error.is_(None)
# The last complete run of a source stays, however old: the next one begins where it ended.
DELETE_OLD = delete(reconciliations).where(
    reconciliations.c.source == bindparam("whose"),
    reconciliations.c.at < bindparam("before"),
    reconciliations.c.id < LATEST_ID.where(WITHOUT_ERROR).scalar_subquery(),
)
LATEST_COMPLETE = select(*COLUMNS).where(reconciliations.c.id == LATEST_ID.where(WITHOUT_ERROR).scalar_subquery())
RECENT = (
    select(*COLUMNS).where(reconciliations.c.at >= bindparam("since")).order_by(reconciliations.c.id.desc()).limit(500)
)


def add(tx: Connection, run: Run) -> None:
    """Records a run, and deletes those of its source that are older than 30 days."""
    faults = None if run.faults is None else json.dumps(run.faults)
    tx.execute(ADD, {**asdict(run), "faults": faults})
    tx.execute(DELETE_OLD, {"whose": run.source, "before": run.at - RETENTION})


def latest(tx: Connection, source: str) -> Run | None:
    """The last run of a source; None: there was none."""
    return next((_from_row(row._asdict()) for row in tx.execute(LATEST, {"whose": source})), None)


def latest_complete(tx: Connection, source: str) -> Run | None:
    """The last run of a source without an error."""
    return next((_from_row(row._asdict()) for row in tx.execute(LATEST_COMPLETE, {"whose": source})), None)


def since(tx: Connection, at: datetime) -> list[Run]:
    """The runs since then, the newest first, at most 500."""
    return [_from_row(row._asdict()) for row in tx.execute(RECENT, {"since": at})]


def _from_row(values: Mapping[str, Any]) -> Run:
    faults = values["faults"]
    return Run(**{**values, "faults": None if faults is None else tuple(json.loads(faults))})
