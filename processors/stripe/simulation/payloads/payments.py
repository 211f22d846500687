"""Charges, payment intents, Checkout sessions, customers, refunds and disputes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from processors.stripe.simulation.payloads.envelope import NO_METADATA, Body, Shape, listed, unix


def charge(
    charge_id: str,
    *,
    minor: int,
    customer: str | None,
    created: datetime,
    payment_intent: str | None = None,
    invoice: str | None = None,
    currency: str = "usd",
    captured: bool = True,
    amount_captured: int | None = None,
    amount_refunded: int = 0,
    refunds: Sequence[Body] = (),
    status: str = "succeeded",
    shape: Shape = Shape.CLOVER,
    metadata: Mapping[str, str] = NO_METADATA,
) -> Body:
    """A charge. Only the old format names its invoice and lists its refunds."""
    taken = minor if amount_captured is None else amount_captured
    body: Body = {
        "id": charge_id,
        "object": "charge",
        "amount": minor,
        "amount_captured": taken if captured else 0,
        "amount_refunded": amount_refunded,
        "captured": captured,
        "created": unix(created),
        "currency": currency,
        "customer": customer,
        "metadata": dict(metadata),
        "paid": status == "succeeded",
        "payment_intent": payment_intent,
        "refunded": amount_refunded >= minor,
        "status": status,
    }
    return {**body, "invoice": invoice, "refunds": listed(refunds)} if shape is Shape.OLD else body


def payment_intent(
    intent_id: str,
    *,
    minor: int,
    customer: str | None,
    charge: str | None = None,
    invoice: str | None = None,
    currency: str = "usd",
    status: str = "succeeded",
    shape: Shape = Shape.CLOVER,
    metadata: Mapping[str, str] = NO_METADATA,
) -> Body:
    """A payment intent."""
    body: Body = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": minor,
        "amount_received": minor if status == "succeeded" else 0,
        "currency": currency,
        "customer": customer,
        "metadata": dict(metadata),
        "status": status,
    }
    if shape is not Shape.OLD:
        return {**body, "latest_charge": charge}
    charges = [{"id": charge, "object": "charge", "captured": True, "paid": True}] if charge else []
    return {**body, "charges": listed(charges), "invoice": invoice}


def checkout_session(
    session_id: str,
    *,
    mode: str,
    customer: str | None,
    minor: int,
    currency: str = "usd",
    payment_status: str = "paid",
    payment_intent: str | None = None,
    subscription: str | None = None,
    invoice: str | None = None,
    creates_invoice: bool = False,
    metadata: Mapping[str, str] = NO_METADATA,
    client_reference_id: str | None = None,
    tax: int = 0,
) -> Body:
    """A Checkout session that was completed."""
    return {
        "id": session_id,
        "object": "checkout.session",
        "amount_subtotal": minor - tax,
        "amount_total": minor,
        "client_reference_id": client_reference_id,
        "currency": currency,
        "customer": customer,
        "invoice": invoice,
        "invoice_creation": {"enabled": creates_invoice} if mode == "payment" else None,
        "metadata": dict(metadata),
        "mode": mode,
        "payment_intent": payment_intent,
        "payment_status": payment_status,
        "status": "complete",
        "subscription": subscription,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": tax},
    }


def customer(customer_id: str, *, metadata: Mapping[str, str] = NO_METADATA) -> Body:
    """A customer."""
    return {"id": customer_id, "object": "customer", "metadata": dict(metadata)}


def refund(
    refund_id: str,
    *,
    minor: int,
    charge: str,
    payment_intent: str | None = None,
    currency: str = "usd",
    status: str = "succeeded",
    reason: str | None = "requested_by_customer",
) -> Body:
    """A refund."""
    return {
        "id": refund_id,
        "object": "refund",
        "amount": minor,
        "balance_transaction": f"txn_{refund_id}" if status == "succeeded" else None,
        "charge": charge,
        "currency": currency,
        "metadata": {},
        "payment_intent": payment_intent,
        "reason": reason,
        "status": status,
    }


def dispute(
    dispute_id: str,
    *,
    minor: int,
    charge: str,
    payment_intent: str | None = None,
    currency: str = "usd",
    status: str = "needs_response",
    balance_transactions: Sequence[Body] = (),
) -> Body:
    """A dispute."""
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": minor,
        "balance_transactions": list(balance_transactions),
        "charge": charge,
        "currency": currency,
        "metadata": {},
        "payment_intent": payment_intent,
        "reason": "fraudulent",
        "status": status,
    }
