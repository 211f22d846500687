"""The query of a list: its filter as parameters of the address, so that a filtered list can be shared and exported.

q                             any id, customer, type, or a text in the reason
source, type, status, …       equal to the column; an empty plan: without one
mode                          live or test
from, to                      days in UTC, both included
before                        the page after the row with this id
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import TypeVar

from flask import Response, request, stream_with_context

from bridge.csv_lines import csv_lines
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.search import DeliveryFilter, WebhookFilter
from bridge.web.admin.page import row_id

MAX_TEXT = 200
WEBHOOK_PARAMETERS = ("q", "source", "type", "status", "mode", "account", "from", "to", "imports", "stream")
DELIVERY_PARAMETERS = (
    "q", "source", "type", "status", "mode", "account", "from", "to", "currency", "movement", "plan", "attribution",
    "customer", "stream",
)  # fmt: skip

Status = TypeVar("Status", bound=StrEnum)


def webhook_filter() -> WebhookFilter:
    """The filter of this request. A parameter that is odd counts as not given; nothing raises."""
    return WebhookFilter(
        text=given("q"),
        source=given("source"),
        type=given("type"),
        status=_member(InboxStatus, request.args.get("status")),
        livemode=_livemode(),
        account=given("account"),
        first=_day("from"),
        last=_day("to"),
        with_imports=request.args.get("imports") == "1",
        stream_id=given("stream"),
    )


def delivery_filter() -> DeliveryFilter:
    """The filter of this request. A parameter that is odd counts as not given; nothing raises."""
    return DeliveryFilter(
        text=given("q"),
        source=given("source"),
        type=given("type"),
        status=_member(DeliveryStatus, request.args.get("status")),
        livemode=_livemode(),
        account=given("account"),
        currency=given("currency"),
        movement=given("movement"),
        plan=request.args.get("plan"),
        attribution=given("attribution"),
        customer=given("customer"),
        first=_day("from"),
        last=_day("to"),
        stream_id=given("stream"),
    )


def parameters(names: Sequence[str]) -> dict[str, str]:
    """The parameters of this request's filter, by name, without the page."""
    # An empty select of the form means "all"; only `plan` has a meaning when it is empty, and the form has no `plan`.
    return {name: value for name in names if (value := request.args.get(name)) or (value == "" and name == "plan")}


def before() -> int | None:
    """The id of the row after which the page begins; None: the first page."""
    return request.args.get("before", type=row_id)


def given(name: str) -> str | None:
    """A parameter with its spaces removed; None if it is empty."""
    return request.args.get(name, "").strip().replace("\x00", "")[:MAX_TEXT] or None


def _livemode() -> bool | None:
    return {"live": True, "test": False}.get(request.args.get("mode", ""))


def _member(kind: type[Status], text: str | None) -> Status | None:
    return kind(text) if text in list(kind) else None


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None


# ---- Export ----------------------------------------------------------------------------------------------------


def csv_response(name: str, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Response:
    """Rows as a CSV file, written while they are read."""
    response = Response(stream_with_context(csv_lines(rows, columns)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
