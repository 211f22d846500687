"""Named leases, for what only one worker may do at a time, and the heartbeats of workers."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, or_, select

from bridge.store.statements import each, run_each
from bridge.store.schema import Instant, leases
from bridge.store.schema import beats as beat_table

FORGOTTEN = timedelta(days=1)

ACQUIRE = each(
    lambda insert_into: (wanted := insert_into(leases)).on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": wanted.excluded.owner, "until": wanted.excluded.until},
        where=or_(leases.c.owner == wanted.excluded.owner, leases.c.until <= bindparam("now", type_=Instant)),
    )
)
GIVE_UP = delete(leases).where(leases.c.name == bindparam("which"), leases.c.owner == bindparam("whose"))
OF_OWNER = delete(leases).where(leases.c.owner == bindparam("whose"))
SILENCE = delete(beat_table).where(beat_table.c.owner == bindparam("whose"))
BEAT = each(
    lambda insert_into: (wanted := insert_into(beat_table)).on_conflict_do_update(
        index_elements=["owner"], set_={"at": wanted.excluded.at}
    )
)
FORGET = delete(beat_table).where(beat_table.c.at < bindparam("before"))
BEATS = select(beat_table.c.owner, beat_table.c.at)


def acquire(tx: Connection, name: str, owner: str, now: datetime, until: datetime) -> bool:
    """Takes or prolongs a lease. False: another has it, and it has not run out."""
    row = {"name": name, "owner": owner, "until": until, "now": now}
    return run_each(tx, ACQUIRE[tx.dialect.name], [row]) == 1


def give_up(tx: Connection, name: str, owner: str) -> None:
    """Ends an own lease before its time."""
    tx.execute(GIVE_UP, {"which": name, "whose": owner})


def give_up_all(tx: Connection, owner: str) -> None:
    """Ends all leases of a worker that has ended."""
    tx.execute(OF_OWNER, {"whose": owner})


def forget(tx: Connection, owner: str) -> None:
    """Strikes a worker off the list of those that were alive."""
    tx.execute(SILENCE, {"whose": owner})


def beat(tx: Connection, owner: str, now: datetime) -> None:
    """Notes that a worker is alive; those that have been silent for a day are forgotten."""
    tx.execute(BEAT[tx.dialect.name], {"owner": owner, "at": now})
    tx.execute(FORGET, {"before": now - FORGOTTEN})


def beats(tx: Connection) -> dict[str, datetime]:
    """When each worker was last alive."""
    return {row.owner: row.at for row in tx.execute(BEATS)}
