"""The list of revenue events with their delivery status, and the retry of a failed one."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.store import outbox
from bridge.store.outbox import DeliveryStatus
from bridge.web.admin.page import PAGE_ROWS, ROW_ID, render, row_id
from bridge.web.admin.session import admin_only, require_form
from bridge.web.context import context


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/deliveries")(admin_only(deliveries))
    bp.post(f"/admin/deliveries/{ROW_ID}/retry")(retry)


def deliveries() -> Response:
    """Revenue events, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=row_id)
    with context().store.reading() as tx:
        wanted = DeliveryStatus(status) if status in list(DeliveryStatus) else None
        rows = outbox.listing(tx, status=wanted, limit=PAGE_ROWS, before_id=before)
    return render(
        "deliveries.html",
        rows=rows,
        status=status,
        statuses=list(DeliveryStatus),
        has_more=len(rows) == PAGE_ROWS,
    )


def retry(row_id: int) -> Response:
    """Sends a failed delivery again."""
    require_form()
    with context().store.transaction() as tx:
        outbox.retry(tx, [row_id], datetime.now(UTC))
    return redirect(url_for(".deliveries", status="pending"), code=303)
