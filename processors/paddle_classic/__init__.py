"""Paddle Classic, for accounts made before August 2023: `processor` is all that the bridge knows of it."""

from __future__ import annotations

from processors.base import Option, Processor
from processors.paddle_classic.demo_key import DEMO_KEY
from processors.paddle_classic.plans import OPTION, plans_problem
from processors.paddle_classic.signature import secret_problem, sign, verify
from processors.paddle_classic.simulate import SCENARIOS
from processors.paddle_classic.translate import EVENTS, translate


def _environment_problem(value: str) -> str | None:
    return None if value in ("live", "sandbox") else "must be live or sandbox"


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
    options=(
        Option(
            name=OPTION,
            help="Billing interval of each plan id, which alerts leave out; without it intervals are estimated.",
            example="12345=month,12346=year,12347=3 months",
            check=plans_problem,
        ),
        Option(
            name="PADDLE_ENVIRONMENT",
            help="live, or sandbox: then everything that arrives is test traffic.",
            example="live",
            check=_environment_problem,
        ),
    ),
    verify=verify,
    translate=translate,
    sign=sign,
    scenarios=SCENARIOS,
    demo_secret=DEMO_KEY,
    events=EVENTS,
    setup=(
        "In the Paddle Classic dashboard open Developer Tools > Alerts / Webhooks.",
        "Enter this address for receiving webhooks: {url}",
        "Then copy the key from Developer Tools > Public Key. Select these alerts:",
    ),
)
