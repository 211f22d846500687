"""The numbers of the overview page: MRR and revenue of 30 days by currency, and the deliveries of 24 hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from bridge.monitoring.health import Health, read_health
from bridge.monitoring.mrr import exact, read_mrr
from bridge.monitoring.periods import Period
from bridge.sender.destinations import Destination
from bridge.store import rate_limit, series, subscriptions
from bridge.store.series import Selection
from bridge.store.subscriptions import Level
from processors.values import Value

DAYS = 30
DELIVERIES_OF = timedelta(hours=24)


class Trend(Value):
    """An amount in one currency, its change or parts over 30 days, and its value on each of them."""

    currency: str
    amount: Decimal
    change: Decimal
    line: Sequence[Decimal]


class Budget(Value):
    """The requests to one origin that count against the hourly limit. `limit` 0: none."""

    origin: str
    used: int
    limit: int


class Deliveries(Value):
    """The deliveries of the last 24 hours, and how long they took from the first webhook to Pulsora, in seconds."""

    count: int
    p50: float | None
    p95: float | None


class Overview(Value):
    """The overview page at `now`. `mode`: live, or test while there is only test money.

    `mrr`: the level now, its change and its line over 30 days. `revenue`: of 30 days net of refunds; `change`: refunds.
    `eta`: as `Queues.eta`.
    """

    now: datetime
    mode: str
    health: Health
    mrr: Sequence[Trend]
    revenue: Sequence[Trend]
    deliveries: Deliveries
    budgets: Sequence[Budget]
    eta: timedelta | None


def read_overview(
    tx: Connection, destinations: Iterable[Destination], rate_limit_per_hour: int, now: datetime
) -> Overview:
    """Reads the numbers of the page."""
    health = read_health(tx, now)
    livemode = series.is_live(tx)
    levels = subscriptions.levels(tx, livemode)
    currencies = series.currencies(tx, livemode, levels)
    selections = [_last_days(livemode, currency, now.date()) for currency in currencies]
    origins = sorted({one.origin for one in destinations})
    return Overview(
        now=now,
        mode="live" if livemode else "test",
        health=health,
        mrr=[_mrr(tx, one, levels) for one in selections],
        revenue=[_revenue(tx, one) for one in selections],
        deliveries=_deliveries(tx, now),
        budgets=[Budget(origin=o, used=rate_limit.used(tx, o, now), limit=rate_limit_per_hour) for o in origins],
        eta=health.queues.eta(rate_limit_per_hour),
    )


def percentile(ordered: Sequence[int], share: float) -> float | None:
    """The value below which that share of the values is, in seconds; from microseconds in ascending order."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1_000_000 if ordered else None


def _last_days(livemode: bool, currency: str, today: date) -> Selection:
    return Selection(livemode=livemode, currency=currency, first=today - timedelta(days=DAYS - 1), last=today)


def _mrr(tx: Connection, selection: Selection, levels: Sequence[Level]) -> Trend:
    report = read_mrr(tx, selection, Period.DAY, selection.last, levels)
    line = [one.level for one in report.buckets if one.level is not None]
    return Trend(
        currency=selection.currency, amount=report.now, change=exact(report.net, selection.currency), line=line
    )


def _revenue(tx: Connection, selection: Selection) -> Trend:
    by_day = series.revenue_by_day(tx, selection)
    days = [selection.first + timedelta(days=number) for number in range(DAYS)]
    currency = selection.currency
    return Trend(
        currency=currency,
        amount=exact(series.total(net for net, _ in by_day.values()), currency),
        change=exact(series.total(refunds for _, refunds in by_day.values()), currency),
        line=[exact(by_day[day][0] if day in by_day else Decimal(), currency) for day in days],
    )


def _deliveries(tx: Connection, now: datetime) -> Deliveries:
    since = now - DELIVERIES_OF
    took = series.latencies(tx, since)
    return Deliveries(count=series.delivered_count(tx, since), p50=percentile(took, 0.5), p95=percentile(took, 0.95))
