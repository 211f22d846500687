"""The MRR page: movements by period, a waterfall, the level over time, and the present level by plan and source."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from flask import Blueprint
from markupsafe import Markup
from werkzeug.wrappers import Response

from bridge.formatting import amount, quantity, signed_amount
from bridge.monitoring.mrr import Bucket, MrrReport, read_mrr
from bridge.store.delivery_columns import Movement
from bridge.web import charts
from bridge.web.admin.links import to_deliveries
from bridge.web.admin.page import render
from bridge.web.admin.report_query import RANGES, read_query
from bridge.web.admin.session import admin_only
from bridge.web.charts import Column, Segment, Step
from bridge.web.context import context

# In a bar the largest kinds are next to the axis.
STACKED = (Movement.NEW, Movement.REACTIVATION, Movement.UPGRADE, Movement.CHURN, Movement.DOWNGRADE)
BRIEF = {
    Movement.NEW: "New",
    Movement.REACTIVATION: "React.",
    Movement.UPGRADE: "Up",
    Movement.DOWNGRADE: "Down",
    Movement.CHURN: "Churn",
}


def mount(bp: Blueprint) -> None:
    """Adds the page."""
    bp.get("/admin/mrr")(admin_only(mrr))


def mrr() -> Response:
    """The MRR of the selection in the query."""
    here, today = context(), datetime.now(UTC).date()
    with here.store.reading() as tx:
        query = read_query(tx, sorted(here.settings.sources), today)
        report = read_mrr(tx, query.selection, query.period, today, query.levels)
    return render(
        "mrr.html",
        query=query,
        report=report,
        ranges=RANGES,
        movements=list(Movement),
        charts=[movements_chart(report), waterfall_chart(report), level_chart(report)],
        to_deliveries=to_deliveries,
        is_empty=not report.now and not any(one.count for one in report.totals.values()),
    )


def movements_chart(report: MrrReport) -> Markup:
    """The movements of each period: gains above the axis, losses below, and the net change as a line."""
    currency = report.selection.currency
    description = (
        f"{len(report.buckets)} periods, net {signed_amount(report.net)} {currency}. The table below has the numbers."
    )
    columns = [Column(label=one.span.label, segments=_segments(report, one), line=one.net) for one in report.buckets]
    return charts.stacked_bars("movements", f"MRR movements by {report.period} in {currency}", description, columns)


def waterfall_chart(report: MrrReport) -> Markup:
    """From the level before the first day to the level at the end of the last one; nothing if a plan is selected."""
    if report.start is None or report.end is None:
        return Markup("")
    selection, currency = report.selection, report.selection.currency
    steps = [
        _level_step("Start", report.start, currency),
        *(
            Step(
                label=movement.value.capitalize(),
                brief=BRIEF[movement],
                kind=movement.value,
                value=total.mrr,
                text=_text(movement, total.mrr, total.count, currency),
                href=to_deliveries(selection, movement=movement.value),
            )
            for movement, total in report.totals.items()
        ),
        _level_step("End", report.end, currency),
    ]
    description = f"From {amount(report.start)} to {amount(report.end)} {currency}."
    return charts.waterfall("waterfall", f"MRR from {selection.first} to {selection.last}", description, steps)


def level_chart(report: MrrReport) -> Markup:
    """The level at the end of each period; nothing if a plan is selected."""
    if report.end is None:
        return Markup("")
    columns = [Column(label=one.span.label, line=one.level) for one in report.buckets]
    currency = report.selection.currency
    description = f"{amount(report.end)} {currency} at the end."
    return charts.line("level", f"MRR at the end of each {report.period} in {currency}", description, columns)


def _segments(report: MrrReport, bucket: Bucket) -> list[Segment]:
    currency = report.selection.currency
    return [
        Segment(
            kind=movement.value,
            value=total.mrr,
            text=f"{bucket.span.label}: {_text(movement, total.mrr, total.count, currency)}",
            href=to_deliveries(report.selection, bucket.span.first, bucket.span.last, movement=movement.value),
        )
        for movement in STACKED
        if (total := bucket.movements[movement]).count
    ]


def _level_step(label: str, value: Decimal, currency: str) -> Step:
    return Step(
        label=label, brief=label, kind="level", value=value, text=f"{label}: {amount(value)} {currency}", is_total=True
    )


def _text(movement: Movement, mrr: Decimal, count: int, currency: str) -> str:
    return f"{movement.value} {signed_amount(mrr)} {currency}, {quantity(count, 'movement')}"
