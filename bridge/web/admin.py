"""The operator's pages: overview, webhooks and deliveries, for holders of the admin token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge import formatting
from bridge.monitoring.overview import read_overview
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web.auth import admin_token, bearer, matches
from bridge.web.context import context

COOKIE = "pulsora_bridge_admin"
PAGE_ROWS = 50
LARGEST_ID = 2**63 - 2
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    row_id = f"<int(max={LARGEST_ID}):row_id>"
    bp.get("/admin")(to_overview)
    bp.get("/admin/")(_admin_only(overview))
    bp.get("/admin/webhooks")(_admin_only(webhooks))
    bp.get(f"/admin/webhooks/{row_id}")(_admin_only(webhook))
    bp.get("/admin/events", defaults={"row_id": None})(to_webhooks)
    bp.get(f"/admin/events/{row_id}")(to_webhooks)
    bp.get("/admin/deliveries")(_admin_only(deliveries))
    bp.post(f"/admin/deliveries/<int(max={LARGEST_ID}):delivery_id>/retry")(retry)
    bp.post("/admin/login")(login)
    bp.after_request(_add_security_headers)


def to_overview() -> AnyResponse:
    """Redirects to a path, not to a URL: behind a proxy the service may not know its scheme and host."""
    admin_token()
    return redirect(url_for(".overview"))


def to_webhooks(row_id: int | None) -> AnyResponse:
    """Redirects from the former addresses of the webhook pages."""
    admin_token()
    if row_id is not None:
        return redirect(url_for(".webhook", row_id=row_id), code=301)
    return redirect(
        url_for(".webhooks", status=request.args.get("status"), before=request.args.get("before")), code=301
    )


def overview() -> AnyResponse:
    """Problems, counts, backlog, and revenue totals."""
    seen = read_overview(context().store, context().settings.rate_limit_per_hour, datetime.now(UTC))
    return _page("overview.html", seen=seen, inbox_statuses=list(InboxStatus), delivery_statuses=list(DeliveryStatus))


def webhooks() -> AnyResponse:
    """Stored webhooks, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=_row_id)
    with context().store.reading() as tx:
        wanted = InboxStatus(status) if status in list(InboxStatus) else None
        rows = inbox.listing(tx, status=wanted, limit=PAGE_ROWS, before_id=before)
    return _page("webhooks.html", rows=rows, status=status, statuses=list(InboxStatus), has_more=len(rows) == PAGE_ROWS)


def webhook(row_id: int) -> AnyResponse:
    """One stored webhook: its status, the ledger's notes, and the revenue events based on it."""
    with context().store.reading() as tx:
        row = next(iter(inbox.listing(tx, limit=1, before_id=row_id + 1)), None)
        if row is None or row.id != row_id:
            abort(404)
        found = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    return _page("webhook.html", row=row, deliveries=[one for one in found if row.event_id in one.event_ids])


def deliveries() -> AnyResponse:
    """Revenue events, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=_row_id)
    with context().store.reading() as tx:
        wanted = DeliveryStatus(status) if status in list(DeliveryStatus) else None
        rows = outbox.listing(tx, status=wanted, limit=PAGE_ROWS, before_id=before)
    return _page(
        "deliveries.html",
        rows=rows,
        status=status,
        statuses=list(DeliveryStatus),
        has_more=len(rows) == PAGE_ROWS,
        csrf_token=_csrf_token(),
    )


def retry(delivery_id: int) -> AnyResponse:
    """Sends a failed delivery again."""
    if not _is_admin():
        abort(401)
    # A program that sends the token itself cannot be a forged form: no browser adds that header.
    if not matches(bearer(), admin_token()) and not matches(request.form.get("key", ""), _csrf_token()):
        abort(400)
    with context().store.transaction() as tx:
        outbox.retry(tx, [delivery_id], datetime.now(UTC))
    return redirect(url_for(".deliveries", status="pending"), code=303)


def login() -> AnyResponse:
    """Exchanges the admin token for a cookie."""
    expected = admin_token()
    if not matches(request.form.get("token", ""), expected):
        return _login_page(wrong=True)
    response = redirect(url_for(".overview"), code=303)
    response.set_cookie(
        COOKIE,
        _derived(expected, "pulsora-bridge admin cookie"),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
        path=url_for(".overview"),
    )
    return response


def _admin_only(page: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """The page for the admin; the login page for anybody else. 404 if no admin token is configured."""

    @wraps(page)
    def guarded(**ids: int) -> AnyResponse:
        return page(**ids) if _is_admin() else _login_page(wrong=False)

    return guarded


def _is_admin() -> bool:
    expected = admin_token()
    cookie = request.cookies.get(COOKIE, "")
    return matches(bearer(), expected) or matches(cookie, _derived(expected, "pulsora-bridge admin cookie"))


def _login_page(*, wrong: bool) -> Response:
    response = _page("login.html", wrong=wrong)
    response.status_code = 401
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _csrf_token() -> str:
    """The hidden form field that proves that the form came from this page."""
    return _derived(admin_token(), "pulsora-bridge form")


def _derived(token: str, purpose: str) -> str:
    """A value that only the admin token yields, and that does not reveal it."""
    return hmac.new(token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _page(template: str, **values: object) -> Response:
    return make_response(render_template(f"pulsora_bridge/{template}", formatting=formatting, **values))


def _row_id(text: str) -> int:
    """Parses the `before` parameter. Raises ValueError for an id that no row can have."""
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST_ID:
        raise ValueError(text)
    return int(text)


def _add_security_headers(response: Response) -> Response:
    if "/admin/" in request.path:  # not url_for: this runs for every webhook too, and must be cheap
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
    return response
