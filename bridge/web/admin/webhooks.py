"""The list of stored webhooks, and the page of one webhook."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.store import inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.web.admin.page import PAGE_ROWS, ROW_ID, render, row_id
from bridge.web.admin.session import admin_only
from bridge.web.auth import admin_token
from bridge.web.context import context


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/webhooks")(admin_only(webhooks))
    bp.get(f"/admin/webhooks/{ROW_ID}")(admin_only(webhook))
    bp.get("/admin/events", defaults={"row_id": None})(to_webhooks)
    bp.get(f"/admin/events/{ROW_ID}")(to_webhooks)


def to_webhooks(row_id: int | None) -> Response:
    """Redirects from the former addresses of the webhook pages."""
    admin_token()
    if row_id is not None:
        return redirect(url_for(".webhook", row_id=row_id), code=301)
    return redirect(
        url_for(".webhooks", status=request.args.get("status"), before=request.args.get("before")), code=301
    )


def webhooks() -> Response:
    """Stored webhooks, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=row_id)
    with context().store.reading() as tx:
        wanted = InboxStatus(status) if status in list(InboxStatus) else None
        rows = inbox.listing(tx, status=wanted, limit=PAGE_ROWS, before_id=before)
    return render(
        "webhooks.html", rows=rows, status=status, statuses=list(InboxStatus), has_more=len(rows) == PAGE_ROWS
    )


def webhook(row_id: int) -> Response:
    """One stored webhook: its status, the ledger's notes, and the revenue events based on it."""
    with context().store.reading() as tx:
        row = next(iter(inbox.listing(tx, limit=1, before_id=row_id + 1)), None)
        if row is None or row.id != row_id:
            abort(404)
        found = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    return render("webhook.html", row=row, deliveries=[one for one in found if row.event_id in one.event_ids])
