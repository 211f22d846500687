"""Errors as pages for people who use a browser, and the address `/`."""

from __future__ import annotations

from flask import Blueprint, Response, abort, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bridge.web.admin.page import add_security_headers
from bridge.web.context import context

TITLES = {400: "Not accepted", 401: "Log in first", 404: "Not found", 405: "Not possible", 503: "Not available"}
LOCAL = ("127.0.0.1", "::1")
NO_PAGE = "There is no page at this address. What it showed may have been deleted."
WITHOUT_TOKEN = "The console is off, because ADMIN_TOKEN is not set. Set it to a long random text and restart."


def mount(bp: Blueprint) -> None:
    """Adds the address without a path."""
    bp.get("/")(home)


def home() -> AnyResponse:
    """Leads a browser to the console. Programs get what any unknown address gets."""
    if not wants_page() or not (context().settings.admin_token or is_local()):
        abort(404)
    return redirect(url_for(".overview"))


def page(status: int, code: str, message: str) -> Response | None:
    """An error as a page; None for programs and for addresses outside the console."""
    if "/admin" not in request.path or "/admin/api" in request.path or not wants_page():
        return None
    is_off = status == 404 and context().settings.admin_token is None
    # Whether a console exists is said to the operator on the machine itself, not to everybody.
    text = WITHOUT_TOKEN if is_off and is_local() else NO_PAGE if status == 404 else message
    template = render_template(
        "pulsora_bridge/error.html",
        title=TITLES.get(status, "Error"),
        status=status,
        message=text,
        has_console=context().settings.admin_token is not None,
        name=request.blueprint or _mounted_as(),
    )
    response = make_response(template)
    response.status_code = status
    return add_security_headers(response)  # an address that no route matches passes no hook of the blueprint


def _mounted_as() -> str:
    """The name of the blueprint; an address that no route matches does not say it."""
    return next(
        name.removesuffix(".overview")
        for name in current_app.view_functions
        if name.endswith("pulsora_bridge.overview")
    )


def wants_page() -> bool:
    """Whether the client prefers HTML to JSON, as browsers do."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def is_local() -> bool:
    """Whether the request comes from this machine, not through a proxy."""
    return request.remote_addr in LOCAL and "X-Forwarded-For" not in request.headers
