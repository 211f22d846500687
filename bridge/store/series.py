"""Sums of revenue events by day: MRR movements and revenue, read from covering indexes and added by the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVarTuple

from sqlalchemy import BigInteger, Connection, Select, bindparam, func, select, type_coerce

from bridge.store.delivery_columns import Movement
from bridge.store.schema import MOVES, OPEN, outbox
from bridge.store.statements import literal

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
    """The revenue of one day, event type, source, plan and place of attribution, in major units.

    `place`: where the visit was found; "none" without one, which may still be found while the event is held.
    """

    day: date
    event_type: str
    source: str
    plan: str
    place: str
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
    """The revenue by day, source, event type, plan and place. Events without an amount are left out."""
    key = (outbox.c.day, outbox.c.source, outbox.c.event_type, outbox.c.plan, outbox.c.attribution)
    query = _selected(select(*key, func.sum(outbox.c.amount_sum), func.count()), selection)
    return [
        RevenueSum(
            day=day_of(day),
            event_type=event_type,
            source=source,
            plan=plan or NO_PLAN,
            place=place or "none",
            amount=amount,
            count=count,
        )
        for day, source, event_type, plan, place, amount, count in tx.execute(
            query.where(outbox.c.amount_sum != 0).group_by(*key)
        )
    ]


def revenue_by_day(tx: Connection, selection: Selection) -> dict[date, tuple[Decimal, Decimal]]:
    """The revenue of each day with any: net of refunds, and the refunds."""
    refunds = func.coalesce(func.sum(outbox.c.amount_sum).filter(outbox.c.event_type == literal("refund")), 0)
    query = _selected(select(outbox.c.day, func.sum(outbox.c.amount_sum), refunds), selection).group_by(outbox.c.day)
    return {day_of(day): (net or Decimal(), Decimal(back)) for day, net, back in tx.execute(query)}


HELD = (
    select(func.count(), func.sum(outbox.c.amount_sum))
    .where(OPEN, outbox.c.status == literal("held"))
    .with_hint(outbox, "INDEXED BY ix_outbox_open", "sqlite")
)


def held(tx: Connection, selection: Selection) -> tuple[int, Decimal]:
    """The number and the amount of the events that are held for their attribution. Reads only those that wait."""
    count, amount = tx.execute(_selected(HELD, selection).where(outbox.c.amount_sum != 0)).one()
    return count, amount or Decimal()


def attribution(tx: Connection, selection: Selection) -> list[AttributionSum]:
    """Revenue by place of attribution, the largest first."""
    place = func.coalesce(outbox.c.attribution, "none").label("place")
    query = _selected(select(place, func.sum(outbox.c.amount_sum), func.count()), selection)
    rows = tx.execute(query.where(outbox.c.amount_sum != 0).group_by(place)).all()
    return with_held(
        [AttributionSum(place=name, amount=amount, count=n) for name, amount, n in rows], held(tx, selection)
    )


def with_held(sums: Sequence[AttributionSum], waiting: tuple[int, Decimal]) -> list[AttributionSum]:
    """The sums with those that are held taken out of "none": until the hold ends they are neither."""
    count, amount = waiting
    found = [
        replace(one, amount=one.amount - amount, count=one.count - count) if one.place == "none" else one
        for one in sums
    ]
    found.append(AttributionSum(place="held", amount=amount, count=count))
    return sorted((one for one in found if one.count), key=lambda one: (-one.amount, one.place))


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
