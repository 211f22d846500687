"""The admin's session: login, the cookie, and the proof that a form came from these pages."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.web.auth import admin_token, bearer, matches

COOKIE = "pulsora_bridge_admin"


def mount(bp: Blueprint) -> None:
    """Adds the login."""
    bp.post("/admin/login")(login)


def login() -> AnyResponse:
    """Exchanges the admin token for a cookie."""
    expected = admin_token()
    if not matches(request.form.get("token", ""), expected):
        return login_page(wrong=True)
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


def login_page(*, wrong: bool) -> Response:
    """The form that asks for the admin token, with status 401."""
    response = make_response(render_template("pulsora_bridge/login.html", wrong=wrong))
    response.status_code = 401
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def admin_only(page: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """The page for the admin; the login page for anybody else. 404 if no admin token is configured."""

    @wraps(page)
    def guarded(**values: object) -> AnyResponse:
        return page(**values) if is_admin() else login_page(wrong=False)

    return guarded


def is_admin() -> bool:
    """Whether the request has the admin token or the cookie made from it."""
    expected = admin_token()
    cookie = request.cookies.get(COOKIE, "")
    return matches(bearer(), expected) or matches(cookie, _derived(expected, "pulsora-bridge admin cookie"))


def require_form() -> None:
    """Aborts with 401 unless it is the admin, with 400 unless the form came from these pages."""
    if not is_admin():
        abort(401)
    # A program that sends the token itself cannot be a forged form: no browser adds that header.
    if not matches(bearer(), admin_token()) and not matches(request.form.get("key", ""), csrf_token()):
        abort(400)


def csrf_token() -> str:
    """The hidden form field, named `key`, that proves that the form came from these pages."""
    return _derived(admin_token(), "pulsora-bridge form")


def _derived(token: str, purpose: str) -> str:
    """A value that only the admin token yields, and that does not reveal it."""
    return hmac.new(token.encode(), purpose.encode(), hashlib.sha256).hexdigest()
