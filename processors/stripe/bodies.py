"""Bodies of Stripe events as Stripe writes them, in old and present shapes: for simulation, the demo and the tests.

Every builder takes keyword arguments, returns one resource as JSON values, and knows nothing of the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

Body = dict[str, Any]
Period = tuple[datetime, datetime]
NO_METADATA: Mapping[str, str] = {}


class Shape(StrEnum):
    """In which version's shape an event is rendered."""

    OLD = "2022-08-01"  # as from 2020 to 2024
    BASIL = "2025-06-30.basil"
    CLOVER = "2026-09-30.endive"  # as since 2025-09-30


def event(
    kind: str,
    found: Body,
    *,
    at: datetime,
    event_id: str,
    shape: Shape = Shape.CLOVER,
    previous: Body | None = None,
    livemode: bool = True,
    account: str | None = None,
) -> bytes:
    """The whole event, as it is posted."""
    data: Body = {"object": {**found, "livemode": livemode}}
    if previous is not None:
        data["previous_attributes"] = previous
    body: Body = {
        "id": event_id,
        "object": "event",
        "api_version": shape.value,
        "created": unix(at),
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    if account is not None:
        body["account"] = account
    return json.dumps(body, separators=(",", ":")).encode()


def unix(moment: datetime | None) -> int | None:
    """Whole Unix seconds, as Stripe dates everything."""
    return None if moment is None else int(moment.timestamp())


def listed(rows: Sequence[Any], *, has_more: bool = False) -> Body:
    """A list object."""
    return {"object": "list", "data": list(rows), "has_more": has_more}


# ---- Prices, products, discounts ----------------------------------------------------------------------------------


def price(
    price_id: str,
    *,
    minor: int | None,
    decimal: str | None = None,
    currency: str = "usd",
    interval: str | None = "month",
    interval_count: int = 1,
    product_id: str = "prod_app",
    nickname: str | None = None,
    lookup_key: str | None = None,
    usage_type: str = "licensed",
    tiers_mode: str | None = None,
    transform_quantity: Body | None = None,
    tax_behavior: str = "unspecified",
) -> Body:
    """A price; `interval` None: one-time. Tiers are never in it, as in every webhook since 2020-08-27."""
    recurring = {"interval": interval, "interval_count": interval_count, "usage_type": usage_type, "meter": None}
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if tiers_mode else "per_unit",
        "currency": currency,
        "lookup_key": lookup_key,
        "metadata": {},
        "nickname": nickname,
        "product": product_id,
        "recurring": recurring if interval else None,
        "tax_behavior": tax_behavior,
        "tiers_mode": tiers_mode,
        "transform_quantity": transform_quantity,
        "type": "recurring" if interval else "one_time",
        "unit_amount": minor,
        "unit_amount_decimal": decimal or (None if minor is None else str(minor)),
    }


