"""The rate limit: no rolling hour holds more requests than allowed, over all processes and restarts.

Requests are counted in slots of ten seconds. A request may be sent half a minute after it was reserved, so a slot
counts for an hour, half a minute and its own length. Clocks of processes may differ: reservations "later" than now
count too. A clock may be set, which would make recent reservations look old: they are also counted by the machine's
uptime, and the stricter count holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from bridge.clock import Uptime
from bridge.store.schema import EPOCH, rate_limit
from bridge.store.statements import advisory_lock, execute_many, insert_per_dialect

SLOT = timedelta(seconds=10)
REACH = timedelta(hours=1, seconds=30) // SLOT  # slots further apart than this share no hour
RELEASE_WITHIN = timedelta(minutes=5)
RETENTION = timedelta(days=2) // SLOT

RESERVED = (
    select(rate_limit.c.slot, rate_limit.c.reserved)
    .where(rate_limit.c.origin == bindparam("origin"), rate_limit.c.slot.between(bindparam("first"), bindparam("last")))
    .where(rate_limit.c.reserved > 0)
    .order_by(rate_limit.c.slot)
)
ADD = insert_per_dialect(
    lambda insert_into: (new := insert_into(rate_limit)).on_conflict_do_update(
        index_elements=["origin", "slot"], set_={"reserved": rate_limit.c.reserved + new.excluded.reserved}
    )
)
SET = (
    update(rate_limit)
    .where(rate_limit.c.origin == bindparam("whose"), rate_limit.c.slot == bindparam("when"))
    .values(reserved=bindparam("left"))
)
DELETE_OLD = delete(rate_limit).where(
    rate_limit.c.origin == bindparam("origin"), rate_limit.c.slot < bindparam("first")
)


def reserve(
    tx: Connection, origin: str, now: datetime, wanted: int, per_hour: int, uptime: Uptime | None = None
) -> int:
    """Reserves up to `wanted` requests to `origin`, to be sent within half a minute; returns how many are granted.

    `per_hour` 0: no limit.
    """
    if per_hour <= 0 or wanted <= 0:
        return max(wanted, 0)
    advisory_lock(tx, f"rate limit {origin}")
    counters = _counters(origin, now, uptime)
    used_by_counter = [_reserved(tx, name, at) for name, at in counters]
    granted = min(wanted, max(per_hour - max(used_by_counter), 0))
    if granted:
        _add(tx, counters, granted)
    return granted


def release(tx: Connection, origin: str, at: datetime, unused: int, uptime: Uptime | None = None) -> None:
    """Releases requests that were reserved in the last minutes before `at` and not sent."""
    advisory_lock(tx, f"rate limit {origin}")
    rows = []
    for name, now in _counters(origin, at, uptime):
        recent = {"origin": name, "first": _slot(now - RELEASE_WITHIN), "last": _slot(now)}
        left = unused
        # From the oldest slot on: so the requests that were sent stay counted in the youngest slots, until their hour
        # is surely over.
        for slot, reserved in tx.execute(RESERVED, recent).all():
            released = min(reserved, left)
            left -= released
            rows.append({"whose": name, "when": slot, "left": reserved - released})
    execute_many(tx, SET, rows)


def used(tx: Connection, origin: str, now: datetime, uptime: Uptime | None = None) -> int:
    """How many requests count against the limit now."""
    return max(_reserved(tx, name, at) for name, at in _counters(origin, now, uptime))


def _counters(origin: str, now: datetime, uptime: Uptime | None) -> list[tuple[str, datetime]]:
    """The names of an origin's counters, each with its own present time: by the clock, then by the machine's uptime.

    The counters of earlier boots are never deleted: some hundred small rows at most.
    """
    if uptime is None:
        return [(origin, now)]
    return [(origin, now), (f"{origin} since boot {uptime.boot}", EPOCH + timedelta(seconds=uptime.seconds))]


def _add(tx: Connection, counters: Sequence[tuple[str, datetime]], granted: int) -> None:
    for name, at in counters:
        slot = _slot(at)
        tx.execute(ADD[tx.dialect.name], {"origin": name, "slot": slot, "reserved": granted})
        tx.execute(DELETE_OLD, {"origin": name, "first": slot - RETENTION})


def _reserved(tx: Connection, origin: str, now: datetime) -> int:
    slot = _slot(now)
    rows = tx.execute(RESERVED, {"origin": origin, "first": slot - REACH, "last": slot + REACH})
    return sum(row.reserved for row in rows)


def _slot(at: datetime) -> int:
    return (at - EPOCH) // SLOT
