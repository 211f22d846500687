"""Paddle Billing: `processor` is everything the bridge knows about it."""

from __future__ import annotations

from processors.interface import Option, Processor
from processors.paddle.connection import API_BASE, api_key_problem, key_page
from processors.paddle.envelope import ENVIRONMENT, envelope
from processors.paddle.signature import secret_problem, sign, verify
from processors.paddle.translate import EVENTS, translate

processor = Processor(
    name="paddle",
    title="Paddle",
    payment_processor="paddle",
    secret=Option(
        name="PADDLE_WEBHOOK_SECRET",
        help="Secret key of the notification destination; several separated by commas.",
        example="pdl_ntfset_…",
        check=secret_problem,
        secret=True,
        multiple=True,
    ),
    api_key=Option(
        name="PADDLE_API_KEY",
        help="API key with read permissions, for data that webhooks leave out.",
        example="pdl_live_apikey_…",
        check=api_key_problem,
        secret=True,
    ),
    options=(ENVIRONMENT, API_BASE),
    verify=verify,
    envelope=envelope,
    translate=translate,
    sign=sign,
    event_types=EVENTS,
    setup_steps=(
        "In Paddle open Developer tools > Notifications and make a new destination.",
        "Notification type: webhook. Usage type: platform. URL: {url}",
        "Select these events, save, and open the destination once more for its secret key:",
    ),
    simulation="processors.paddle.simulation.scenarios:simulation",
    api="processors.paddle.account:connect",
    totals="processors.paddle.totals:connect_totals",
    endpoints="processors.paddle.endpoints:connect",
    key_page=key_page,
    event_days=90,
)
