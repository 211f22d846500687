"""The revenue page: by period and event type, by source and plan, refunds, and the share whose visit is known."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from flask import Blueprint
from markupsafe import Markup
from werkzeug.wrappers import Response

from bridge.formatting import amount, quantity
from bridge.monitoring.revenue import TYPES, Part, RevenueBucket, RevenueReport, read_revenue
from bridge.store.series import total
from bridge.web import charts
from bridge.web.admin.links import to_deliveries
from bridge.web.admin.page import render
from bridge.web.admin.report_query import RANGES, read_query
from bridge.web.admin.session import admin_only
from bridge.web.charts import Column, Segment
from bridge.web.context import context

UNATTRIBUTED = ("none", "held")


def mount(bp: Blueprint) -> None:
    """Adds the page."""
    bp.get("/admin/revenue")(admin_only(revenue))


def revenue() -> Response:
    """The revenue of the selection in the query."""
    here, today = context(), datetime.now(UTC).date()
    with here.store.reading() as tx:
        query = read_query(tx, sorted(here.settings.sources), today, span="30d")
        report = read_revenue(tx, query.selection, query.period)
    return render(
        "revenue.html",
        query=query,
        report=report,
        ranges=RANGES,
        types=[kind for kind in TYPES if any(part.name == kind for part in report.by_type)],
        chart=revenue_chart(report),
        shares=attribution_shares(report),
        to_deliveries=to_deliveries,
    )


def revenue_chart(report: RevenueReport) -> Markup:
    """Revenue by period, stacked by event type; refunds below the axis; the net as a line."""
    currency = report.selection.currency
    columns = [Column(label=one.span.label, segments=_segments(report, one), line=one.net) for one in report.buckets]
    description = f"{amount(report.net)} {currency} net of refunds. The table below has the numbers."
    return charts.stacked_bars("revenue", f"Revenue by {report.period} in {currency}", description, columns)


def attribution_shares(report: RevenueReport) -> list[tuple[str, Part, Decimal]]:
    """Attributed, held and unattributed revenue, each with its share of the net in percent."""
    attributed = [part for part in report.attribution if part.name not in UNATTRIBUTED]
    parts = [
        Part(
            name="attributed",
            amount=total(one.amount for one in attributed),
            count=sum(one.count for one in attributed),
        ),
        *(part for name in ("held", "none") for part in report.attribution if part.name == name),
    ]
    whole = total(part.amount for part in parts)
    names = {"none": "unattributed"}
    return [
        (
            names.get(part.name, part.name),
            part,
            (part.amount * 100 / whole).quantize(Decimal("0.1")) if whole else Decimal(),
        )
        for part in parts
    ]


def _segments(report: RevenueReport, bucket: RevenueBucket) -> list[Segment]:
    currency = report.selection.currency
    return [
        Segment(
            kind=kind,
            value=part.amount,
            text=f"{bucket.span.label}: {kind} {amount(part.amount)} {currency}, {quantity(part.count, 'event')}",
            href=to_deliveries(report.selection, bucket.span.first, bucket.span.last, type=kind),
        )
        for kind in TYPES
        if (part := bucket.by_type.get(kind)) is not None
    ]
