"""Stripe: `processor` is all that the bridge knows of it."""

from __future__ import annotations

from processors.base import Option, Processor
from processors.stripe.signature import secret_problem, sign, verify
from processors.stripe.simulate import SCENARIOS
from processors.stripe.translate import translate

# What an endpoint should subscribe to. Everything in translate.READERS is understood; the rest of it says nothing more.
EVENTS = (
    "charge.captured",
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

processor = Processor(
    name="stripe",
    title="Stripe",
    payment_processor="stripe",
    secret=Option(
        name="STRIPE_WEBHOOK_SECRET",
        help="Signing secret of the webhook endpoint; several separated by commas (rotation, several endpoints).",
        example="whsec_…",
        check=secret_problem,
        secret=True,
    ),
    verify=verify,
    translate=translate,
    sign=sign,
    scenarios=SCENARIOS,
    demo_secret="whsec_demo_not_a_real_secret",
    events=EVENTS,
)
