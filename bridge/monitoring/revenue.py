"""Revenue by period, event type, source and plan, and the share of it whose visit is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection

from bridge.monitoring.mrr import exact
from bridge.monitoring.periods import Period, Span, spans
from bridge.store import series
from bridge.store.series import AttributionSum, RevenueSum, Selection
from processors.values import Value

REFUND = "refund"
# The order in which the parts of a bar are stacked.
TYPES = ("renewal", "subscription", "upgrade", "downgrade", "purchase", "churn", REFUND)


class Part(Value):
    """Revenue of one kind, in major units, and from how many events."""

    name: str
    amount: Decimal
    count: int


class RevenueBucket(Value):
    """One period: revenue by event type. `net`: refunds subtracted."""

    span: Span
    by_type: Mapping[str, Part]
    net: Decimal


class RevenueReport(Value):
    """The revenue of a selection. `gross`: payments; `refunds`: negative; `net`: their sum.

    `attribution`: by the place where the visit was found, "none" without one, "held" while it is waited for.
    """

    selection: Selection
    period: Period
    gross: Decimal
    refunds: Decimal
    net: Decimal
    buckets: Sequence[RevenueBucket]
    by_type: Sequence[Part]
    by_source: Sequence[Part]
    by_plan: Sequence[Part]
    attribution: Sequence[Part]


def read_revenue(tx: Connection, selection: Selection, period: Period) -> RevenueReport:
    """Reads the report."""
    currency = selection.currency
    others = series.revenue(tx, selection, Period.MONTH)
    # By day the groups of all days are many rows, so that a second query is faster.
    sums = others if period is Period.MONTH else series.revenue(tx, selection, period, (series.EVENT_TYPE,))
    refunds = series.total(one.amount for one in sums if one.event_type == REFUND)
    net = series.total(one.amount for one in sums)
    return RevenueReport(
        selection=selection,
        period=period,
        gross=exact(net - refunds, currency),
        refunds=exact(refunds, currency),
        net=exact(net, currency),
        buckets=_buckets(spans(selection.first, selection.last, period), sums, currency),
        by_type=_parts(sums, lambda one: one.event_type, currency),
        by_source=_parts(others, lambda one: one.source, currency),
        by_plan=_parts(others, lambda one: one.plan, currency),
        attribution=_attribution(others, series.held(tx, selection), currency),
    )


def _attribution(sums: Iterable[RevenueSum], held: tuple[int, Decimal], currency: str) -> list[Part]:
    parts = _parts(sums, lambda one: one.attribution, currency)
    found = [AttributionSum(place=part.name, amount=part.amount, count=part.count) for part in parts]
    return [
        Part(name=one.place, amount=exact(one.amount, currency), count=one.count)
        for one in series.with_held(found, held)
    ]


def _buckets(wanted: Sequence[Span], sums: Sequence[RevenueSum], currency: str) -> list[RevenueBucket]:
    found: list[RevenueBucket] = []
    remaining = sorted(sums, key=lambda one: one.day)
    position = 0
    for span in wanted:
        begin = position
        while position < len(remaining) and remaining[position].day <= span.last:
            position += 1
        own = remaining[begin:position]
        parts = {part.name: part for part in _parts(own, lambda one: one.event_type, currency)}
        net = exact(series.total(one.amount for one in own), currency)
        found.append(RevenueBucket(span=span, by_type=parts, net=net))
    return found


def _parts(sums: Iterable[RevenueSum], name_of: Callable[[RevenueSum], str], currency: str) -> list[Part]:
    """Sums by name, the largest first."""
    found: dict[str, tuple[Decimal, int]] = {}
    for one in sums:
        amount, count = found.get(name_of(one), (Decimal(), 0))
        found[name_of(one)] = (amount + one.amount, count + one.count)
    parts = [Part(name=name, amount=exact(amount, currency), count=count) for name, (amount, count) in found.items()]
    return sorted(parts, key=lambda part: (-part.amount, part.name))
