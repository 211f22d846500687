"""The attribution page: what is held, a form for each customer, where attributions come from, and rejected values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from bridge.internal_events import attributions
from bridge.monitoring.held import held_by_customer
from bridge.monitoring.mrr import exact
from bridge.store import rejected_visits, series
from bridge.store.series import AttributionSum, Selection
from bridge.web.admin.notices import back, finished
from bridge.web.admin.page import render
from bridge.web.admin.session import admin_only, require_form
from bridge.web.context import context
from processors.values import replace

MAX_HELD = 500
PERIOD = timedelta(days=90)
FIELDS = ("visitor_fingerprint", "session_id", *attributions.REFERENCES)


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/attribution")(admin_only(attribution))
    bp.post("/admin/attribution")(register_attribution)


def attribution() -> Response:
    """Held revenue, and how the revenue of the last 90 days was attributed."""
    today = datetime.now(UTC).date()
    with context().store.reading() as tx:
        held = held_by_customer(tx, MAX_HELD)
        rejected = rejected_visits.listed(tx)
        places: dict[str, list[AttributionSum]] = {}
        for currency in series.currencies(tx, livemode=True):
            selection = Selection(livemode=True, currency=currency, first=today - PERIOD, last=today)
            found = series.attribution(tx, selection)
            places[currency] = [replace(one, amount=exact(one.amount, currency)) for one in found]
    return render(
        "attribution.html",
        held=held,
        rejected=rejected,
        places={currency: rows for currency, rows in places.items() if rows},
        first=(today - PERIOD).isoformat(),
        last=today.isoformat(),
        register=url_for(".register_attribution"),
        has_more=sum(len(one.deliveries) for one in held) >= MAX_HELD,
    )


def register_attribution() -> Response:
    """Registers the visit of a customer, subscription or transaction, and releases the revenue held for it."""
    require_form()
    from marshmallow import ValidationError  # not above: a web process is ready earlier

    from bridge.web.schemas import AttributionSchema

    page = back(url_for(".attribution"))
    given = {name: value for name in FIELDS if (value := request.form.get(name, "").strip())}
    source = context().settings.sources.get(request.form.get("source", ""))
    try:
        values = AttributionSchema().load(given)
    except ValidationError:
        source = None
    if source is None:
        return finished("attribute", "invalid", page, count=0)
    livemode = request.form.get("mode") != "test"
    webhook = attributions.encode(source, values, livemode=livemode, now=datetime.now(UTC))
    code = "attributed" if context().store.accept(webhook) else "known"
    return finished("attribute", code, page, event_id=webhook.event_id, source=source.name)
