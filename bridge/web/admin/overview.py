"""The overview: health, MRR, revenue and deliveries at one glance, and what needs attention."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.monitoring.health import Notice
from bridge.monitoring.overview import read_overview
from bridge.sender.destinations import Destination
from bridge.settings import Settings
from bridge.store import queues, streams
from bridge.web.admin.page import is_mounted, render
from bridge.web.admin.session import admin_only
from bridge.web.admin.sources import has_anything, setup
from bridge.web.auth import admin_token
from bridge.web.charts import sparkline
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
    """The state of the bridge now. Until the first webhook has arrived, the set-up page."""
    if "stay" not in request.args and not has_anything():
        return setup()
    settings, now = context().settings, datetime.now(UTC)
    with context().store.reading() as tx:
        seen = read_overview(tx, destinations(settings), settings.rate_limit_per_hour, now)
        from bridge.alerts.notices import read_notices  # not above: a web process is ready earlier

        alerts = read_notices(tx, settings, now)
        customers, next_wait = streams.counts(tx, now).waiting, queues.next_wait(tx, now)
    attention = [(notice, link_of(notice)) for notice in (*seen.health.attention, *alerts)]
    return render(
        "overview.html",
        seen=seen,
        attention=attention,
        customers=customers,
        next_wait=next_wait,
        link_of=link_of,
        sparkline=sparkline,
        now=now,
    )


def destinations(settings: Settings) -> list[Destination]:
    """Where the configured sources send to."""
    return [Destination(endpoint=one.endpoint, token=one.token) for one in settings.sources.values()]


def link_of(notice: Notice) -> str | None:
    """The address of a notice's page; None: it has none."""
    return url_for(f".{notice.page}", **notice.query) if notice.page and is_mounted(notice.page) else None  # type: ignore[arg-type]
