"""Authorization by the admin token."""

from __future__ import annotations

import hmac

from flask import abort, request

from bridge.web.context import context


def require_admin() -> None:
    """Aborts with 401 without the admin token, with 404 if none is configured."""
    if not matches(bearer(), admin_token()):
        abort(401)


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
