"""Stripe: `processor` is all that the bridge knows of it."""

from __future__ import annotations

from processors.base import Option, Processor
from processors.stripe.signature import secret_problem, sign, verify
from processors.stripe.simulate import SCENARIOS
from processors.stripe.translate import EVENTS, as_snapshot, translate

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
    setup=(
        "In the Stripe Dashboard open Workbench > Webhooks (or Developers > Webhooks) and add a destination.",
        "Destination type: webhook endpoint. Payload style: snapshot. Endpoint URL: {url}",
        "Let it listen to events of your account, and select these:",
    ),
    api="processors.stripe.account:connect",
    completed=as_snapshot,
)
