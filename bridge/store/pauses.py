"""Pauses: the destinations that nothing is sent to, until when, and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Insert, bindparam, case, delete, or_, select, update

from bridge.store.schema import pauses
from bridge.store.statements import InsertInto, insert_per_dialect
from processors.values import Value


class Pause(Value):
    """Nothing is sent to the destination until then. `probing`: afterwards one event is sent first, as a test."""

    destination: str
    since: datetime
    until: datetime
    reason: str
    probing: bool

    @property
    def address(self) -> str:
        """The destination for people: without the part that distinguishes two tokens, and the usual port."""
        return self.destination.partition("#")[0].removesuffix(":443")


def _pause(insert_into: InsertInto) -> Insert:
    insert = insert_into(pauses)
    new = insert.excluded
    continues = or_(pauses.c.probing, pauses.c.until > new.since)
    return insert.on_conflict_do_update(
        index_elements=["destination"],
        set_={
            "since": case((continues, pauses.c.since), else_=new.since),
            "until": new.until,
            "reason": new.reason,
            "probing": new.probing,
        },
    )


PAUSE = insert_per_dialect(_pause)
ALL = select(pauses).order_by(pauses.c.destination)
RESUME = delete(pauses).where(pauses.c.destination == bindparam("whose"))
PROBE_NEXT = (
    update(pauses)
    .where(pauses.c.destination == bindparam("whose"), pauses.c.probing, pauses.c.until > bindparam("now"))
    .values(until=bindparam("now"))
)


def pause(
    tx: Connection, destination: str, until: datetime, reason: str, probing: bool = False, *, now: datetime
) -> None:
    """Pauses a destination. A pause that is already active keeps its beginning and takes the new end."""
    row = {"destination": destination, "since": now, "until": until, "reason": reason, "probing": probing}
    tx.execute(PAUSE[tx.dialect.name], row)


def active(tx: Connection, now: datetime) -> list[Pause]:
    """The active pauses. A probing pause stays active after its end, until a probe succeeds."""
    rows = [Pause(**row._mapping) for row in tx.execute(ALL)]
    return [row for row in rows if row.probing or row.until > now]


def resume(tx: Connection, destination: str) -> None:
    """Ends a pause."""
    tx.execute(RESUME, {"whose": destination})


def probe_next(tx: Connection, destination: str, now: datetime) -> None:
    """Lets the next probe follow now: the last one said nothing about the destination."""
    tx.execute(PROBE_NEXT, {"whose": destination, "now": now})
