"""Sums of revenue events by period: MRR movements and revenue.

Read from the sums of whole days, and from covering indexes of the outbox for the days that have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVarTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    func,
    null,
    select,
    type_coerce,
)

from bridge.formatting import currency_order
from bridge.store import subscriptions
from bridge.store.daily_sums import DAY, FIRST_DAY, Days, Period, day_of, number_of, unsummed
from bridge.store.delivery_columns import Movement
from bridge.store.schema import MOVES, OPEN, daily_sums, outbox, summed_days
from bridge.store.statements import literal
from bridge.store.subscriptions import Level
from processors.values import Value, replace

NO_PLAN = ""

Columns = TypeVarTuple("Columns")


class Selection(Value):
    """The events that a report is about: one mode and currency, from `first` to `last` in UTC, both included.

    `source`, `plan` None: all of them. A `plan` of "" selects events without a plan.
    """

    livemode: bool
    currency: str
    first: date
    last: date
    source: str | None = None
    plan: str | None = None


class MovementSum(Value):
    """The movements of one kind on one day, in major units."""

    day: date
    movement: Movement
    mrr: Decimal
    count: int


class RevenueSum(Value):
    """The revenue of one day, event type, source, plan and place of attribution, in major units.

    `attribution`: where the visit was found; "none" without one, which may still be found while the event is held.
    """

    day: date
    amount: Decimal
    count: int
    event_type: str = ""
    source: str = ""
    plan: str = NO_PLAN
    attribution: str = ""


class AttributionSum(Value):
    """Revenue by the place where its visit was found, "none" without one, and "held" while it is waited for."""

    place: str
    amount: Decimal = Decimal()
    count: int = 0


# ---- Reading ---------------------------------------------------------------------------------------------------


MOVEMENT, EVENT_TYPE, ATTRIBUTION = "movement", "event_type", "attribution"
EMPTY = {"source": "", EVENT_TYPE: "", "plan": NO_PLAN, ATTRIBUTION: "none"}  # of a column without a value
REVENUE = ("source", EVENT_TYPE, "plan", ATTRIBUTION)
OF_DAYS = daily_sums.join(
    summed_days,
    and_(*(daily_sums.c[column.name] == column for column in summed_days.c)),
)
# The first day of each period that has events: by month the months are stored, and 1970 began on a Thursday.
PERIODS = {
    Period.DAY: daily_sums.c.day,
    Period.WEEK: (daily_sums.c.day + 3) // 7,
    Period.MONTH: daily_sums.c.month,
}


def _read(tx: Connection, selection: Selection, by: Period, groups: Sequence[str]) -> list[Row[Any]]:
    """The sums by period and groups: `day`, the groups, `amount`, `amount_count`, `mrr`, `n`.

    The days without sums are read one by one. Those that are read for movements are only the events that move MRR.
    """
    days = Days(livemode=selection.livemode, currency=selection.currency, first=selection.first, last=selection.last)
    gaps = unsummed(tx, days)
    found: list[Row[Any]] = [] if gaps == [days] else list(tx.execute(_of_summed(selection, by, groups, gaps)))
    for gap in gaps:
        found += tx.execute(_of_outbox(replace(selection, first=gap.first, last=gap.last), groups))
    return found


def _of_summed(selection: Selection, by: Period, groups: Sequence[str], gaps: Sequence[Days]) -> Select[Any]:
    key = [daily_sums.c[name] for name in groups]
    first, last = summed_between(selection.first, selection.last, gaps)
    is_whole = not any(first <= gap.first <= last for gap in gaps)  # then no row's day must be looked up
    sums = daily_sums.c
    # Columns that a list omits are not selected: a year has thousands of rows.
    wanted = (
        (null().label("amount"), null().label("amount_count"), func.sum(sums.mrr_sum).label("mrr"))
        if MOVEMENT in groups
        else (
            func.sum(sums.amount_sum).label("amount"),
            func.sum(sums.amount_count).label("amount_count"),
            null().label("mrr"),
        )
    )
    query = select(func.min(sums.day).label("day"), *key, *wanted, func.sum(sums.count).label("n"))
    query = query.select_from(daily_sums if is_whole else OF_DAYS).group_by(PERIODS[by], *key)
    query = _selected(query, replace(selection, first=first, last=last), daily_sums)
    return query.where(sums.movement > "" if MOVEMENT in groups else sums.amount_count > 0)


def summed_between(first: date, last: date, gaps: Sequence[Days]) -> tuple[date, date]:
    """The first and the last day with sums, of days with such gaps."""
    if gaps and gaps[0].first == first:
        first = gaps[0].last + DAY
    if gaps and gaps[-1].last == last:
        last = gaps[-1].first - DAY
    return first, last


def _of_outbox(selection: Selection, groups: Sequence[str]) -> Select[Any]:
    key = [outbox.c.day, *(outbox.c[name] for name in groups)]
    is_movement = MOVEMENT in groups
    # Each of the two lists has an index that covers its own columns only.
    sums = (
        (null().label("amount"), null().label("amount_count"), func.sum(outbox.c.mrr_sum).label("mrr"))
        if is_movement
        else (
            func.sum(outbox.c.amount_sum).label("amount"),
            func.count().filter(outbox.c.amount_sum != 0).label("amount_count"),
            null().label("mrr"),
        )
    )
    query = _selected(select(*key, *sums, func.count().label("n")), selection, outbox).group_by(*key)
    return query.where(MOVES) if is_movement else query


# ---- Reports ---------------------------------------------------------------------------------------------------


def movements(tx: Connection, selection: Selection, by: Period = Period.DAY) -> list[MovementSum]:
    """The MRR movements by kind and period, in order. `day`: a day of the period within the selection."""
    found = [
        MovementSum(day=day_of(row.day), movement=Movement(row.movement), mrr=row.mrr or Decimal(), count=row.n)
        for row in _read(tx, selection, by, (MOVEMENT,))
    ]
    return sorted(found, key=lambda one: (one.day, one.movement))


def revenue(
    tx: Connection, selection: Selection, by: Period = Period.DAY, groups: Sequence[str] = REVENUE
) -> list[RevenueSum]:
    """The revenue by period and groups. Events without an amount are left out.

    `day`: a day of the period within the selection. What is not among the groups is "".
    """
    return [
        RevenueSum(day=day_of(row.day), amount=row.amount, count=row.amount_count, **_names(row, groups))
        for row in _read(tx, selection, by, groups)
        if row.amount_count
    ]


def _names(row: Row[Any], groups: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {name: row._mapping[name] or EMPTY[name] for name in groups}
    return found


def revenue_by_day(tx: Connection, selection: Selection) -> dict[date, tuple[Decimal, Decimal]]:
    """The revenue of each day with any: net of refunds, and the refunds."""
    found: dict[date, tuple[Decimal, Decimal]] = {}
    for row in _read(tx, selection, Period.DAY, (EVENT_TYPE,)):
        net, refunds = found.get(day_of(row.day), (Decimal(), Decimal()))
        amount = row.amount or Decimal()
        found[day_of(row.day)] = (net + amount, refunds + (amount if row.event_type == "refund" else 0))
    return found


HELD = (
    select(func.count(), func.sum(outbox.c.amount_sum))
    .where(OPEN, outbox.c.status == literal("held"))
    .with_hint(outbox, "INDEXED BY ix_outbox_open", "sqlite")
)


def held(tx: Connection, selection: Selection) -> tuple[int, Decimal]:
    """The number and the amount of the events that are held for their attribution. Reads only those that wait."""
    count, amount = tx.execute(_selected(HELD, selection, outbox).where(outbox.c.amount_sum != 0)).one()
    return count, amount or Decimal()


def attribution(tx: Connection, selection: Selection) -> list[AttributionSum]:
    """Revenue by place of attribution, the largest first."""
    found: dict[str, AttributionSum] = {}
    for row in _read(tx, selection, Period.MONTH, (ATTRIBUTION,)):
        if row.amount_count:
            one = found.get(row.attribution or "none", AttributionSum(place=row.attribution or "none"))
            found[one.place] = replace(one, amount=one.amount + row.amount, count=one.count + row.amount_count)
    return with_held(list(found.values()), held(tx, selection))


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


def currencies(tx: Connection, livemode: bool, present: Iterable[Level] | None = None) -> list[str]:
    """The currencies of all events of a mode: first that with the most subscriptions, then with the most payments.

    `present`: the levels of the mode, if they were read already.
    """
    codes = currency_codes(tx, livemode)
    if len(codes) < 2:
        return codes
    sold = Counter[str]()
    for one in subscriptions.levels(tx, livemode) if present is None else present:
        sold[one.currency] += one.count
    is_clear = len({sold[code] for code in codes}) == len(codes)
    return currency_order({code: (sold[code], 0 if is_clear else _payments(tx, livemode, code)) for code in codes})


def _payments(tx: Connection, livemode: bool, currency: str) -> int:
    """The number of all events with an amount."""
    selection = Selection(livemode=livemode, currency=currency, first=FIRST_DAY, last=date.max)
    return sum(row.amount_count or 0 for row in _read(tx, selection, Period.MONTH, ()))


def is_live(tx: Connection) -> bool:
    """Whether lists show live money by default: unless there is only test money."""
    return bool(currency_codes(tx, livemode=True)) or not currency_codes(tx, livemode=False)


def currency_codes(tx: Connection, livemode: bool) -> list[str]:
    """The same by code. Each costs one look into an index, however many events there are."""
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


def _selected(query: Select[*Columns], selection: Selection, table: FromClause) -> Select[*Columns]:
    query = query.where(
        table.c.livemode == selection.livemode,
        table.c.currency == selection.currency,
        table.c.day.between(number_of(selection.first), number_of(selection.last)),
    )
    if selection.source is not None:
        query = query.where(table.c.source == selection.source)
    if selection.plan is not None:
        query = query.where(func.coalesce(table.c.plan, NO_PLAN) == selection.plan)
    return query


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum of decimals, exact."""
    return sum(values, Decimal())
