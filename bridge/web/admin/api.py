"""The reports as read-only JSON under /admin/api, for programs with the admin token as bearer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps

from flask import Blueprint, Response, abort, jsonify

from bridge.monitoring.mrr import read_mrr
from bridge.monitoring.overview import read_overview
from bridge.monitoring.report_json import plain
from bridge.monitoring.revenue import read_revenue
from bridge.web.admin.overview import destinations
from bridge.web.admin.report_query import read_query
from bridge.web.admin.session import is_admin
from bridge.web.context import context


def mount(bp: Blueprint) -> None:
    """Adds the routes."""
    bp.get("/admin/api/overview")(json_only(api_overview))
    bp.get("/admin/api/mrr")(json_only(api_mrr))
    bp.get("/admin/api/revenue")(json_only(api_revenue))


def json_only(route: Callable[..., object]) -> Callable[..., Response]:
    """The JSON of a route's value for the admin; 401 as JSON for anybody else."""

    @wraps(route)
    def guarded(**values: object) -> Response:
        if not is_admin():
            abort(401)
        return jsonify(plain(route(**values)))

    return guarded


def api_overview() -> object:
    """The overview."""
    settings = context().settings
    with context().store.reading() as tx:
        return read_overview(tx, destinations(settings), settings.rate_limit_per_hour, datetime.now(UTC))


def api_mrr() -> object:
    """The MRR report of the query."""
    here, today = context(), datetime.now(UTC).date()
    with here.store.reading() as tx:
        query = read_query(tx, sorted(here.settings.sources), today)
        return read_mrr(tx, query.selection, query.period, today, query.levels)


def api_revenue() -> object:
    """The revenue report of the query."""
    here, today = context(), datetime.now(UTC).date()
    with here.store.reading() as tx:
        query = read_query(tx, sorted(here.settings.sources), today, span="30d")
        return read_revenue(tx, query.selection, query.period)
