"""Builders of Stripe events and resources, in old and current API versions.

Each takes keyword arguments and returns one resource as JSON values.
"""

from processors.stripe.simulation.payloads.catalog import coupon, discount, plan_of, price, product
from processors.stripe.simulation.payloads.envelope import NO_METADATA, Body, Period, Shape, event, listed, unix
from processors.stripe.simulation.payloads.invoices import invoice, invoice_payment, line
from processors.stripe.simulation.payloads.payments import (
    charge,
    checkout_session,
    customer,
    dispute,
    payment_intent,
    refund,
)
from processors.stripe.simulation.payloads.subscriptions import item, subscription

__all__ = [
    "NO_METADATA",
    "Body",
    "Period",
    "Shape",
    "charge",
    "checkout_session",
    "coupon",
    "customer",
    "discount",
    "dispute",
    "event",
    "invoice",
    "invoice_payment",
    "item",
    "line",
    "listed",
    "payment_intent",
    "plan_of",
    "price",
    "product",
    "refund",
    "subscription",
    "unix",
]
