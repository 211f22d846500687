"""Authorization by the admin token."""

from __future__ import annotations

import hmac

import structlog
from flask import abort, request

from bridge.web.context import context

log = structlog.get_logger()


def require_admin() -> None:
    """Aborts with 401 without the admin token, with 404 if none is configured."""
    if not has_bearer():
        abort(401)


def has_bearer() -> bool:
    """Whether the request has the admin token as bearer. A wrong one is logged.

    It is not delayed as at the login: with any number of such requests the delays would take the threads of webhooks.
    """
    given, expected = bearer(), admin_token()
    if not given or matches(given, expected):
        return bool(given)
    log.warning("token_refused", address=request.remote_addr, path=request.path, reason="wrong admin token")
    return False


def admin_token() -> str:
    """The admin token. Aborts with 404 if none is configured, so that the endpoint's existence is not revealed."""
    expected = context().settings.admin_token
    if expected is None:
        abort(404)
    return expected


def bearer() -> str:
    """The token of the Authorization header, or an empty string."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def matches(given: str, expected: str) -> bool:
    """Whether two tokens are equal, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))
