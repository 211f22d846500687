"""Pauses: which destinations get nothing until when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, delete, or_, select

from bridge.store.statements import Insert, InsertInto, each
from bridge.store.schema import pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A destination that gets nothing until then. `probing`: after it, one event goes ahead to see."""

    destination: str
    since: datetime
    until: datetime
    reason: str
    probing: bool


def _pause(insert_into: InsertInto) -> Insert:
    wanted = insert_into(pauses)
    new = wanted.excluded
    goes_on = or_(pauses.c.probing, pauses.c.until > new.since)
    return wanted.on_conflict_do_update(
        index_elements=["destination"],
        set_={
            "since": case((goes_on, pauses.c.since), else_=new.since),
            "until": new.until,
            "reason": new.reason,
            "probing": new.probing,
        },
    )


PAUSE = each(_pause)
PAUSED = select(pauses).order_by(pauses.c.destination)
RESUME = delete(pauses).where(pauses.c.destination == bindparam("whose"))


def pause(
    tx: Connection, destination: str, until: datetime, reason: str, probing: bool = False, *, now: datetime
) -> None:
    """Sends a destination nothing until then. One that is paused already keeps its beginning, and takes the new end."""
    row = {"destination": destination, "since": now, "until": until, "reason": reason, "probing": probing}
    tx.execute(PAUSE[tx.dialect.name], row)


def paused(tx: Connection, now: datetime) -> list[Pause]:
    """The pauses that stand. One whose time is over stands on while it is probing: until a probe succeeds."""
    rows = [Pause(**row._mapping) for row in tx.execute(PAUSED)]
    return [row for row in rows if row.probing or row.until > now]


def resume(tx: Connection, destination: str) -> None:
    """Ends a pause."""
    tx.execute(RESUME, {"whose": destination})
