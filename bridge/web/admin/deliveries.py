"""The list of revenue events with their delivery status, the page of one, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from flask import Blueprint, abort, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from bridge.inspection.next_step import next_step
from bridge.monitoring.settlements import customer_of
from bridge.sender.forwarding import kept_back
from bridge.store import attempts, inbox, interventions, outbox, pauses, search
from bridge.store.delivery_columns import Movement
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.web.admin import list_query
from bridge.web.admin.list_query import DELIVERY_PARAMETERS, csv_response, delivery_filter
from bridge.web.admin.notices import back, finished
from bridge.web.admin.page import PAGE_ROWS, ROW_ID, render
from bridge.web.admin.session import admin_only, require_form
from bridge.web.context import context
from processors.values import Value, replace

TOKEN_SHOWN = "sec_***"
TYPES = ("subscription", "renewal", "upgrade", "downgrade", "churn", "purchase", "refund")
CSV_COLUMNS = (
    "id", "created_at", "occurred_at", "source", "mode", "event_type", "amount", "currency", "mrr_impact",
    "customer_id", "subscription_id", "transaction_id", "plan", "attribution", "status", "attempts", "delivered_at",
    "last_response",
)  # fmt: skip
AGAIN = (DeliveryStatus.FAILED, DeliveryStatus.PENDING)


class Bulk(Value):
    """An action on all deliveries that pass a filter, which asks first."""

    title: str
    status: DeliveryStatus
    explanation: str
    button: str
    code: str
    run: Callable[[Connection, Sequence[int], datetime], int]


def _again(tx: Connection, ids: Sequence[int], now: datetime) -> int:
    return interventions.send_now(tx, ids, now).total


def _forward(tx: Connection, ids: Sequence[int], now: datetime) -> int:
    wanted = set(ids)
    chosen = [one for one in kept_back(tx, context().settings.sources, now) if one.delivery.id in wanted]
    return interventions.forward(tx, chosen, now)


BULK: Mapping[str, Bulk] = {
    "send": Bulk(
        title="Send failed revenue events again",
        status=DeliveryStatus.FAILED,
        explanation="Each has the same body as before, so Pulsora recognises one that it already has. "
        "Correct the cause first: the last response says what it is.",
        button="Send again",
        code="sent_now",
        run=_again,
    ),
    "release": Bulk(
        title="Release held revenue events",
        status=DeliveryStatus.HELD,
        explanation="They are sent without an attribution and stay unattributed in Pulsora. This cannot be undone. An "
        "attribution that is registered instead releases them too, with their visit.",
        button="Release without attribution",
        code="released",
        run=interventions.release_held,
    ),
    "forward": Bulk(
        title="Send what was not forwarded",
        status=DeliveryStatus.NOT_FORWARDED,
        explanation="DRY_RUN kept them back. Each customer's events are sent in order. This cannot be undone.",
        button="Send to Pulsora",
        code="forwarded",
        run=_forward,
    ),
}


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/deliveries")(admin_only(deliveries))
    bp.get("/admin/deliveries.csv")(admin_only(deliveries_csv))
    bp.get(f"/admin/deliveries/{ROW_ID}")(admin_only(delivery))
    bp.post(f"/admin/deliveries/{ROW_ID}/retry")(retry)
    bp.get("/admin/deliveries/bulk/<name>")(admin_only(confirm_bulk))
    bp.post("/admin/deliveries/bulk/<name>")(run_bulk)
    bp.post("/admin/pauses/resume")(resume)


# ---- The list --------------------------------------------------------------------------------------------------


def deliveries() -> Response:
    """Revenue events, newest first."""
    here = context()
    with here.store.reading() as tx:
        wanted, before = delivery_filter(), list_query.before()
        searched = search.deliveries_searched(tx, wanted.text, before)
        wanted = replace(wanted, since_id=searched.since_id if searched else None)
        rows = search.find_deliveries(tx, wanted, PAGE_ROWS + 1, before)
        paused = pauses.active(tx, datetime.now(UTC))
        accounts = search.accounts(tx)
    return render(
        "deliveries.html",
        rows=rows[:PAGE_ROWS],
        has_more=len(rows) > PAGE_ROWS,
        searched=searched,
        pauses=paused,
        next_step=next_step,
        customer_of=customer_of,
        bulk=BULK,
        filters=list_query.parameters(DELIVERY_PARAMETERS),
        choices={
            "source": sorted(here.settings.sources),
            "type": TYPES,
            "status": [one.value for one in DeliveryStatus],
            "mode": ["live", "test"],
            "movement": [one.value for one in Movement],
            "account": accounts,
        },
    )


def deliveries_csv() -> Response:
    """The filtered revenue events as a file."""
    return csv_response(
        "deliveries", map(_values, search.every_delivery(context().store, delivery_filter())), CSV_COLUMNS
    )


def _values(one: Delivery) -> Mapping[str, object]:
    found = {name: getattr(one, name, None) for name in CSV_COLUMNS}
    times = {name: at.isoformat() for name, at in found.items() if isinstance(at, datetime)}
    more = {
        "mode": "live" if one.livemode else "test",
        "status": one.status.value,
        "last_response": one.last_error or one.last_status,
    }
    return {**found, **times, **more}


# ---- One delivery ----------------------------------------------------------------------------------------------


def delivery(row_id: int) -> Response:
    """One revenue event: its body, every attempt, and what is next."""
    from bridge.sender import payload  # not above: it imports marshmallow, and a web process is ready earlier

    here = context()
    with here.store.reading() as tx:
        one = _delivery(tx, row_id)
        made = attempts.of_delivery(tx, row_id)
        causes = [row for event_id in one.event_ids if (row := inbox.find(tx, event_id, one.source))]
        first = next((other for other in outbox.of_stream(tx, one.stream_id) if other.status in outbox.UNSENT), None)
        paused = pauses.active(tx, datetime.now(UTC))
    source = here.settings.sources.get(one.source)
    return render(
        "delivery.html",
        one=one,
        attempts=made,
        causes=causes,
        ahead=first if first is not None and first.id < one.id and one.status in outbox.UNSENT else None,
        pauses=paused,
        endpoint=source.endpoint if source else None,
        body=payload.body(one.body, TOKEN_SHOWN).decode(),
        data=payload.load(one.body),
        customer=customer_of(one.stream_id),
        next_step=next_step(one),
        can_send=one.status in AGAIN,
    )


def _delivery(tx: Connection, row_id: int) -> Delivery:
    return outbox.find(tx, row_id) or abort(404)


def retry(row_id: int) -> Response:
    """Sends a pending delivery without waiting for its next try, or a failed one again."""
    require_form()
    with context().store.transaction() as tx:
        _delivery(tx, row_id)
        count = interventions.send_now(tx, [row_id], datetime.now(UTC)).total
    page = back(url_for(".delivery", row_id=row_id))
    return finished("send_now", "sent_now" if count else "not_sent", page, count=count, delivery_id=row_id)


# ---- Many ------------------------------------------------------------------------------------------------------


def confirm_bulk(name: str) -> Response:
    """Says how many revenue events the action is about, and asks."""
    action = BULK.get(name) or abort(404)
    with context().store.reading() as tx:
        ids = _chosen(tx, action)
    return render(
        "confirm.html",
        title=action.title,
        count=len(ids),
        noun="revenue event",
        explanation=action.explanation,
        button=action.button,
        fields=list_query.parameters(DELIVERY_PARAMETERS),
        back=back_link(action),
    )


def run_bulk(name: str) -> Response:
    """Does it, for the deliveries that pass the filter now."""
    require_form()
    action = BULK.get(name) or abort(404)
    with context().store.transaction() as tx:
        count = action.run(tx, _chosen(tx, action), datetime.now(UTC))
    return finished(f"{name}_all", action.code, back_link(action), count=count)


def back_link(action: Bulk) -> str:
    """The list that the action was started from, or the customer's page."""
    filters = list_query.parameters(DELIVERY_PARAMETERS)
    if set(filters) == {"stream"}:
        return url_for(".customer", stream_id=filters["stream"])
    return url_for(".deliveries", **{**filters, "status": action.status.value})  # type: ignore[arg-type]


def _chosen(tx: Connection, action: Bulk) -> list[int]:
    wanted = replace(delivery_filter(), status=action.status)
    ids = search.delivery_ids(tx, wanted)
    if action.status is DeliveryStatus.NOT_FORWARDED:
        sendable = {one.delivery.id for one in kept_back(tx, context().settings.sources, datetime.now(UTC))}
        return [row_id for row_id in ids if row_id in sendable]
    return ids


def resume() -> Response:
    """Ends a pause before its time."""
    require_form()
    destination = request.form.get("destination", "")
    with context().store.transaction() as tx:
        pauses.resume(tx, destination)
    return finished("resume", "resumed", back(url_for(".deliveries")), destination=destination)
