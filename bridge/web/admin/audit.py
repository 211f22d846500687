"""The audit page: the last comparison with a processor, its differing days and rows, and the earlier ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from flask import Blueprint, abort, request
from werkzeug.wrappers import Response

from bridge.formatting import currency_order
from bridge.store import audits
from bridge.store.audits import AuditResult, AuditRow
from bridge.web.admin.page import ROW_ID, render
from bridge.web.admin.session import admin_only
from bridge.web.context import context
from processors.values import Value

UNEXPLAINED = "unexplained"
SHOWN = 200
HISTORY = 30
MEASURES = {"revenue": "Revenue", "mrr": "MRR", "movements": "MRR movements"}


class Line(Value):
    """Both sides of one figure. `day` None: the present level, or the sum."""

    measure: str
    day: str | None
    currency: str
    ours: Decimal
    theirs: Decimal

    @property
    def amount(self) -> Decimal:
        """The difference."""
        return self.ours - self.theirs


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/audit")(admin_only(audit))
    bp.get(f"/admin/audit/{ROW_ID}")(admin_only(one_audit))


def audit() -> Response:
    """The last audit, and the earlier ones."""
    with context().store.reading() as tx:
        history = audits.recent(tx, HISTORY)
        rows = audits.rows_of(tx, history[0].id) if history else []
    return _page(history[0] if history else None, rows, history)


def one_audit(row_id: int) -> Response:
    """One audit."""
    with context().store.reading() as tx:
        found = audits.find(tx, row_id)
        history = audits.recent(tx, HISTORY)
        rows = audits.rows_of(tx, row_id) if found else []
    if found is None:
        abort(404)
    return _page(found, rows, history)


def _page(shown: AuditResult | None, rows: Sequence[AuditRow], history: Sequence[AuditResult]) -> Response:
    cause = request.args.get("cause", "")
    chosen = [row for row in rows if not cause or row.cause == cause]
    lines = [] if shown is None else days_of(shown)
    has_key = any(source.api_key for source in context().settings.sources.values())
    return render(
        "audit.html",
        shown=shown,
        totals=totals_of(lines),
        days=[line for line in lines if line.day and line.amount],
        rows=chosen[:SHOWN],
        row_count=len(chosen),
        cause=cause,
        history=history,
        measures=MEASURES,
        unexplained=UNEXPLAINED,
        has_key=has_key,
        hours=context().settings.audit_hours,
    )


def days_of(result: AuditResult) -> list[Line]:
    """Both sides by day."""
    return [
        Line(measure=measure, day=day, currency=currency, ours=Decimal(ours), theirs=Decimal(theirs))
        for measure, day, currency, ours, theirs in result.days
    ]


def totals_of(lines: Sequence[Line]) -> list[Line]:
    """The sum of each figure and currency; of MRR by day, which is a level, nothing."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        if line.measure == "mrr" and line.day is not None:
            continue
        key = (line.measure, line.currency)
        before = found.get(key)
        ours, theirs = (before.ours, before.theirs) if before else (Decimal(), Decimal())
        found[key] = Line(
            measure=line.measure, day=None, currency=line.currency, ours=ours + line.ours, theirs=theirs + line.theirs
        )
    measures = list(dict.fromkeys(measure for measure, _ in found))
    codes = currency_order(Counter(line.currency for line in lines))
    return sorted(found.values(), key=lambda one: (measures.index(one.measure), codes.index(one.currency)))
