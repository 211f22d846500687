"""The frame of every page: navigation, template values, security headers, and the parameters that lists share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Response, current_app, make_response, render_template, request

from bridge import __version__, formatting
from bridge.web.admin.notices import notice
from bridge.web.admin.session import csrf_token

PAGE_ROWS = 50
LARGEST_ID = 2**63 - 2

# Where an attribution was found, in the ledger's order of preference and in the words of a merchant.
PLACES: Mapping[str, str] = {
    "object": "Metadata of the payment or subscription",
    "invoice_subscription_metadata": "Subscription metadata on the invoice",
    "checkout_session": "Checkout session",
    "subscription": "Remembered for the subscription",
    "customer_metadata": "Metadata of the customer",
    "customer": "Remembered for the customer",
    "registered": "Registered by your code or by hand",
    "none": "Not attributed",
    "held": "Held, not known yet",
}
ROW_ID = f"<int(max={LARGEST_ID}):row_id>"

# Endpoint and title, in the order of the navigation. An entry is shown if its page is mounted.
NAVIGATION = (
    ("overview", "Overview"),
    ("mrr", "MRR"),
    ("revenue", "Revenue"),
    ("webhooks", "Webhooks"),
    ("deliveries", "Deliveries"),
    ("customers", "Customers"),
    ("attribution", "Attribution"),
    ("audit", "Audit"),
    ("sources", "Sources"),
)
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        # data: for the icons that the vendored stylesheet draws, such as the arrow of a select
        "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def render(template: str, **values: object) -> Response:
    """A page for the admin. Every template has `now`, `formatting`, `csrf_token`, and what the frame needs."""
    return make_response(
        render_template(
            f"pulsora_bridge/{template}",
            **{
                "formatting": formatting,
                "now": datetime.now(UTC),
                "csrf_token": csrf_token(),
                "navigation": [entry for entry in NAVIGATION if is_mounted(entry[0])],
                "section": section(),
                "version": __version__,
                "notice": notice(),
                "here": here(),
                "without": without,
                "place_names": PLACES,
                **values,
            },
        )
    )


def without(values: Mapping[str, str], name: str) -> dict[str, str]:
    """Query parameters without one of them."""
    return {key: value for key, value in values.items() if key != name}


def here() -> str:
    """The present address with its parameters, for forms that lead back to it."""
    return request.full_path.rstrip("?")


def is_mounted(endpoint: str) -> bool:
    """Whether the blueprint of this request has this page."""
    return f"{request.blueprint}.{endpoint}" in current_app.view_functions


def section() -> str:
    """The navigation entry that the present page belongs to: the first path segment after /admin/."""
    rest = request.path.partition("/admin/")[2]
    return rest.partition("/")[0] or "overview"


def row_id(text: str) -> int:
    """Parses an id in a query string. Raises ValueError for an id that no row can have."""
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST_ID:
        raise ValueError(text)
    return int(text)


def add_security_headers(response: Response) -> Response:
    """Adds the headers to every response under /admin/."""
    if "/admin/" in request.path:  # not url_for: this runs for every webhook too, and must be cheap
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
    return response
