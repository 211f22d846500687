"""Paddle Billing: `processor` is all that the bridge knows of it."""

from __future__ import annotations

from processors.base import Option, Processor
from processors.paddle.signature import secret_problem, sign, verify
from processors.paddle.simulate import SCENARIOS
from processors.paddle.translate import EVENTS, translate


def _environment_problem(value: str) -> str | None:
    return None if value in ("live", "sandbox") else "must be live or sandbox"


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
    ),
    options=(
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
    demo_secret="pdl_ntfset_demo_not_a_real_secret",
    events=EVENTS,
    api="processors.paddle.account:connect",
    setup=(
        "In Paddle open Developer tools > Notifications and make a new destination.",
        "Notification type: webhook. Usage type: platform. URL: {url}",
        "Select these events, save, and open the destination once more for its secret key:",
    ),
)
