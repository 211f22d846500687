"""The rate budget: no rolling hour ever holds more requests than allowed, over all processes and restarts.

Tokens are counted in slots of ten seconds. A request may leave half a minute after its token was taken, so a slot
counts for an hour, half a minute and itself. Clocks may differ: what was taken "later" than now counts just the same.
Clocks may be set, too, and what was just taken look long past: so tokens are also counted by the machine's uptime, and
the stricter count holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from bridge.store.statements import each, one_at_a_time, run_each
from bridge.store.schema import EPOCH, budget
from bridge.uptime import Uptime

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


def take(tx: Connection, origin: str, now: datetime, wanted: int, per_hour: int, uptime: Uptime | None = None) -> Grant:
    """Takes up to `wanted` tokens for requests to `origin` that leave within half a minute. `per_hour` 0: no limit."""
    if per_hour <= 0 or wanted <= 0:
        return Grant(granted=max(wanted, 0), again_at=None)
    one_at_a_time(tx, f"budget {origin}")
    counts = _counts(origin, now, uptime)
    spent = [_spent(tx, name, at) for name, at in counts]
    granted = min(wanted, max(per_hour - max(sum(taken.values()) for taken in spent), 0))
    if granted:
        _add(tx, counts, granted)
    return Grant(granted=granted, again_at=None if granted == wanted else _freed_at(spent[0], now))


def give_back(tx: Connection, origin: str, at: datetime, unused: int, uptime: Uptime | None = None) -> None:
    """Returns tokens that were taken in the last minutes before `at`, and that no request was sent for.

    They come off the oldest of these minutes: so what was used is never forgotten before its hour is over.
    """
    one_at_a_time(tx, f"budget {origin}")
    rows = []
    for name, now in _counts(origin, at, uptime):
        lately = {"origin": name, "first": _slot(now - GIVEN_BACK_WITHIN), "last": _slot(now)}
        left = unused
        for slot, taken in tx.execute(SPENT, lately).all():
            back = min(taken, left)
            left -= back
            rows.append({"whose": name, "when": slot, "left": taken - back})
    run_each(tx, LEAVE, rows)


def used(tx: Connection, origin: str, now: datetime, uptime: Uptime | None = None) -> int:
    """How many tokens count against the budget at this moment."""
    return max(sum(_spent(tx, name, at).values()) for name, at in _counts(origin, now, uptime))


def _counts(origin: str, now: datetime, uptime: Uptime | None) -> list[tuple[str, datetime]]:
    """The names under which an origin's tokens are counted, and what each takes for now: the clock's first.

    What an earlier boot has counted stays behind: some hundred small rows at most.
    """
    if uptime is None:
        return [(origin, now)]
    return [(origin, now), (f"{origin} since boot {uptime.boot}", EPOCH + timedelta(seconds=uptime.seconds))]


def _add(tx: Connection, counts: Sequence[tuple[str, datetime]], granted: int) -> None:
    for name, at in counts:
        slot = _slot(at)
        tx.execute(TAKE[tx.dialect.name], {"origin": name, "slot": slot, "taken": granted})
        tx.execute(FORGET, {"origin": name, "first": slot - KEPT})


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
