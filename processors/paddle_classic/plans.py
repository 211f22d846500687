"""Billing periods of plans, which alerts do not state: from PADDLE_CLASSIC_PLANS, else estimated from bill dates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from processors.facts import Interval
from processors.interface import Option

PERIOD = re.compile(r"([1-9][0-9]{0,2})?\s*(day|week|month|year)s?")

LONGEST_MONTH = 31  # days

# The period for a number of days between two bills: upper limit, unit, count.
BY_DAYS: tuple[tuple[int, Interval, int], ...] = (
    (1, Interval.DAY, 1),
    (8, Interval.WEEK, 1),
    (15, Interval.WEEK, 2),
    (45, Interval.MONTH, 1),
    (75, Interval.MONTH, 2),
    (135, Interval.MONTH, 3),
    (270, Interval.MONTH, 6),
    (550, Interval.YEAR, 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A billing period. `estimated`: not from the table."""

    interval: Interval
    count: int = 1
    estimated: bool = False


def plans_of(options: Mapping[str, str]) -> Mapping[str, Period]:
    """The configured periods by plan id."""
    found = _read(options.get(PLANS.name, ""))
    return {} if isinstance(found, str) else found


def plans_problem(value: str) -> str | None:
    """The problem with a configured table, or None."""
    found = _read(value)
    return found if isinstance(found, str) else None


def period_of_days(days: int | None) -> Period:
    """The period that a number of days between two bills is closest to; a month if unknown."""
    if days is None or days < 1:
        return Period(interval=Interval.MONTH, estimated=True)
    for most, interval, count in BY_DAYS:
        if days <= most:
            return Period(interval=interval, count=count, estimated=True)
    return Period(interval=Interval.YEAR, count=max(1, round(days / 365)), estimated=True)


def period_reaching(days: int | None) -> Period:
    """The shortest plausible period with this many days left: a month, else one or more years."""
    if days is None or days <= LONGEST_MONTH:
        return Period(interval=Interval.MONTH, estimated=True)
    return Period(interval=Interval.YEAR, count=-(-days // 366), estimated=True)


def shortest_days(period: Period) -> int:
    """The fewest days that a period can have."""
    return {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 28, Interval.YEAR: 365}[period.interval] * period.count


def _read(value: str) -> Mapping[str, Period] | str:
    """The table, or the problem with it."""
    entries = _entries(value)
    if entries is None:
        return "must be plan=interval pairs or a JSON object"
    found: dict[str, Period] = {}
    for plan, written in entries.items():
        match = PERIOD.fullmatch(written.strip().lower())
        if not plan.strip() or match is None:
            return f"{plan.strip()[:20]}: must be day, week, month or year, or a number of them, such as 3 months"
        found[plan.strip()] = Period(interval=Interval(match[2]), count=int(match[1] or 1))
    return found


def _entries(value: str) -> Mapping[str, str] | None:
    if not value.lstrip().startswith("{"):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return {plan: written for plan, _, written in pairs}
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return {str(plan): str(written) for plan, written in found.items()} if isinstance(found, dict) else None


PLANS = Option(
    name="PADDLE_CLASSIC_PLANS",
    help="Billing interval of each plan id, which alerts leave out; without it intervals are estimated.",
    example="12345=month,12346=year,12347=3 months",
    check=plans_problem,
)
