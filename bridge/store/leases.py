"""Named leases, for work that only one worker may do at a time, and the workers' heartbeats.

A lease is a row with an end, not a database lock: it holds across transactions and while a worker waits for a network,
and the lease of a killed worker simply expires. The price: a worker that is slower than its lease may find that another
has taken over. So results are written only in a transaction that acquires the lease again, or checks it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, or_, select

from bridge.store.schema import Instant, leases, worker_heartbeats
from bridge.store.statements import execute_many, insert_per_dialect

HEARTBEAT_RETENTION = timedelta(days=1)

# One statement decides: of two workers that ask at once, the second sees the first one's row and changes nothing.
ACQUIRE = insert_per_dialect(
    lambda insert_into: (new := insert_into(leases)).on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": new.excluded.owner, "until": new.excluded.until},
        where=or_(leases.c.owner == new.excluded.owner, leases.c.until <= bindparam("now", type_=Instant)),
    )
)
HELD_ELSEWHERE = select(leases.c.owner).where(
    leases.c.name == bindparam("which"), leases.c.owner != bindparam("asking"), leases.c.until > bindparam("now")
)
RELEASE = delete(leases).where(leases.c.name == bindparam("which"))
RELEASE_ALL = delete(leases).where(leases.c.owner == bindparam("whose"))
HEARTBEAT = insert_per_dialect(
    lambda insert_into: (new := insert_into(worker_heartbeats)).on_conflict_do_update(
        index_elements=["owner"], set_={"at": new.excluded.at}
    )
)
DELETE_HEARTBEAT = delete(worker_heartbeats).where(worker_heartbeats.c.owner == bindparam("whose"))
DELETE_OLD_HEARTBEATS = delete(worker_heartbeats).where(worker_heartbeats.c.at < bindparam("before"))
HEARTBEATS = select(worker_heartbeats.c.owner, worker_heartbeats.c.at)


def acquire(tx: Connection, name: str, owner: str, now: datetime, until: datetime) -> bool:
    """Takes or extends a lease. False: another owner has it and it has not expired."""
    row = {"name": name, "owner": owner, "until": until, "now": now}
    return execute_many(tx, ACQUIRE[tx.dialect.name], [row]) == 1


def is_held_elsewhere(tx: Connection, name: str, owner: str, now: datetime) -> bool:
    """Whether another owner has the lease. Asked before `acquire`, which waits for a transaction that extends it."""
    return tx.execute(HELD_ELSEWHERE, {"which": name, "asking": owner, "now": now}).first() is not None


def release(tx: Connection, name: str) -> None:
    """Deletes a lease of any owner."""
    tx.execute(RELEASE, {"which": name})


def release_all(tx: Connection, owner: str) -> None:
    """Deletes all leases of a worker that has ended."""
    tx.execute(RELEASE_ALL, {"whose": owner})


def heartbeat(tx: Connection, owner: str, now: datetime) -> None:
    """Records that a worker is alive, and deletes heartbeats older than a day."""
    tx.execute(HEARTBEAT[tx.dialect.name], {"owner": owner, "at": now})
    tx.execute(DELETE_OLD_HEARTBEATS, {"before": now - HEARTBEAT_RETENTION})


def delete_heartbeat(tx: Connection, owner: str) -> None:
    """Deletes the worker's heartbeat."""
    tx.execute(DELETE_HEARTBEAT, {"whose": owner})


def heartbeats(tx: Connection) -> dict[str, datetime]:
    """The time of each worker's last heartbeat."""
    return {row.owner: row.at for row in tx.execute(HEARTBEATS)}
