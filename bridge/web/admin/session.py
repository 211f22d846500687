"""The admin's session: login, the cookie, one-time links, and the proof that a form came from these pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from urllib.parse import parse_qsl, urlsplit

import structlog
from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge import __version__, formatting
from bridge.log import SECRET_FIELDS, scrub
from bridge.store import leases
from bridge.web.admin import one_time_link
from bridge.web.admin.one_time_link import derived
from bridge.web.auth import admin_token, bearer, has_bearer, matches
from bridge.web.context import context

log = structlog.get_logger()

COOKIE = "pulsora_bridge_admin"


def mount(bp: Blueprint) -> None:
    """Adds login and log-out."""
    bp.get("/admin/login")(login_form)
    bp.post("/admin/login")(login)
    bp.get("/admin/enter")(enter)
    bp.post("/admin/logout")(logout)


def login_form() -> AnyResponse:
    """The login page, or the overview for those who are logged in."""
    return redirect(_wanted(request.args)) if is_admin() else login_page(status=200)


def login() -> AnyResponse:
    """Exchanges the admin token for a cookie, and leads on to the page that was asked for."""
    expected, limit, address = admin_token(), context().login_limit, request.remote_addr or ""
    if seconds := limit.wait_seconds(address):
        log.warning("login_refused", address=address, reason=f"too many wrong tokens; next try in {seconds} s")
        response = login_page(f"Too many wrong tokens. Try again in {formatting.duration(seconds)}.", status=429)
        response.headers["Retry-After"] = str(seconds)
        return response
    if not matches(request.form.get("token", ""), expected):
        log.warning("login_failed", address=address, reason=f"wrong admin token, {limit.failed(address)} in a row")
        return login_page("Wrong admin token.")
    limit.succeeded(address)
    log.info("logged_in", address=address)
    return _with_cookie(redirect(_wanted(request.form), code=303))


def enter() -> AnyResponse:
    """Logs in by a one-time link, such as the one that `demo --keep` prints."""
    now, code = datetime.now(UTC), request.args.get("code", "")
    until = one_time_link.valid_until(code, admin_token(), now)
    if until is None:
        return login_page("This link is not valid any more.")
    with context().store.transaction() as tx:
        # The lease is taken once: its name is the code, and each request is another owner.
        is_first = leases.acquire(tx, one_time_link.lease_name(code), f"{now.isoformat()} {id(tx)}", now, until)
    if not is_first:
        return login_page("This link was used already.")
    log.info("logged_in", address=request.remote_addr, reason="one-time link")
    return _with_cookie(redirect(url_for(".overview"), code=303))


def logout() -> AnyResponse:
    """Deletes the cookie."""
    require_form()
    response = redirect(url_for(".login_form"), code=303)
    response.delete_cookie(COOKIE, path=url_for(".overview"))
    return response


def login_page(problem: str | None = None, *, status: int = 401) -> Response:
    """The form that asks for the admin token. It keeps the page that was asked for."""
    given = request.form if request.method == "POST" else request.args
    wanted = _wanted(given) if "next" in given else _asked()
    response = make_response(
        render_template("pulsora_bridge/login.html", problem=problem, wanted=_shown(wanted), version=__version__)
    )
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _asked() -> str:
    """The page that this request asked for."""
    is_page = request.path.startswith(url_for(".overview")) and request.endpoint not in _entrances()
    return request.full_path.rstrip("?") if is_page else url_for(".overview")


def _shown(wanted: str) -> str:
    """The page as the form holds it: the overview if its address has a secret in it, which no page repeats."""
    names = {name.lower() for name, _ in parse_qsl(urlsplit(wanted).query, keep_blank_values=True)}
    return url_for(".overview") if names & SECRET_FIELDS or scrub(wanted) != wanted else wanted


def _entrances() -> set[str]:
    return {f"{request.blueprint}.{name}" for name in ("login_form", "login", "enter", "logout")}


def _wanted(values: Mapping[str, str]) -> str:
    """The page to lead on to: one of these pages, never another address."""
    wanted = values.get("next", "")
    is_own = wanted.startswith(url_for(".overview")) and not {"\\", "\r", "\n"} & set(wanted)
    return wanted if is_own else url_for(".overview")


def _with_cookie(response: AnyResponse) -> AnyResponse:
    response.set_cookie(
        COOKIE,
        derived(admin_token(), "pulsora-bridge admin cookie"),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
        path=url_for(".overview"),
    )
    return response


def admin_only(page: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """The page for the admin; the login page for anybody else. 404 if no admin token is configured."""

    @wraps(page)
    def guarded(**values: object) -> AnyResponse:
        return page(**values) if is_admin() else login_page()

    return guarded


def is_admin() -> bool:
    """Whether the request has the admin token or the cookie made from it."""
    expected = admin_token()
    cookie = request.cookies.get(COOKIE, "")
    return matches(cookie, derived(expected, "pulsora-bridge admin cookie")) or has_bearer()


def require_form() -> None:
    """Aborts with 401 unless it is the admin, with 400 unless the form came from these pages."""
    if not is_admin():
        abort(401)
    # A program that sends the token itself cannot be a forged form: no browser adds that header.
    if not matches(bearer(), admin_token()) and not matches(request.form.get("key", ""), csrf_token()):
        abort(400)


def csrf_token() -> str:
    """The hidden form field, named `key`, that proves that the form came from these pages."""
    return derived(admin_token(), "pulsora-bridge form")
