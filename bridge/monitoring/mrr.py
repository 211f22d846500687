"""Monthly recurring revenue: its present level, its movements by period, and its level at the end of each.

The level now is the sum of the reported MRR of all subscriptions in the ledger, baselines included: MRR that is older
than the bridge. Earlier levels follow from it by subtracting the movements since, so a chart costs as much as its range
and not as much as the history. That both ways lead to the same sums is checked by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection

from bridge.monitoring.periods import DAY, Period, Span, spans
from bridge.store import series, subscriptions
from bridge.store.delivery_columns import Movement
from bridge.store.series import Selection
from bridge.store.subscriptions import Level
from processors.money import EXACT, iso_digits
from processors.values import Value, replace


class MovementTotal(Value):
    """The movements of one kind: their MRR in major units, and how many."""

    mrr: Decimal
    count: int


class Bucket(Value):
    """One period. `level`: the MRR at its end; None when a plan is selected: changes of plan move MRR between plans."""

    span: Span
    movements: Mapping[Movement, MovementTotal]
    net: Decimal
    level: Decimal | None


class MrrReport(Value):
    """The MRR of a selection. Amounts in major units with the currency's decimals.

    `start`: the level before the first day; `end`: at the end of the last one; `baseline`: the part of `now` that is
    older than the bridge and was never reported. The three levels are None when a plan is selected.
    """

    selection: Selection
    period: Period
    now: Decimal
    baseline: Decimal
    start: Decimal | None
    end: Decimal | None
    buckets: Sequence[Bucket]
    totals: Mapping[Movement, MovementTotal]
    by_plan: Sequence[Level]
    by_source: Sequence[Level]

    @property
    def net(self) -> Decimal:
        """The sum of all movements."""
        return series.total(one.mrr for one in self.totals.values())


def read_mrr(
    tx: Connection, selection: Selection, period: Period, today: date, present: Iterable[Level] | None = None
) -> MrrReport:
    """Reads the report. `today`: the present day in UTC, up to which the levels are counted back.

    `present`: the levels of the selection's mode, if they were read already.
    """
    if present is None:
        present = subscriptions.levels(tx, selection.livemode)
    levels = [one for one in present if _is_selected(one, selection)]
    now = exact(series.total(one.mrr for one in levels), selection.currency)
    sums = series.movements(tx, selection, period)
    end = None if selection.plan is not None else now - _later(tx, selection, today)
    buckets = _buckets(spans(selection.first, selection.last, period), sums, end, selection.currency)
    return MrrReport(
        selection=selection,
        period=period,
        now=now,
        baseline=exact(series.total(one.baseline for one in levels), selection.currency),
        start=None if end is None else exact(end - series.total(one.net for one in buckets), selection.currency),
        end=None if end is None else exact(end, selection.currency),
        buckets=buckets,
        totals=_totals(sums, selection.currency),
        by_plan=_grouped(levels, by_source=False),
        by_source=_grouped(levels, by_source=True),
    )


def exact(value: Decimal, currency: str) -> Decimal:
    """An amount with the decimals of its currency, or more if it has more."""
    wanted = -iso_digits(currency)
    normal = value.normalize(EXACT)
    exponent = normal.as_tuple().exponent
    return value.quantize(
        Decimal(1).scaleb(min(wanted, exponent if isinstance(exponent, int) else wanted)), context=EXACT
    )


def _is_selected(one: Level, selection: Selection) -> bool:
    return (
        one.currency == selection.currency
        and selection.source in (None, one.source)
        and selection.plan in (None, one.plan)
    )


def _later(tx: Connection, selection: Selection, today: date) -> Decimal:
    """The movements after the selection."""
    if today <= selection.last:
        return Decimal()
    after = replace(selection, first=selection.last + DAY, last=today)
    return series.total(one.mrr for one in series.movements(tx, after, Period.MONTH))


def _buckets(
    wanted: Sequence[Span], sums: Sequence[series.MovementSum], end: Decimal | None, currency: str
) -> list[Bucket]:
    """The periods, in order; their levels are counted back from `end`."""
    found: list[Bucket] = []
    remaining = list(sums)
    level = end
    for span in reversed(wanted):
        within: list[series.MovementSum] = []
        while remaining and remaining[-1].day >= span.first:
            within.append(remaining.pop())
        net = series.total(one.mrr for one in within)
        shown = None if level is None else exact(level, currency)
        found.append(Bucket(span=span, movements=_totals(within, currency), net=exact(net, currency), level=shown))
        level = None if level is None else level - net
    return found[::-1]


def _totals(sums: Iterable[series.MovementSum], currency: str) -> dict[Movement, MovementTotal]:
    found: dict[Movement, MovementTotal] = {}
    for movement in Movement:
        own = [one for one in sums if one.movement is movement]
        mrr = exact(series.total(one.mrr for one in own), currency)
        found[movement] = MovementTotal(mrr=mrr, count=sum(one.count for one in own))
    return found


def _grouped(levels: Iterable[Level], *, by_source: bool) -> list[Level]:
    """Levels by plan or by source, those with MRR only, the largest first."""
    found: dict[str, Level] = {}
    for one in levels:
        name = one.source if by_source else one.plan
        known = found.get(name)
        if known is None:
            found[name] = replace(one, plan="") if by_source else replace(one, source="")
        else:
            found[name] = replace(
                known, mrr=known.mrr + one.mrr, baseline=known.baseline + one.baseline, count=known.count + one.count
            )
    rows = [replace(one, mrr=exact(one.mrr, one.currency)) for one in found.values() if one.mrr or one.count]
    return sorted(rows, key=lambda one: (-one.mrr, one.plan, one.source))
