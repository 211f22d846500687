"""Paddle Classic, for accounts made before August 2023: `processor` is everything the bridge knows about it."""

from __future__ import annotations

from processors.interface import Option, Processor
from processors.paddle_classic.alerts import ENVIRONMENT, envelope
from processors.paddle_classic.plans import PLANS
from processors.paddle_classic.signature import secret_problem, sign, verify
from processors.paddle_classic.translate import EVENTS, translate

processor = Processor(
    name="paddle-classic",
    title="Paddle Classic",
    payment_processor="paddle",
    secret=Option(
        name="PADDLE_CLASSIC_PUBLIC_KEY",
        help="Public key of the Paddle Classic account, as PEM.",
        example="-----BEGIN PUBLIC KEY-----…",
        check=secret_problem,
        secret=True,
    ),
    options=(PLANS, ENVIRONMENT),
    verify=verify,
    envelope=envelope,
    translate=translate,
    sign=sign,
    event_types=EVENTS,
    setup_steps=(
        "In the Paddle Classic dashboard open Developer Tools > Alerts / Webhooks.",
        "Enter this address for receiving webhooks: {url}",
        "Then copy the key from Developer Tools > Public Key. Select these alerts:",
    ),
    simulation="processors.paddle_classic.simulation.scenarios:simulation",
)
