"""`GET /pulsora-bridge.js`: the script that names the visit in Payment Links, pricing tables and buy buttons.

It is the same for every page and visitor, so that browsers and proxies may cache it. Pages on other origins load it,
with an integrity hash if they like: that needs `Access-Control-Allow-Origin`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

SCRIPT = Path(__file__).parent / "static" / "pulsora-bridge.js"
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",  # for pages that are cross-origin isolated
    "Cache-Control": "public, max-age=3600, stale-while-revalidate=86400",
    "X-Content-Type-Options": "nosniff",
}


def mount(bp: Blueprint) -> None:
    """Adds the route."""
    bp.get("/pulsora-bridge.js")(attribution_script)


def attribution_script() -> Response:
    """200 with the script, or 304 if the browser has this version."""
    response = Response(_script(), content_type="text/javascript; charset=utf-8", headers=HEADERS)
    response.add_etag()
    response.make_conditional(request)
    return response


@cache
def _script() -> bytes:
    return SCRIPT.read_bytes()
