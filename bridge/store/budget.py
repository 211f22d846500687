"""The rate budget: no rolling hour ever holds more requests than allowed, over all processes and restarts.

Tokens are counted in slots of ten seconds. A request may leave half a minute after its token was taken, so a slot
counts for an hour, half a minute and itself. Clocks may differ: what was taken "later" than now counts just the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from bridge.store.dialects import each, one_at_a_time, run_each
from bridge.store.tables import EPOCH, budget

SLOT = timedelta(seconds=10)
REACH = timedelta(hours=1, seconds=30) // SLOT  # slots further apart than this share no hour
GIVEN_BACK_WITHIN = timedelta(minutes=5)
KEPT = timedelta(days=2) // SLOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many requests may be sent. `again_at`: when to ask for more, or None: all that was wanted was granted."""

    granted: int
    again_at: datetime | None


SPENT = (
    select(budget.c.slot, budget.c.taken)
    .where(budget.c.origin == bindparam("origin"), budget.c.slot.between(bindparam("first"), bindparam("last")))
    .where(budget.c.taken > 0)
    .order_by(budget.c.slot)
)
TAKE = each(
    lambda insert_into: (wanted := insert_into(budget)).on_conflict_do_update(
        index_elements=["origin", "slot"], set_={"taken": budget.c.taken + wanted.excluded.taken}
    )
)
LEAVE = (
    update(budget)
    .where(budget.c.origin == bindparam("whose"), budget.c.slot == bindparam("when"))
    .values(taken=bindparam("left"))
)
FORGET = delete(budget).where(budget.c.origin == bindparam("origin"), budget.c.slot < bindparam("first"))


def take(tx: Connection, origin: str, now: datetime, wanted: int, per_hour: int) -> Grant:
    """Takes up to `wanted` tokens for requests to `origin` that leave within half a minute. `per_hour` 0: no limit."""
    if per_hour <= 0 or wanted <= 0:
        return Grant(granted=max(wanted, 0), again_at=None)
    one_at_a_time(tx, f"budget {origin}")
    spent = _spent(tx, origin, now)
    granted = min(wanted, max(per_hour - sum(spent.values()), 0))
    if granted:
        slot = _slot(now)
        tx.execute(TAKE[tx.dialect.name], {"origin": origin, "slot": slot, "taken": granted})
        tx.execute(FORGET, {"origin": origin, "first": slot - KEPT})
    return Grant(granted=granted, again_at=None if granted == wanted else _freed_at(spent, now))


def give_back(tx: Connection, origin: str, at: datetime, unused: int) -> None:
    """Returns tokens that were taken in the last minutes before `at`, and that no request was sent for.

    They come off the oldest of these minutes: so what was used is never forgotten before its hour is over.
    """
    one_at_a_time(tx, f"budget {origin}")
    lately = {"origin": origin, "first": _slot(at - GIVEN_BACK_WITHIN), "last": _slot(at)}
    rows = []
    for slot, taken in tx.execute(SPENT, lately).all():
        back = min(taken, unused)
        unused -= back
        rows.append({"whose": origin, "when": slot, "left": taken - back})
    run_each(tx, LEAVE, rows)


def used(tx: Connection, origin: str, now: datetime) -> int:
    """How many tokens count against the budget at this moment."""
    return sum(_spent(tx, origin, now).values())


def _spent(tx: Connection, origin: str, now: datetime) -> dict[int, int]:
    slot = _slot(now)
    rows = tx.execute(SPENT, {"origin": origin, "first": slot - REACH, "last": slot + REACH})
    return {row.slot: row.taken for row in rows}


def _freed_at(spent: dict[int, int], now: datetime) -> datetime:
    """When the oldest tokens stop counting; without any (all were just granted), when those of now do."""
    oldest = min(spent, default=_slot(now))
    return EPOCH + (oldest + REACH + 1) * SLOT


def _slot(at: datetime) -> int:
    return (at - EPOCH) // SLOT
