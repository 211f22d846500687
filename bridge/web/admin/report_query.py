"""The query of a report page: mode, currency, source, plan, range and period, with the values that may be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from flask import request
from sqlalchemy import Connection

from bridge.monitoring.periods import Period, months_before
from bridge.store import series, subscriptions
from bridge.store.series import Selection
from bridge.store.subscriptions import Level
from processors.values import Value

RANGES: Mapping[str, str] = {"30d": "30 days", "90d": "90 days", "12m": "12 months", "all": "All time"}
EARLIEST = date(2000, 1, 1)
LONGEST_BY_DAY = timedelta(days=400)
LONGEST_BY_WEEK = timedelta(days=7 * 260)


class ReportQuery(Value):
    """The request of a report. `span`: a key of RANGES, or "" for chosen days. `plans`, `sources`: to choose from.

    `levels`: the present MRR of the mode, in all currencies.
    """

    selection: Selection
    period: Period
    span: str
    currencies: Sequence[str]
    sources: Sequence[str]
    plans: Sequence[str]
    levels: Sequence[Level]

    @property
    def mode(self) -> str:
        """live or test."""
        return "live" if self.selection.livemode else "test"

    def arguments(self, **changes: str | None) -> dict[str, str]:
        """The query parameters of this report with some changed; None removes one."""
        chosen = self.selection
        days = {"from": chosen.first.isoformat(), "to": chosen.last.isoformat()} if not self.span else {}
        values: dict[str, str | None] = {
            "mode": self.mode,
            "currency": chosen.currency,
            "source": chosen.source,
            "plan": chosen.plan,
            "range": self.span or None,
            "by": self.period.value,
            **days,
            **changes,
        }
        return {name: value for name, value in values.items() if value is not None}


def read_query(
    tx: Connection, sources: Sequence[str], today: date, *, span: str = "12m", period: Period | None = None
) -> ReportQuery:
    """The query of this request. A parameter that is missing or odd has its default; nothing raises."""
    mode = request.args.get("mode", "")
    livemode = mode == "live" if mode in ("live", "test") else series.is_live(tx)
    levels = subscriptions.levels(tx, livemode)
    currencies = series.currencies(tx, livemode, levels)
    currency = request.args.get("currency", "")
    if currency not in currencies:
        currency = currencies[0] if currencies else "USD"
    span, first, last = _days(tx, livemode, currency, today, span)
    selection = Selection(
        livemode=livemode,
        currency=currency,
        first=first,
        last=last,
        source=_one_of(request.args.get("source"), sources),
        plan=request.args.get("plan") or None,
    )
    plans = {one.plan for one in levels if one.currency == currency} | {selection.plan or ""}
    return ReportQuery(
        selection=selection,
        period=_period(request.args.get("by"), last - first, period),
        span=span,
        currencies=currencies or [currency],
        sources=sources,
        plans=sorted(plans - {""}),
        levels=levels,
    )


def _one_of(given: str | None, allowed: Sequence[str]) -> str | None:
    return given if given in allowed else None


def _days(tx: Connection, livemode: bool, currency: str, today: date, default: str) -> tuple[str, date, date]:
    """The range and its first and last day."""
    first, last = _date(request.args.get("from")), _date(request.args.get("to"))
    if first or last:
        last = max(min(last or today, today), EARLIEST)
        return "", max(min(first or last, last), EARLIEST), last
    span = request.args.get("range", "")
    span = span if span in RANGES else default
    if span == "12m":
        return span, months_before(today, 11), today
    if span == "all":
        return span, min(series.first_day(tx, livemode, currency) or today, today), today
    return span, today - timedelta(days=int(span[:-1]) - 1), today


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _period(given: str | None, length: timedelta, default: Period | None) -> Period:
    """The period that was asked for, or one that suits the length; never one with too many bars."""
    wanted = Period(given) if given in list(Period) else default
    if wanted is None:
        wanted = Period.DAY if length < timedelta(days=62) else Period.MONTH
    if wanted is Period.DAY and length > LONGEST_BY_DAY:
        wanted = Period.WEEK
    return Period.MONTH if wanted is Period.WEEK and length > LONGEST_BY_WEEK else wanted
