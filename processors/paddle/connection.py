"""Connecting to Paddle's API: the key, the page that makes one, the address. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from processors.addresses import api_base_problem
from processors.interface import Option
from processors.paddle.signature import secret_problem
from processors.placeholders import is_placeholder

API_BASE = Option(
    name="PADDLE_API_BASE",
    help="Address of Paddle's API, if requests go through a proxy of yours or to a fake.",
    example="https://api.paddle.com",
    check=api_base_problem,
    of_machine=True,
)
# The paths that the bridge reads, the permission for each, and its purpose. Paddle names no permission in a refusal.
READS: Mapping[str, tuple[str, str]] = {
    "/subscriptions": ("subscription.read", "import and the first state of subscriptions"),
    "/prices": ("price.read", "intervals and amounts of prices"),
    "/products": ("product.read", "the names of plans"),
    "/discounts": ("discount.read", "discounts that lower MRR"),
    "/events": ("notification.read", "reconcile"),
    "/notification-settings": ("notification_setting.read", "comparing the notification destination"),
}
# The further paths that an audit reads.
AUDIT_READS: Mapping[str, str] = {
    "/transactions": "transaction.read",
    "/adjustments": "adjustment.read",
    "/metrics/monthly-recurring-revenue": "metrics.read",
}
CREATES_ENDPOINT = "notification_setting.write"


def key_page(livemode: bool, options: Mapping[str, str]) -> str:
    """The dashboard page that makes an API key. Paddle has no link with permissions filled in."""
    return f"https://{'' if livemode else 'sandbox-'}vendors.paddle.com/authentication-v2"


def api_key_problem(value: str) -> str | None:
    """The problem with a configured API key, or None."""
    if secret_problem(value) is None:
        return "looks like a webhook secret. Use an API key that may only read"
    if is_placeholder(value):
        return f"is still the placeholder of the documentation. Create a key: {key_page(True, {})}"
    if value.startswith(("live_", "test_")):
        return "is a client-side token, which can read nothing. Use an API key (pdl_live_apikey_…)"
    return None
