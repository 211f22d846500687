"""Resources of the API as the same facts and knowledge that webhooks give. Pure: values in, values out."""

from __future__ import annotations

from datetime import datetime

from processors.facts import CatalogEntry, Ids
from processors.interface import Translation
from processors.payload import Json, ident, table
from processors.stripe import discounts, invoices, prices, subscriptions
from processors.stripe.envelope import Snapshot, ignored, linked, says


def of_price(resource: Json) -> tuple[CatalogEntry, ...]:
    """What a price teaches: itself, tiers and all, and its product's name."""
    price = prices.price_of(resource)
    return () if price is None else (price, *prices.products_of(resource))


def of_coupon(resource: Json) -> tuple[CatalogEntry, ...]:
    """What a coupon teaches."""
    coupon = discounts.coupon_of(resource)
    return () if coupon is None else (coupon,)


def of_subscription(resource: Json, at: datetime) -> Translation:
    """A subscription as it stands: a baseline, and the prices and coupons in it."""
    state = subscriptions.subscription_state(resource, at)
    return ignored(state) if isinstance(state, str) else says(state, catalog=subscriptions.known_of(resource))


def of_invoice(resource: Json, at: datetime) -> Translation:
    """An invoice: what was paid on it, or what it belongs to while it is not paid."""
    event = Snapshot(id="", type="", at=at, object=resource)
    return invoices.paid(event) if resource.get("status") == "paid" else invoices.link(event)


def of_invoice_payment(resource: Json, at: datetime) -> Translation:
    """Which invoice a payment belongs to; and the invoice itself, where the API expanded it."""
    invoice = table(resource, "invoice")
    ids = Ids(
        customer_id=invoices.invoice_ids(invoice).customer_id,
        subscription_id=invoices.subscription_of(invoice),
        invoice_id=ident(resource.get("invoice")),
        payment_id=invoices.economic_key(resource),
    )
    event = Snapshot(id="", type="", at=at, object=resource)
    joined = linked(event, ids, "an invoice payment that names no invoice")
    if not invoice:
        return joined
    whole = of_invoice(invoice, at)
    return Translation(facts=(*joined.facts, *whole.facts), catalog=whole.catalog, reason=None)
