"""Invoices, their lines and their payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from processors.stripe.simulation.payloads.catalog import plan_of
from processors.stripe.simulation.payloads.envelope import NO_METADATA, Body, Period, Shape, listed, unix


def line(
    line_id: str,
    *,
    minor: int,
    priced: Body,
    period: Period,
    quantity: int = 1,
    subscription: str | None = None,
    item_id: str | None = None,
    proration: bool = False,
    shape: Shape = Shape.CLOVER,
    discount_amounts: Sequence[Body] = (),
    metadata: Mapping[str, str] = NO_METADATA,
    taxes: Sequence[Body] = (),
) -> Body:
    """An invoice line: for a subscription's item, for a part of its period (`proration`), or one-time."""
    body: Body = {
        "id": line_id,
        "object": "line_item",
        "amount": minor,
        "currency": priced["currency"],
        "description": "A line",
        "discount_amounts": list(discount_amounts),
        "metadata": dict(metadata),
        "period": {"start": unix(period[0]), "end": unix(period[1])},
        "quantity": quantity,
        "subscription": subscription,
    }
    is_item = subscription is not None and item_id is not None
    if shape is Shape.OLD:
        return {**body, **_old_line(priced, item_id if is_item else None, proration, taxes)}
    details = {"proration": proration, "subscription": subscription, "invoice_item": None, "subscription_item": item_id}
    kind = "subscription_item_details" if is_item else "invoice_item_details"
    where = {"price_details": {"price": priced["id"], "product": priced["product"]}, "type": "price_details"}
    unit = {"unit_amount_decimal": priced["unit_amount_decimal"]}
    return {**body, "parent": {"type": kind, kind: details}, "pricing": {**where, **unit}, "taxes": list(taxes)}


def _old_line(priced: Body, item_id: str | None, proration: bool, taxes: Sequence[Body]) -> Body:
    return {
        "plan": plan_of(priced),
        "price": priced,
        "proration": proration,
        "subscription_item": item_id,
        "tax_amounts": list(taxes),
        "type": "subscription" if item_id and not proration else "invoiceitem",
    }


def invoice(
    invoice_id: str,
    *,
    customer: str | None,
    lines: Sequence[Body],
    amount_paid: int,
    subscription: str | None = None,
    billing_reason: str = "manual",
    status: str = "paid",
    currency: str = "usd",
    amount_due: int | None = None,
    tax: int = 0,
    payment_intent: str | None = None,
    charge: str | None = None,
    shape: Shape = Shape.CLOVER,
    discounts: Sequence[Body] = (),
    metadata: Mapping[str, str] = NO_METADATA,
    subscription_metadata: Mapping[str, str] = NO_METADATA,
    paid_out_of_band: bool = False,
    has_more: bool = False,
) -> Body:
    """An invoice. Only the old format names the payment, and the subscription at the top level."""
    due = amount_paid if amount_due is None else amount_due
    body: Body = {
        "id": invoice_id,
        "object": "invoice",
        "amount_due": due,
        "amount_paid": amount_paid,
        "amount_remaining": max(0, due - amount_paid),
        "billing_reason": billing_reason,
        "collection_method": "charge_automatically",
        "currency": currency,
        "customer": customer,
        "discounts": [found["id"] for found in discounts],
        "lines": listed(lines, has_more=has_more),
        "metadata": dict(metadata),
        "status": status,
        "total": due,
    }
    if shape is Shape.OLD:
        return {
            **body,
            "charge": charge,
            "discount": discounts[0] if discounts else None,
            "paid": status == "paid",
            "paid_out_of_band": paid_out_of_band,
            "payment_intent": payment_intent,
            "subscription": subscription,
            # Since 2023-06, in every API version.
            "subscription_details": {"metadata": dict(subscription_metadata) if subscription else None},
            "tax": tax or None,
            "total_tax_amounts": [{"amount": tax, "inclusive": False}] if tax else [],
        }
    details = {"subscription": subscription, "metadata": dict(subscription_metadata)}
    parent = {"type": "subscription_details", "subscription_details": details, "quote_details": None}
    taxes = [{"amount": tax, "tax_behavior": "exclusive"}] if tax else []
    return {**body, "parent": parent if subscription else None, "total_taxes": taxes}


def invoice_payment(
    invoice_payment_id: str,
    *,
    invoice: str,
    amount_paid: int,
    payment_intent: str | None = None,
    charge: str | None = None,
    payment_record: str | None = None,
    currency: str = "usd",
) -> Body:
    """One payment on an invoice (since basil)."""
    named = {"payment_intent": payment_intent, "charge": charge, "payment_record": payment_record}
    kind = next((name for name, stated in named.items() if stated), "payment_intent")
    return {
        "id": invoice_payment_id,
        "object": "invoice_payment",
        "amount_paid": amount_paid,
        "amount_requested": amount_paid,
        "currency": currency,
        "invoice": invoice,
        "is_default": True,
        "payment": {"type": kind, kind: named[kind]},
        "status": "paid",
    }
