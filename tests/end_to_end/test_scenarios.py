"""Every scenario of every processor, signed webhooks in and bodies at Pulsora out, in whatever order they arrive."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from bridge.sandbox.fake_pulsora import FakePulsora, Received
from processors import processors
from processors.paddle_classic.simulation.customer import PLANS
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN
from tests.end_to_end.service import SERVE, running

SECRETS: Mapping[str, str] = {
    "stripe": STRIPE_SECRET,
    "paddle": PADDLE_SECRET,
    "paddle-classic": processors()["paddle-classic"].demo_secret,
}
START = datetime(2025, 1, 6, 12, tzinfo=UTC)
AT_ONCE = 6  # customers whose webhooks arrive at the same time
PATIENCE_SECONDS = 60
QUIET_SECONDS = 2.0

Row = tuple[str, str, str]  # event type, amount, MRR impact

SIGNUP: Row = ("subscription", "49", "49")
RENEWAL: Row = ("renewal", "49", "0")
REFUND: Row = ("refund", "-20", "0")
EXTRA: Row = ("purchase", "29", "")
TO_STARTER: Row = ("downgrade", "0", "-30")
LEAVES: Row = ("churn", "0", "-49")
CHARGED_BACK: Row = ("refund", "-49", "0")
WON_AGAIN: Row = ("renewal", "49", "0")

# Pro is 49.00 a month, Team 99.00, Starter 19.00. 21 of 31 days of 50.00 more are 33.87; 17 days and 23 hours of 28
# are 32.07; Paddle's stories bill 33.33; Classic bills a change with the next period.
PROMISED: Mapping[tuple[str, str], Sequence[Row]] = {
    ("stripe", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "32.07", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("stripe", "signup"): [SIGNUP],
    ("stripe", "renewal"): [SIGNUP, RENEWAL],
    ("stripe", "upgrade"): [SIGNUP, ("upgrade", "33.87", "50")],
    ("stripe", "downgrade"): [SIGNUP, TO_STARTER],
    ("stripe", "cancel"): [SIGNUP, LEAVES],
    ("stripe", "refund"): [SIGNUP, REFUND],
    ("stripe", "one-off"): [EXTRA],
    ("stripe", "trial"): [SIGNUP],
    ("stripe", "dispute"): [SIGNUP, CHARGED_BACK, WON_AGAIN],
    ("stripe", "legacy"): [
        SIGNUP, RENEWAL, ("upgrade", "32.07", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("paddle", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "33.33", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("paddle", "signup"): [SIGNUP],
    ("paddle", "renewal"): [SIGNUP, RENEWAL],
    ("paddle", "upgrade"): [SIGNUP, ("upgrade", "33.33", "50")],
    ("paddle", "downgrade"): [SIGNUP, TO_STARTER],
    ("paddle", "pause-resume"): [SIGNUP, LEAVES, SIGNUP],
    ("paddle", "cancel"): [SIGNUP, LEAVES],
    ("paddle", "refund"): [SIGNUP, REFUND],
    ("paddle", "chargeback"): [SIGNUP, CHARGED_BACK, WON_AGAIN],
    ("paddle", "one-off"): [EXTRA],
    ("paddle", "trial"): [SIGNUP],
    ("paddle-classic", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "0", "50"), REFUND, ("downgrade", "0", "-80"), ("churn", "0", "-19"),
    ],
    ("paddle-classic", "signup"): [SIGNUP],
    ("paddle-classic", "renewal"): [SIGNUP, RENEWAL],
    ("paddle-classic", "upgrade"): [SIGNUP, ("upgrade", "0", "50")],
    ("paddle-classic", "downgrade"): [SIGNUP, TO_STARTER],
    ("paddle-classic", "cancel"): [SIGNUP, LEAVES],
    ("paddle-classic", "refund"): [SIGNUP, REFUND],
    ("paddle-classic", "one-off"): [EXTRA],
    ("paddle-classic", "trial"): [SIGNUP],
}  # fmt: skip

Bodies = Sequence[bytes]
ORDERS: Mapping[str, Callable[[Bodies], Bodies]] = {
    "as it happened": lambda bodies: bodies,
    "reversed": lambda bodies: bodies[::-1],
    "shuffled": lambda bodies: random.Random(3).sample(bodies, len(bodies)),
    "doubled": lambda bodies: random.Random(4).sample([*bodies, *bodies], 2 * len(bodies)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One customer of a processor, whose webhooks arrive in one of the orders. The visit has the tag's name."""

    processor: str
    scenario: str
    order: str
    tag: str

    @property
    def name(self) -> str:
        return f"{self.processor} {self.scenario}, {self.order}"

    def bodies(self) -> Bodies:
        """Its webhooks, in the order of their arrival."""
        happened = processors()[self.processor].scenarios[self.scenario].events(self.tag, START)
        return ORDERS[self.order](happened)


LIVES = [
    Life(processor=processor, scenario=scenario, order=order, tag=f"life{number}")
    for number, (processor, scenario, order) in enumerate(
        (processor, scenario, order) for processor, scenario in PROMISED for order in ORDERS
    )
]


def arrive(url: str, life: Life) -> set[int]:
    """Posts a life's webhooks, one after the other; the answers."""
    processor, secret = processors()[life.processor], SECRETS[life.processor]
    answers = set()
    with requests.Session() as session:
        for body in life.bodies():
            signed = processor.sign(body, secret, datetime.now(UTC))
            route = f"{url}/webhooks/{life.processor}"
            answers.add(session.post(route, data=signed.body, headers=dict(signed.headers), timeout=20).status_code)
    return answers


def quiet(ingest: FakePulsora, due: int) -> Sequence[Received]:
    """What has arrived once all that is due is there, and nothing more came for a while."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(ingest.received) < due and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(QUIET_SECONDS)
    return ingest.received


def rows(received: Sequence[Received], life: Life) -> list[Row]:
    """What arrived of one life, in the order of its arrival."""
    found = (one.data for one in received if one.data and one.data["visitor_fingerprint"] == f"fp_{life.tag}")
    return [
        (data["event_type"], f"{data['amount']:g}", f"{data['mrr_impact']:g}" if "mrr_impact" in data else "")
        for data in found
    ]


def test_every_scenario_has_a_promise() -> None:
    assert set(PROMISED) == {(name, one) for name in SECRETS for one in processors()[name].scenarios}


@pytest.mark.timeout(240)
def test_every_scenario_gives_what_it_promises_in_whatever_order(database_url: str, tmp_path: Path) -> None:
    promised = {life.name: list(PROMISED[life.processor, life.scenario]) for life in LIVES}
    settings = {
        "SETTLE_SECONDS": "3",
        "RATE_LIMIT_PER_HOUR": "0",
        "PADDLE_CLASSIC_PUBLIC_KEY": SECRETS["paddle-classic"],
        "PADDLE_CLASSIC_PLANS": PLANS,
    }

    with FakePulsora(TOKEN) as ingest, running([SERVE], tmp_path, database_url, ingest.endpoint, **settings) as service:
        with ThreadPoolExecutor(AT_ONCE) as crowd:
            answers = set().union(*crowd.map(lambda life: arrive(service.url, life), LIVES))
        received = quiet(ingest, sum(map(len, promised.values())))

    assert answers == {200}
    assert {life.name: rows(received, life) for life in LIVES} == promised
    assert {one.status for one in received} == {202}
    assert len(received) == sum(map(len, promised.values()))
