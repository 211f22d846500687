"""Who may look and change: the holder of the admin token."""

from __future__ import annotations

import hmac

from flask import abort, request

from bridge.web.context import context


def admin_only() -> None:
    """404 while no admin token is set, so that nothing shows that there is a door; 401 without the right one."""
    expected = context().settings.admin_token
    if expected is None:
        abort(404)
    if not matches(bearer(), expected):
        abort(401)


def bearer() -> str:
    """The token of the Authorization header, or nothing."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def matches(given: str, expected: str) -> bool:
    """Whether two tokens are the same, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))
