"""Sums of revenue events by day: MRR movements and revenue, read from covering indexes and added by the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVarTuple

from sqlalchemy import BigInteger, Connection, Select, bindparam, func, select, type_coerce

from bridge.store.delivery_columns import Movement
from bridge.store.outbox import DeliveryStatus
from bridge.store.schema import MOVES, OPEN, outbox

FIRST_DAY = date(1970, 1, 1)
NO_PLAN = ""

Columns = TypeVarTuple("Columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The events that a report is about: one mode and currency, from `first` to `last` in UTC, both included.

    `source`, `plan` None: all of them. A `plan` of "" selects events without a plan.
    """

    livemode: bool
    currency: str
    first: date
    last: date
    source: str | None = None
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementSum:
    """The movements of one kind on one day, in major units."""

    day: date
    movement: Movement
    mrr: Decimal
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenueSum:
    """The revenue of one day, event type, source and plan, in major units."""

    day: date
    event_type: str
    source: str
    plan: str
    amount: Decimal
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionSum:
    """Revenue by the place where its visit was found, "none" without one, and "held" while it is waited for."""

    place: str
    amount: Decimal
    count: int


def movements(tx: Connection, selection: Selection) -> list[MovementSum]:
    """The MRR movements by day and kind, in order."""
    key = (outbox.c.day, outbox.c.movement)
    query = _selected(select(*key, func.sum(outbox.c.mrr_sum), func.count()), selection).where(MOVES).group_by(*key)
    return [
        MovementSum(day=day_of(day), movement=Movement(movement), mrr=mrr or Decimal(), count=count)
        for day, movement, mrr, count in tx.execute(query.order_by(*key))
    ]


def revenue(tx: Connection, selection: Selection) -> list[RevenueSum]:
    """The revenue by day, event type, source and plan. Events without an amount are left out."""
    key = (outbox.c.day, outbox.c.source, outbox.c.event_type, outbox.c.plan)
    query = _selected(select(*key, func.sum(outbox.c.amount_sum), func.count()), selection)
    return [
        RevenueSum(
            day=day_of(day),
            event_type=kind,
            source=source,
            plan=plan or NO_PLAN,
            amount=amount or Decimal(),
            count=n,
        )
        for day, source, kind, plan, amount, n in tx.execute(query.where(outbox.c.amount_sum != 0).group_by(*key))
    ]


def attribution(tx: Connection, selection: Selection) -> list[AttributionSum]:
    """Revenue by place of attribution, the largest first."""
    sums = (func.sum(outbox.c.amount_sum), func.count())
    places = select(outbox.c.attribution, *sums).group_by(outbox.c.attribution)
    found = {
        place or "none": (amount or Decimal(), count)
        for place, amount, count in tx.execute(_selected(places, selection).where(outbox.c.amount_sum != 0))
    }
    waiting = _selected(select(*sums), selection).where(
        OPEN, outbox.c.status == DeliveryStatus.HELD.value, outbox.c.amount_sum != 0
    )
    held, held_count = tx.execute(waiting).one()
    if held_count:  # they have no visit yet: until the hold ends they are neither attributed nor unattributed
        amount, count = found.get("none", (Decimal(), 0))
        found["none"] = (amount - held, count - held_count)
        found["held"] = (held, held_count)
    rows = [
        AttributionSum(place=place, amount=amount, count=count) for place, (amount, count) in found.items() if count
    ]
    return sorted(rows, key=lambda row: (-row.amount, row.place))


NEXT_CURRENCY = select(func.min(outbox.c.currency)).where(
    outbox.c.livemode == bindparam("livemode"), outbox.c.currency > bindparam("after")
)


def currencies(tx: Connection, livemode: bool) -> list[str]:
    """The currencies of all events of a mode. Each costs one look into an index, however many events there are."""
    found: list[str] = []
    while following := tx.execute(NEXT_CURRENCY, {"livemode": livemode, "after": found[-1] if found else ""}).scalar():
        found.append(following)
    return found


def first_day(tx: Connection, livemode: bool, currency: str) -> date | None:
    """The day of the earliest event of a mode and currency."""
    query = select(func.min(outbox.c.day)).where(outbox.c.livemode == livemode, outbox.c.currency == currency)
    number: int | None = tx.execute(query).scalar()
    return None if number is None else day_of(number)


def latencies(tx: Connection, since: datetime) -> list[int]:
    """The microseconds that each event delivered since then took from its first webhook to Pulsora, ascending."""
    took = type_coerce(outbox.c.delivered_at, BigInteger) - type_coerce(outbox.c.received_at, BigInteger)
    query = select(took).where(outbox.c.delivered_at >= since, outbox.c.received_at.is_not(None))
    return sorted(tx.execute(query).scalars())


def delivered_count(tx: Connection, since: datetime) -> int:
    """How many events were delivered since then."""
    return tx.execute(select(func.count()).where(outbox.c.delivered_at >= since)).scalar_one()


def number_of(day: date) -> int:
    """A day as it is stored."""
    return (day - FIRST_DAY).days


def day_of(number: int) -> date:
    """The inverse of `number_of`."""
    return FIRST_DAY + timedelta(days=number)


def _selected(query: Select[*Columns], selection: Selection) -> Select[*Columns]:
    query = query.where(
        outbox.c.livemode == selection.livemode,
        outbox.c.currency == selection.currency,
        outbox.c.day.between(number_of(selection.first), number_of(selection.last)),
    )
    if selection.source is not None:
        query = query.where(outbox.c.source == selection.source)
    if selection.plan is not None:
        query = query.where(func.coalesce(outbox.c.plan, NO_PLAN) == selection.plan)
    return query


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum of decimals, exact."""
    return sum(values, Decimal())
