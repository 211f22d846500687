"""The Stripe events that the bridge understands, and the reader of each (docs.stripe.com/api/events/types)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from processors.interface import Translation
from processors.payload import Json, Unreadable, at, ident, parse, text
from processors.stripe import checkout, discounts, invoices, payments, prices, refunds, subscriptions
from processors.stripe.envelope import Snapshot, ignored, is_thin, snapshot_of

Reader = Callable[[Snapshot], Translation]

READERS: Mapping[str, Reader] = {
    # money
    "charge.succeeded": payments.from_charge,
    "charge.captured": payments.from_charge,
    "charge.updated": payments.from_updated_charge,
    "payment_intent.succeeded": payments.from_intent,
    "invoice.paid": invoices.from_paid_invoice,
    "invoice.payment_succeeded": invoices.from_paid_invoice,
    "invoice_payment.paid": invoices.from_invoice_payment,
    "checkout.session.completed": checkout.from_session,
    "checkout.session.async_payment_succeeded": checkout.from_session,
    # refunds and disputes
    "refund.created": refunds.from_refund,
    "refund.updated": refunds.from_refund,
    "refund.failed": refunds.from_refund,
    "charge.refund.updated": refunds.from_refund,
    "charge.refunded": refunds.from_refunded_charge,
    "charge.dispute.funds_withdrawn": refunds.from_withdrawal,
    "charge.dispute.funds_reinstated": refunds.from_reinstatement,
    "charge.dispute.created": refunds.from_dispute,
    "charge.dispute.updated": refunds.from_dispute,
    "charge.dispute.closed": refunds.from_dispute,
    # recurring revenue
    "customer.subscription.created": subscriptions.from_subscription,
    "customer.subscription.updated": subscriptions.from_subscription,
    "customer.subscription.deleted": subscriptions.from_subscription,
    "customer.subscription.paused": subscriptions.from_subscription,
    "customer.subscription.resumed": subscriptions.from_subscription,
    # ids that belong together, and attributions
    "invoice.created": invoices.from_invoice,
    "invoice.finalized": invoices.from_invoice,
    "invoice.updated": invoices.from_invoice,
    "invoice.sent": invoices.from_invoice,
    "invoice.payment_failed": invoices.from_invoice,
    "invoice.payment_action_required": invoices.from_invoice,
    "invoice.payment_attempt_required": invoices.from_invoice,
    "invoice.marked_uncollectible": invoices.from_invoice,
    "invoice.overpaid": invoices.from_invoice,
    "invoice.voided": invoices.from_invoice,
    "checkout.session.async_payment_failed": checkout.from_session,
    "customer.created": checkout.from_customer,
    "customer.updated": checkout.from_customer,
    # the catalog
    "price.created": prices.from_price,
    "price.updated": prices.from_price,
    "plan.created": prices.from_price,
    "plan.updated": prices.from_price,
    "product.created": prices.from_product,
    "product.updated": prices.from_product,
    "coupon.created": discounts.from_coupon,
    "coupon.updated": discounts.from_coupon,
    "coupon.deleted": discounts.from_coupon,
    "customer.discount.created": discounts.from_discount,
    "customer.discount.updated": discounts.from_discount,
    "customer.discount.deleted": discounts.from_discount,
    "promotion_code.created": discounts.from_promotion_code,
    "promotion_code.updated": discounts.from_promotion_code,
}

# The types an endpoint should subscribe to; the others in READERS add nothing to them.
EVENTS = (
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.refunded",
    "charge.succeeded",
    "charge.updated",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "coupon.created",
    "coupon.updated",
    "customer.created",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.finalized",
    "invoice.paid",
    "invoice_payment.paid",
    "payment_intent.succeeded",
    "price.created",
    "price.updated",
    "product.created",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
)

# Types without facts: the first matching prefix gives the reason.
SILENT: Mapping[str, str] = {
    "charge.pending": "a charge that is not paid yet",
    "charge.failed": "a charge that failed",
    "charge.expired": "an authorisation that expired",
    "payment_intent.": "a payment intent that is not paid (yet)",
    "setup_intent.": "a payment method that was set up: no money",
    "invoice.": "an invoice that moved no money",
    "invoiceitem.": "an item for a later invoice",
    "invoice_payment.": "an invoice payment that is not paid",
    "checkout.session.": "a checkout session that was not completed",
    "credit_note.": "a credit note is no money: its refunds have their own events",
    "customer.subscription.trial_will_end": "a trial that ends in three days",
    "customer.subscription.pending_update_": "the change itself arrives as customer.subscription.updated",
    "subscription_schedule.": "the change itself arrives as customer.subscription.updated",
    "customer.deleted": "its subscriptions end with their own events",
    "price.deleted": "the price stays in the catalog",
    "plan.deleted": "the price stays in the catalog",
    "product.deleted": "the name stays in the catalog",
}

# The objects that a thin event may point at, and the snapshot type with the same meaning.
THIN_OBJECTS: Mapping[str, str] = {
    "subscription": "customer.subscription.updated",
    "invoice": "invoice.updated",
    "invoice_payment": "invoice_payment.paid",
    "charge": "charge.updated",
    "refund": "refund.updated",
    "payment_intent": "payment_intent.succeeded",
    "checkout.session": "checkout.session.completed",
    "customer": "customer.updated",
    "price": "price.updated",
    "product": "product.updated",
    "coupon": "coupon.updated",
}
MAKE_A_SNAPSHOT_ENDPOINT = "a thin event without its object: create an endpoint with snapshot events in Stripe"


def translate(body: bytes, options: Mapping[str, str]) -> Translation:
    """The facts of one stored event. Never raises for an odd event: returns a reason and no fact."""
    try:
        envelope = parse(body)
    except Unreadable as unreadable:
        return ignored(f"unreadable: {unreadable}")
    if is_thin(envelope):
        return _thin(envelope)
    event = snapshot_of(envelope)
    if isinstance(event, str):
        return ignored(event)
    reader = READERS.get(event.type)
    return reader(event) if reader else ignored(_why_silent(event.type))


def as_snapshot(thin: bytes, resource: bytes) -> bytes:
    """The snapshot event made of a thin event and the resource it points at, for `translate`."""
    envelope = parse(thin)
    kind = _snapshot_type(envelope)
    event_id = f"{text(envelope.get('id'), 240)}:snapshot"  # not the thin one's id, under which that is stored
    event = {**envelope, "id": event_id, "object": "event", "type": kind, "data": {"object": parse(resource)}}
    return json.dumps(event, separators=(",", ":")).encode()


def _thin(envelope: Json) -> Translation:
    url, kind = text(at(envelope, "related_object.url")), _snapshot_type(envelope)
    if url is None or not url.startswith("/v1/") or kind not in READERS:
        return ignored(_why_silent(kind or "a thin event without an object"))
    return Translation(reason=MAKE_A_SNAPSHOT_ENDPOINT, fetch=url)


def _snapshot_type(envelope: Json) -> str | None:
    """The snapshot type of a thin event: its own without "v1.", else that of the object it is about."""
    kind = (text(envelope.get("type")) or "").removeprefix("v1.")
    return kind if kind in READERS else THIN_OBJECTS.get(ident(at(envelope, "related_object.type")) or "")


def _why_silent(kind: str) -> str:
    fitting = (reason for prefix, reason in SILENT.items() if kind.startswith(prefix))
    return next(fitting, f"{kind} is not an event that the bridge uses")
