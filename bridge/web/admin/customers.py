"""The latest customers, and the page of one: subscriptions, MRR over time, attribution, and history."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from flask import Blueprint, abort, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from bridge.formatting import amount
from bridge.monitoring.customers import Customer, Step, found_customers, latest_customers, read_customer
from bridge.monitoring.settlements import read_page
from bridge.store.search import WebhookFilter
from bridge.web import charts
from bridge.web.admin import list_query
from bridge.web.admin.page import PAGE_ROWS, render
from bridge.web.admin.session import admin_only
from bridge.web.charts import Column
from bridge.web.context import context
from processors.money import TOO_MUCH

MAX_POINTS = 240


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/customers")(admin_only(customers))
    bp.get("/admin/customers/<path:stream_id>")(admin_only(customer))


def customers() -> Response:
    """The customers with the latest revenue events, or those that an id belongs to."""
    text = list_query.given("q")
    with context().store.reading() as tx:
        rows, before = (
            (found_customers(tx, text), None) if text else latest_customers(tx, PAGE_ROWS, list_query.before())
        )
    return render("customers.html", rows=rows, before=before, filters=list_query.parameters(("q",)))


def customer(stream_id: str) -> Response:
    """One customer."""
    now = datetime.now(UTC)
    with context().store.reading() as tx:
        found = read_customer(tx, stream_id) or abort(404)
        history = read_page(tx, WebhookFilter(stream_id=stream_id, with_imports=True), PAGE_ROWS, list_query.before())
    return render(
        "customer.html",
        found=found,
        history=history,
        charts=[chart for currency in found.mrr if (chart := mrr_chart(found, currency, now.date()))],
        register=url_for(".register_attribution"),
    )


def mrr_chart(found: Customer, currency: str, today: date) -> Markup | None:
    """The MRR of one currency after each movement, as steps; None without a movement, or if it is too large to draw."""
    steps = found.steps(currency)
    if not steps or any(abs(one.level) >= TOO_MUCH for one in steps):
        return None
    columns = _columns(steps, today)
    description = f"Now {amount(steps[-1].level)} {currency}. {len(steps)} days with movements."
    return charts.steps(f"mrr-{currency.lower()}", f"MRR of the customer in {currency}", description, columns)


def _columns(steps: list[Step], today: date) -> list[Column]:
    """The level at equally distant days from the first movement until today; the line holds its level in between."""
    first = steps[0].day
    length = max((today - first).days, 1)
    number = min(length + 1, MAX_POINTS)
    columns = []
    for index in range(number):
        day = date.fromordinal(first.toordinal() + round(index * length / max(number - 1, 1)))
        level = next((one.level for one in reversed(steps) if one.day <= day), Decimal())
        columns.append(Column(label=f"{day:%b} {day.day}", line=level))
    return columns
