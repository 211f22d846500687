"""Sums of the revenue events of whole days, so that a report does not add a long history each time.

They only save time: the days without sums are added from the outbox, so a report is right with all, some or none of
them. Triggers of the database (migration 0007) drop a day's sums in the transaction that adds, changes or deletes one
of its events, whatever does that. The worker sums such days again; the last two days, which still change, never.

On PostgreSQL two transactions that drop the sums of the same two days in opposite order wait for each other. Events of
a customer must be added in their own order, whatever their days, so this is not prevented: the database undoes one of
them (`Deadlock`), and the worker repeats it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby

from sqlalchemy import Connection, Integer, bindparam, case, delete, func, insert, literal_column, select, text

from bridge.store.schema import daily_sums, outbox, summed_days
from processors.values import Value

FIRST_DAY = date(1970, 1, 1)
DAY = timedelta(days=1)
UNSUMMED_DAYS = 2  # yesterday as well: webhooks of the hours before midnight still arrive
LOCK_TIMEOUT = "200ms"


class Period(StrEnum):
    """The length of one bar of a chart."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Days(Value):
    """The days from `first` to `last`, both included, of one mode and currency."""

    livemode: bool
    currency: str
    first: date
    last: date


def number_of(day: date) -> int:
    """A day as it is stored."""
    return (day - FIRST_DAY).days


def day_of(number: int) -> date:
    """The inverse of `number_of`."""
    return FIRST_DAY + timedelta(days=number)


def last_summed(now: datetime) -> date:
    """The latest day that is summed."""
    return now.date() - UNSUMMED_DAYS * DAY


# ---- Which days have sums --------------------------------------------------------------------------------------

SUMMED = (
    select(summed_days.c.day)
    .where(summed_days.c.livemode == bindparam("livemode"), summed_days.c.currency == bindparam("currency"))
    .where(summed_days.c.day.between(bindparam("first"), bindparam("last")))
    .order_by(summed_days.c.day)
)


def unsummed(tx: Connection, days: Days) -> list[Days]:
    """The days without sums, as runs of successive days, in order."""
    return list(_gaps(days, map(day_of, tx.execute(SUMMED, _parameters(days)).scalars())))


def _gaps(days: Days, summed: Iterable[date]) -> Iterator[Days]:
    first = days.first
    for day in summed:
        if day > first:
            yield Days(livemode=days.livemode, currency=days.currency, first=first, last=day - DAY)
        first = day + DAY
    if first <= days.last:
        yield Days(livemode=days.livemode, currency=days.currency, first=first, last=days.last)


def _parameters(days: Days) -> dict[str, object]:
    return {
        "livemode": days.livemode,
        "currency": days.currency,
        "first": number_of(days.first),
        "last": number_of(days.last),
    }


# ---- Sum days --------------------------------------------------------------------------------------------------

KEY = (
    outbox.c.livemode,
    outbox.c.currency,
    outbox.c.day,
    func.coalesce(outbox.c.movement, "").label("movement"),
    outbox.c.source,
    outbox.c.event_type,
    func.coalesce(outbox.c.plan, "").label("plan"),
    func.coalesce(outbox.c.attribution, "none").label("attribution"),
)
DELETE = delete(daily_sums).where(
    daily_sums.c.livemode == bindparam("livemode"),
    daily_sums.c.currency == bindparam("currency"),
    daily_sums.c.day.between(bindparam("first"), bindparam("last")),
)
ADD = insert(daily_sums).from_select(
    [*(column.name for column in KEY), "month", "amount_sum", "amount_count", "mrr_sum", "count"],
    select(
        *KEY,
        bindparam("month", type_=Integer),
        func.sum(outbox.c.amount_sum),
        func.coalesce(func.sum(case((outbox.c.amount_sum != 0, 1), else_=0)), 0),
        func.sum(outbox.c.mrr_sum),
        func.count(),
    )
    .where(outbox.c.livemode == bindparam("livemode"), outbox.c.currency == bindparam("currency"))
    .where(outbox.c.day.between(bindparam("first"), bindparam("last")))
    .group_by(*(literal_column(str(number)) for number in range(1, len(KEY) + 1))),
)


def months(runs: Iterable[Days]) -> list[Days]:
    """The same days, cut at the ends of months."""
    return [cut for run in runs for cut in _cut(run)]


def _cut(run: Days) -> Iterator[Days]:
    days = [run.first + DAY * number for number in range((run.last - run.first).days + 1)]
    for _, group in groupby(days, key=month_of):
        own = list(group)
        yield Days(livemode=run.livemode, currency=run.currency, first=own[0], last=own[-1])


def month_of(day: date) -> int:
    """The months from the year 0."""
    return day.year * 12 + day.month - 1


def lock(tx: Connection) -> None:
    """Waits until no other transaction changes the outbox, and keeps others from it until this one ends (PostgreSQL).

    Otherwise an event that another transaction adds meanwhile would be in no sum: each would not see the other. Raises
    `StoreUnavailable` after a short time, because those that come later wait behind this one. SQLite has one writer.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        tx.execute(text("LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE"))


def add(tx: Connection, days: Days) -> int:
    """Sums the days, all of one month, that still have no sums; returns how many. After `lock`."""
    runs = unsummed(tx, days)
    for run in runs:
        given = _parameters(run)
        tx.execute(DELETE, given)
        tx.execute(ADD, given | {"month": month_of(run.first)})
        _mark(tx, run)
    return sum((run.last - run.first).days + 1 for run in runs)


def _mark(tx: Connection, run: Days) -> None:
    numbers: Sequence[int] = range(number_of(run.first), number_of(run.last) + 1)
    rows = [{"livemode": run.livemode, "currency": run.currency, "day": number} for number in numbers]
    tx.execute(insert(summed_days), rows)