def plan_of(priced: Body) -> Body | None:
    """The older plan that stands beside a recurring price."""
    recurring = priced["recurring"]
    if recurring is None:
        return None
    return {
        "id": priced["id"],
        "object": "plan",
        "active": True,
        "amount": priced["unit_amount"],
        "amount_decimal": priced["unit_amount_decimal"],
        "billing_scheme": priced["billing_scheme"],
        "currency": priced["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "nickname": priced["nickname"],
        "product": priced["product"],
        "tiers_mode": priced["tiers_mode"],
        "transform_usage": priced["transform_quantity"],
        "usage_type": recurring["usage_type"],
    }


def product(product_id: str, *, name: str) -> Body:
    """A product."""
    return {"id": product_id, "object": "product", "active": True, "metadata": {}, "name": name}


def coupon(
    coupon_id: str,
    *,
    percent: float | None = None,
    amount_off: int | None = None,
    currency: str | None = None,
    duration: str = "forever",
    months: int | None = None,
    name: str | None = None,
) -> Body:
    """A coupon."""
    return {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": amount_off,
        "currency": currency if amount_off is not None else None,
        "duration": duration,
        "duration_in_months": months,
        "metadata": {},
        "name": name,
        "percent_off": percent,
        "valid": True,
    }


def discount(
    discount_id: str,
    taken: Body,
    *,
    customer: str,
    subscription: str | None,
    start: datetime,
    end: datetime | None = None,
    shape: Shape = Shape.CLOVER,
) -> Body:
    """A discount. Since clover it names its coupon's id only."""
    source: Body = {"source": {"type": "coupon", "coupon": taken["id"]}}
    return {
        "id": discount_id,
        "object": "discount",
        "customer": customer,
        "subscription": subscription,
        "start": unix(start),
        "end": unix(end),
        "promotion_code": None,
        **(source if shape is Shape.CLOVER else {"coupon": taken}),
    }


# ---- Subscriptions ------------------------------------------------------------------------------------------------


def item(
    item_id: str,
    priced: Body,
    *,
    subscription: str,
    quantity: int | None = 1,
    period: Period,
    shape: Shape = Shape.CLOVER,
    discounts: Sequence[Body | str] = (),
    current_trial: Body | None = None,
) -> Body:
    """A subscription item. Since basil the billing period stands here."""
    dated = {"current_period_start": unix(period[0]), "current_period_end": unix(period[1])}
    return {
        "id": item_id,
        "object": "subscription_item",
        "discounts": list(discounts),
        "metadata": {},
        "plan": plan_of(priced),
        "price": priced,
        "quantity": quantity,
        "subscription": subscription,
        **({} if shape is Shape.OLD else dated),
        **({"current_trial": current_trial} if current_trial else {}),
    }


def subscription(
    subscription_id: str,
    *,
    customer: str | None,
    items: Sequence[Body],
    started_at: datetime,
    period: Period,
    status: str = "active",
    currency: str = "usd",
    shape: Shape = Shape.CLOVER,
    discounts: Sequence[Body] = (),
    metadata: Mapping[str, str] = NO_METADATA,
    latest_invoice: str | None = None,
    trial_end: datetime | None = None,
    cancel_at: datetime | None = None,
    cancel_at_period_end: bool = False,
    ended_at: datetime | None = None,
    ended_reason: str | None = None,
    pause_collection: Body | None = None,
) -> Body:
    """A subscription. `discounts` are whole objects; the shape decides what is shown of them."""
    body: Body = {
        "id": subscription_id,
        "object": "subscription",
        "cancel_at": unix(period[1] if cancel_at_period_end else cancel_at),
        "cancel_at_period_end": cancel_at_period_end,
        "canceled_at": unix(ended_at),
        "cancellation_details": {"comment": None, "feedback": None, "reason": ended_reason},
        "collection_method": "charge_automatically",
        "created": unix(started_at),
        "currency": currency,
        "customer": customer,
        "discounts": [found["id"] for found in discounts],
        "ended_at": unix(ended_at),
        "items": listed(items),
        "latest_invoice": latest_invoice,
        "metadata": dict(metadata),
        "pause_collection": pause_collection,
        "start_date": unix(started_at),
        "status": status,
        "trial_end": unix(trial_end),
        "trial_start": unix(started_at if trial_end else None),
    }
    return {**body, **_old_subscription(body, items, period, discounts)} if shape is Shape.OLD else body


def _old_subscription(body: Body, items: Sequence[Body], period: Period, discounts: Sequence[Body]) -> Body:
    """What stood on the subscription itself before basil."""
    only = items[0] if len(items) == 1 else None
    return {
        "current_period_start": unix(period[0]),
        "current_period_end": unix(period[1]),
        "discount": discounts[0] if discounts else None,
        "plan": only["plan"] if only else None,
        "quantity": only["quantity"] if only else None,
    }


# ---- Invoices -----------------------------------------------------------------------------------------------------


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
    """An invoice. Only the old shape names the payment, and the subscription at its top."""
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
    """One payment on an invoice; since basil."""
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


# ---- Payments -----------------------------------------------------------------------------------------------------


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
    """A charge. Only the old shape tells its invoice and lists its refunds."""
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
