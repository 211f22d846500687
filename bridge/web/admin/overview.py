"""The overview: problems, counts, backlog, and revenue totals."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from bridge.monitoring.overview import read_overview
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web.admin.page import render
from bridge.web.admin.session import admin_only
from bridge.web.auth import admin_token
from bridge.web.context import context


def mount(bp: Blueprint) -> None:
    """Adds the page."""
    bp.get("/admin")(to_overview)
    bp.get("/admin/")(admin_only(overview))


def to_overview() -> Response:
    """Redirects to a path, not to a URL: behind a proxy the service may not know its scheme and host."""
    admin_token()
    return redirect(url_for(".overview"))


def overview() -> Response:
    """The state of the bridge now."""
    seen = read_overview(context().store, context().settings.rate_limit_per_hour, datetime.now(UTC))
    return render("overview.html", seen=seen, inbox_statuses=list(InboxStatus), delivery_statuses=list(DeliveryStatus))
