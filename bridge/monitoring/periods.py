"""Days, weeks and months of a chart, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from bridge.store.daily_sums import Period
from processors.values import Value

__all__ = ["DAY", "Period", "Span", "months_before", "spans", "start_of"]

DAY = timedelta(days=1)


class Span(Value):
    """One bar: its first and last day, both included."""

    first: date
    last: date
    label: str


def start_of(day: date, period: Period) -> date:
    """The first day of the period that a day is in. Weeks begin on Monday."""
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTH else day


def spans(first: date, last: date, period: Period) -> list[Span]:
    """The periods from `first` to `last`; the first and last may be cut."""
    return list(_spans(first, last, period))


def months_before(day: date, months: int) -> date:
    """The first day of the month that many months earlier."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _spans(first: date, last: date, period: Period) -> Iterator[Span]:
    start = first
    while start <= last:
        end = min(_next_start(start, period) - DAY, last)
        yield Span(first=start, last=end, label=_label(start, period))
        start = end + DAY


def _next_start(day: date, period: Period) -> date:
    start = start_of(day, period)
    if period is Period.MONTH:
        return months_before(start, -1)
    return start + (timedelta(days=7) if period is Period.WEEK else DAY)


def _label(day: date, period: Period) -> str:
    return day.strftime("%b %Y") if period is Period.MONTH else f"{day:%b} {day.day}"
