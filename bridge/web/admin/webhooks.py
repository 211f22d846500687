"""The list of stored webhooks, the page of one webhook with its explanation, and its replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Blueprint, abort, redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from bridge.inspection.masking import masked
from bridge.monitoring.settlements import customer_of, read_page
from bridge.store import attempts, inbox, search
from bridge.store.attempts import StoredAttempt
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.web.admin import list_query
from bridge.web.admin.list_query import WEBHOOK_PARAMETERS, csv_response, webhook_filter
from bridge.web.admin.notices import back, finished
from bridge.web.admin.page import PAGE_ROWS, ROW_ID, render
from bridge.web.admin.session import admin_only, require_form
from bridge.web.auth import admin_token
from bridge.web.context import context
from processors.values import Value, replace

if TYPE_CHECKING:
    from bridge.inspection.explanation import WebhookExplanation

CSV_COLUMNS = (
    "id", "event_id", "source", "account", "mode", "type", "created_at", "received_at", "settled_at", "status",
    "revenue_events", "customer", "reason",
)  # fmt: skip
MAX_REPLAYED = 10_000


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/webhooks")(admin_only(webhooks))
    bp.get("/admin/webhooks.csv")(admin_only(webhooks_csv))
    bp.get(f"/admin/webhooks/{ROW_ID}")(admin_only(webhook))
    bp.post(f"/admin/webhooks/{ROW_ID}/replay")(replay)
    bp.get("/admin/webhooks/replay")(admin_only(confirm_replay_all))
    bp.post("/admin/webhooks/replay")(replay_all)
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


# ---- The list --------------------------------------------------------------------------------------------------


def webhooks() -> Response:
    """Stored webhooks, newest first, one line per settlement."""
    here = context()
    with here.store.reading() as tx:
        wanted, before = webhook_filter(), list_query.before()
        searched = search.webhooks_searched(tx, wanted.text, before)
        page = read_page(tx, replace(wanted, since_id=searched.since_id if searched else None), PAGE_ROWS, before)
        types, accounts = search.recent_types(tx), search.accounts(tx)
    return render(
        "webhooks.html",
        page=page,
        searched=searched,
        filters=list_query.parameters(WEBHOOK_PARAMETERS),
        choices={
            "source": sorted(here.settings.sources),
            "type": types,
            "status": [one.value for one in InboxStatus],
            "mode": ["live", "test"],
            "account": accounts,
        },
    )


def webhooks_csv() -> Response:
    """The filtered webhooks as a file."""
    return csv_response("webhooks", map(_values, search.every_webhook(context().store, webhook_filter())), CSV_COLUMNS)


def _values(row: InboxRow) -> Mapping[str, object]:
    return {
        "id": row.id, "event_id": row.event_id, "source": row.source, "account": row.account,
        "mode": "live" if row.livemode else "test", "type": row.type, "created_at": row.created_at.isoformat(),
        "received_at": row.received_at.isoformat(), "settled_at": row.settled_at and row.settled_at.isoformat(),
        "status": row.status.value, "revenue_events": row.revenue_event_count,
        "customer": customer_of(row.stream_id), "reason": row.reason,
    }  # fmt: skip


# ---- One webhook -----------------------------------------------------------------------------------------------


class WebhookPage(Value):
    """Everything that the page of one webhook shows. `ids`: the rows of the webhooks that it was settled with."""

    explained: WebhookExplanation
    attempts: Mapping[int, list[StoredAttempt]]
    payload: str | None
    ids: Mapping[str, int]


def webhook(row_id: int) -> Response:
    """One stored webhook, explained step by step. With `?payload=1` also its masked body."""
    here = context()
    with here.store.reading() as tx:
        row = _row(tx, row_id)
        from bridge.inspection.explanation import explain_webhook  # not above: a web process is ready earlier

        explained = explain_webhook(tx, row, here.settings)
        others = {one.partition(": ")[0] for one in (explained.ledger.settled_with if explained.ledger else ())}
        page = WebhookPage(
            explained=explained,
            attempts={one.id: attempts.of_delivery(tx, one.id) for one in explained.deliveries},
            payload=_payload(row) if request.args.get("payload") == "1" else None,
            ids={one.event_id: one.id for other in sorted(others) if (one := inbox.find(tx, other, row.source))},
        )
    return render("webhook.html", page=page, row=row, customer=customer_of(row.stream_id))


def _payload(row: InboxRow) -> str:
    return "The body was purged after RETENTION_DAYS." if row.body is None else masked(row.body)


def _row(tx: Connection, row_id: int) -> InboxRow:
    found = inbox.by_ids(tx, [row_id])
    return found[0] if found else abort(404)


def replay(row_id: int) -> Response:
    """Processes a webhook again. Revenue events that were created before are not created again."""
    require_form()
    with context().store.transaction() as tx:
        row = _row(tx, row_id)
        count = inbox.replay(tx, [row_id])
    page = back(url_for(".webhook", row_id=row_id))
    return finished("replay", "replayed" if count else "not_replayed", page, count=count, event_id=row.event_id)


def confirm_replay_all() -> Response:
    """Asks before all failed webhooks are processed again."""
    with context().store.reading() as tx:
        rows = inbox.listing(tx, InboxStatus.FAILED, limit=MAX_REPLAYED)
    return render(
        "confirm.html",
        title="Replay failed webhooks",
        count=len(rows),
        noun="webhook",
        explanation="They are processed again from the start. Revenue events that were created before are not created "
        "again."
        + (f" The newest {MAX_REPLAYED:,} at a time: repeat it for the rest." if len(rows) == MAX_REPLAYED else ""),
        button="Replay",
        fields={},
        back=url_for(".webhooks", status="failed"),
    )


def replay_all() -> Response:
    """Processes all failed webhooks again."""
    require_form()
    with context().store.transaction() as tx:
        rows = inbox.listing(tx, InboxStatus.FAILED, limit=MAX_REPLAYED)
        count = inbox.replay(tx, [row.id for row in rows])
    return finished("replay_failed", "replayed", url_for(".webhooks"), count=count)
