"""Stripe: `processor` is everything the bridge knows about it."""

from __future__ import annotations

from processors.interface import Option, Processor
from processors.stripe.connection import API_BASE, api_key_problem, key_page
from processors.stripe.envelope import envelope
from processors.stripe.signature import secret_problem, sign, verify
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
        multiple=True,
    ),
    api_key=Option(
        name="STRIPE_API_KEY",
        help="Restricted API key with read access, for data that webhooks leave out.",
        example="rk_live_…",
        check=api_key_problem,
        secret=True,
    ),
    options=(API_BASE,),
    verify=verify,
    envelope=envelope,
    translate=translate,
    sign=sign,
    event_types=EVENTS,
    setup_steps=(
        "In the Stripe Dashboard open Workbench > Webhooks (or Developers > Webhooks) and add a destination.",
        "Destination type: webhook endpoint. Payload style: snapshot. Endpoint URL: {url}",
        "Let it listen to events of your account, and select these:",
    ),
    simulation="processors.stripe.simulation.scenarios:simulation",
    api="processors.stripe.account:connect",
    totals="processors.stripe.totals:connect_totals",
    endpoints="processors.stripe.endpoints:connect",
    key_page=key_page,
    complete_event=as_snapshot,
)
