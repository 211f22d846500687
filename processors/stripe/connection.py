"""Connecting to Stripe's API: the key, the page that makes one, the address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from processors.addresses import api_base_problem
from processors.interface import Option
from processors.placeholders import is_placeholder
from processors.stripe.signature import secret_problem

API_BASE = Option(
    name="STRIPE_API_BASE",
    help="Address of Stripe's API, if requests go through a proxy of yours or to a fake.",
    example="https://api.stripe.com",
    check=api_base_problem,
    of_machine=True,
)
# The paths that the bridge reads, the permission that Stripe names when it refuses each, and its purpose.
# Prices are part of the permission for plans.
READS: Mapping[str, tuple[str, str]] = {
    "/v1/subscriptions": ("rak_subscription_read", "import and the first state of subscriptions"),
    "/v1/invoice_payments": ("rak_invoice_read", "the invoice of a payment"),
    "/v1/prices": ("rak_plan_read", "tiers and intervals of prices"),
    "/v1/products": ("rak_product_read", "the names of plans"),
    "/v1/coupons": ("rak_coupon_read", "discounts that lower MRR"),
    "/v1/events": ("rak_event_read", "reconcile"),
    "/v1/webhook_endpoints": ("rak_webhook_read", "comparing the webhook endpoint"),
}
# The further paths that an audit reads.
AUDIT_READS: Mapping[str, str] = {
    "/v1/invoices": "rak_invoice_read",
    "/v1/charges": "rak_charge_read",
    "/v1/refunds": "rak_charge_read",
    "/v1/disputes": "rak_dispute_read",
}
CREATES_ENDPOINT = "rak_webhook_write"


def key_page(livemode: bool, options: Mapping[str, str]) -> str:
    """The Dashboard page that makes a restricted key, with name and permissions filled in."""
    reads = [*(permission for permission, _ in READS.values()), *AUDIT_READS.values()]
    needed = [permission for permission in dict.fromkeys(reads) if permission != "rak_webhook_read"]
    asked = [("name", "Pulsora bridge"), *(("permissions[]", one) for one in [CREATES_ENDPOINT, *needed])]
    return f"https://dashboard.stripe.com{'' if livemode else '/test'}/apikeys/create?{urlencode(asked)}"


def api_key_problem(value: str) -> str | None:
    """The problem with a configured API key, or None. A key that can move money is not accepted for reading."""
    if secret_problem(value) is None:
        return "looks like a webhook secret. Use a restricted API key that may only read"
    if is_placeholder(value):
        return f"is still the placeholder of the documentation. Create a restricted key: {key_page(True, {})}"
    if value.startswith("pk_"):
        return "is a publishable key (pk_…), which can read nothing. Use a restricted key (rk_…)"
    if value.startswith("sk_live_"):
        return f"is a full secret key (sk_live_…), which can move money. Create a restricted key: {key_page(True, {})}"
    return None
