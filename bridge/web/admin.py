"""What an operator looks at in a browser: counts, events, deliveries, and why each is where it is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.formatting import duration
from bridge.monitoring.overview import look
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web.auth import bearer, matches
from bridge.web.context import context

COOKIE = "pulsora_bridge_admin"
PAGE = 50
LARGEST_ID = 2**63 - 2
HEADERS = {
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
    bp.get("/admin")(to_overview)
    bp.get("/admin/")(_for_the_admin(overview))
    bp.get("/admin/events")(_for_the_admin(events))
    bp.get(f"/admin/events/<int(max={LARGEST_ID}):row_id>")(_for_the_admin(event))
    bp.get("/admin/deliveries")(_for_the_admin(deliveries))
    bp.post(f"/admin/deliveries/<int(max={LARGEST_ID}):delivery_id>/retry")(retry)
    bp.post("/admin/login")(login)
    bp.after_request(_protected)


def to_overview() -> AnyResponse:
    """For those who leave out the last slash: to a path, since behind a proxy this service may not know its scheme."""
    if context().settings.admin_token is None:
        abort(404)
    return redirect(url_for(".overview"))


def overview() -> AnyResponse:
    """Counts, backlog, pauses, and the sums that were told to Pulsora."""
    seen = look(context().store, context().settings.rate_limit_per_hour, datetime.now(UTC))
    return _page("overview.html", seen=seen, span=_span, statuses=(list(InboxStatus), list(DeliveryStatus)))


def events() -> AnyResponse:
    """Stored webhooks, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=_row_id)
    with context().store.reading() as tx:
        rows = inbox.listing(tx, InboxStatus(status) if status in list(InboxStatus) else None, None, PAGE, before)
    return _page("events.html", rows=rows, status=status, statuses=list(InboxStatus))


def event(row_id: int) -> AnyResponse:
    """One stored webhook: what the ledger remarked, and what came out."""
    with context().store.reading() as tx:
        row = next(iter(inbox.listing(tx, None, None, 1, row_id + 1)), None)
        if row is None or row.id != row_id:
            abort(404)
        found = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    return _page("event.html", row=row, deliveries=[one for one in found if row.event_id in one.event_ids])


def deliveries() -> AnyResponse:
    """Revenue events, newest first."""
    status = request.args.get("status")
    before = request.args.get("before", type=_row_id)
    with context().store.reading() as tx:
        wanted = DeliveryStatus(status) if status in list(DeliveryStatus) else None
        rows = outbox.listing(tx, status=wanted, limit=PAGE, before_id=before)
    return _page("deliveries.html", rows=rows, status=status, statuses=list(DeliveryStatus), key=_form_key())


def retry(delivery_id: int) -> AnyResponse:
    """A dead delivery is sent once more."""
    if _closed() is not None:
        abort(401)
    is_program = matches(bearer(), context().settings.admin_token or "")  # it sent the token itself, no browser did
    if not is_program and not matches(request.form.get("key", ""), _form_key()):
        abort(400)
    with context().store.transaction() as tx:
        outbox.retry(tx, [delivery_id], datetime.now(UTC))
    return redirect(url_for(".deliveries", status="pending"), code=303)


def login() -> AnyResponse:
    """Takes the admin token from the form, and leaves a cookie that proves it was known."""
    expected = context().settings.admin_token
    if expected is None:
        abort(404)
    if not matches(request.form.get("token", ""), expected):
        return _door(wrong=True)
    entered = redirect(url_for(".overview"), code=303)
    entered.set_cookie(
        COOKIE, _pass(expected), httponly=True, samesite="Strict", secure=request.is_secure, path=url_for(".overview")
    )
    return entered


def _for_the_admin(page: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """The page behind its door."""

    @wraps(page)
    def guarded(**ids: int) -> AnyResponse:
        door = _closed()
        return page(**ids) if door is None else door

    return guarded


def _closed() -> Response | None:
    """None for the admin; else the login page. 404 while no admin token is set."""
    expected = context().settings.admin_token
    if expected is None:
        abort(404)
    if matches(bearer(), expected) or matches(request.cookies.get(COOKIE, ""), _pass(expected)):
        return None
    return _door(wrong=False)


def _door(*, wrong: bool) -> Response:
    """The page that asks for the token, as the 401 that it is."""
    answer = _page("login.html", wrong=wrong)
    answer.status_code = 401
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _pass(token: str) -> str:
    """What the cookie holds: made from the token, and useless for making it."""
    return hmac.new(token.encode(), b"pulsora-bridge admin cookie", hashlib.sha256).hexdigest()


def _form_key() -> str:
    """What a form must bring along, so that no other site can post it."""
    return hmac.new((context().settings.admin_token or "").encode(), b"pulsora-bridge form", hashlib.sha256).hexdigest()


def _page(template: str, **values: object) -> Response:
    return make_response(render_template(f"pulsora_bridge/{template}", **values))


def _span(time: timedelta) -> str:
    return duration(time.total_seconds())


def _row_id(text: str) -> int:
    """Where a page begins. ValueError for what no row can have."""
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST_ID:
        raise ValueError(text)
    return int(text)


def _protected(answer: Response) -> Response:
    if "/admin/" in request.path:  # not by building the address: every webhook passes here
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
    return answer
