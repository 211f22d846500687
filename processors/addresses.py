"""Checks of configured addresses. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def api_base_problem(value: str) -> str | None:
    """The problem with the address of a processor's API, or None: https, or http on this machine."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an http or https address"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "would send the API key unencrypted: use https"
    if parts.query or parts.fragment or parts.username:
        return "must be an address without query or password"
    return None
