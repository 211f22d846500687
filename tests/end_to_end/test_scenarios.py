"""Every scenario of every processor in several orders: signed webhooks in, requests to Pulsora out.

On each database a scenario has one of the orders, on the second another one; SCENARIO_ORDERS=all runs each with all.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from sqlalchemy import make_url

from bridge.sandbox.fake_pulsora import FakePulsora, Received
from processors import processors
from processors.paddle_classic.simulation.customer import PLANS
from tests.conftest import DIALECTS
from tests.end_to_end.service import SERVE, running
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

SECRETS: Mapping[str, str] = {
    "stripe": STRIPE_SECRET,
    "paddle": PADDLE_SECRET,
    "paddle-classic": processors()["paddle-classic"].demo_secret,
}
START = datetime(2025, 1, 6, 12, tzinfo=UTC)
CONCURRENT_CUSTOMERS = 6  # customers whose webhooks arrive concurrently
PATIENCE_SECONDS = 60
QUIET_SECONDS = 2.0

Row = tuple[str, str, str]  # event type, amount, MRR impact

SIGNUP: Row = ("subscription", "49", "49")
RENEWAL: Row = ("renewal", "49", "0")
REFUND: Row = ("refund", "-20", "0")
EXTRA: Row = ("purchase", "29", "")
DOWNGRADE: Row = ("downgrade", "0", "-30")
CANCELLATION: Row = ("churn", "0", "-49")
CHARGEBACK: Row = ("refund", "-49", "0")
CHARGEBACK_REVERSED: Row = ("renewal", "49", "0")

# Pro is 49.00 a month, Team 99.00, Starter 19.00. An upgrade for 21 of 31 days costs 33.87, for 17 days and 23 hours of
# 28 it costs 32.07; Paddle's scenarios bill 33.33; Classic bills a change with the next period.
EXPECTED: Mapping[tuple[str, str], Sequence[Row]] = {
    ("stripe", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "32.07", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("stripe", "signup"): [SIGNUP],
    ("stripe", "renewal"): [SIGNUP, RENEWAL],
    ("stripe", "upgrade"): [SIGNUP, ("upgrade", "33.87", "50")],
    ("stripe", "downgrade"): [SIGNUP, DOWNGRADE],
    ("stripe", "cancel"): [SIGNUP, CANCELLATION],
    ("stripe", "refund"): [SIGNUP, REFUND],
    ("stripe", "one-off"): [EXTRA],
    ("stripe", "trial"): [SIGNUP],
    ("stripe", "dispute"): [SIGNUP, CHARGEBACK, CHARGEBACK_REVERSED],
    ("stripe", "legacy"): [
        SIGNUP, RENEWAL, ("upgrade", "32.07", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("paddle", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "33.33", "50"), ("downgrade", "0", "-80"), REFUND, EXTRA, ("churn", "0", "-19"),
    ],
    ("paddle", "signup"): [SIGNUP],
    ("paddle", "renewal"): [SIGNUP, RENEWAL],
    ("paddle", "upgrade"): [SIGNUP, ("upgrade", "33.33", "50")],
    ("paddle", "downgrade"): [SIGNUP, DOWNGRADE],
    ("paddle", "pause-resume"): [SIGNUP, CANCELLATION, SIGNUP],
    ("paddle", "cancel"): [SIGNUP, CANCELLATION],
    ("paddle", "refund"): [SIGNUP, REFUND],
    ("paddle", "chargeback"): [SIGNUP, CHARGEBACK, CHARGEBACK_REVERSED],
    ("paddle", "one-off"): [EXTRA],
    ("paddle", "trial"): [SIGNUP],
    # 490.00 a year are 40.83 a month; five seats 245.00, three more for 21 of 31 days 99.58 (147.00 * 21 / 31).
    ("stripe", "yearly"): [("subscription", "490", "40.83")],
    ("stripe", "seats"): [("subscription", "245", "245"), ("upgrade", "99.58", "147")],
    ("stripe", "coupon"): [("subscription", "39.2", "39.2"), ("renewal", "39.2", "0")],
    ("stripe", "failed-refund"): [SIGNUP, REFUND, ("renewal", "20", "0")],
    ("stripe", "no-visit"): [],  # held
    ("stripe", "eur"): [SIGNUP, RENEWAL],
    ("stripe", "jpy"): [("purchase", "2900", "")],
    ("paddle", "yearly"): [("subscription", "490", "40.83")],
    ("paddle", "seats"): [("subscription", "245", "245")],
    ("paddle", "coupon"): [("subscription", "39.2", "39.2"), ("renewal", "39.2", "0")],
    ("paddle", "rejected-refund"): [SIGNUP],
    ("paddle", "no-visit"): [],
    ("paddle", "eur"): [SIGNUP, RENEWAL],
    ("paddle", "jpy"): [("purchase", "2900", "")],
    ("paddle-classic", "lifecycle"): [
        SIGNUP, RENEWAL, ("upgrade", "0", "50"), REFUND, ("downgrade", "0", "-80"), ("churn", "0", "-19"),
    ],
    ("paddle-classic", "signup"): [SIGNUP],
    ("paddle-classic", "renewal"): [SIGNUP, RENEWAL],
    ("paddle-classic", "upgrade"): [SIGNUP, ("upgrade", "0", "50")],
    ("paddle-classic", "downgrade"): [SIGNUP, DOWNGRADE],
    ("paddle-classic", "cancel"): [SIGNUP, CANCELLATION],
    ("paddle-classic", "refund"): [SIGNUP, REFUND],
    ("paddle-classic", "one-off"): [EXTRA],
    ("paddle-classic", "trial"): [SIGNUP],
}  # fmt: skip

# The same steps with other amounts: one order is enough.
VARIANTS = ("yearly", "seats", "coupon", "failed-refund", "rejected-refund", "no-visit", "eur", "jpy")
Bodies = Sequence[bytes]
ORDERS: Mapping[str, Callable[[Bodies], Bodies]] = {
    "as it happened": lambda bodies: bodies,
    "reversed": lambda bodies: bodies[::-1],
    "shuffled": lambda bodies: random.Random(3).sample(bodies, len(bodies)),
    "doubled": lambda bodies: random.Random(4).sample([*bodies, *bodies], 2 * len(bodies)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRun:
    """A scenario run by one customer, with the webhooks in one of the orders. The tag identifies the visit."""

    processor: str
    scenario: str
    order: str
    tag: str

    @property
    def name(self) -> str:
        return f"{self.processor} {self.scenario}, {self.order}"

    def bodies(self) -> Bodies:
        """The webhooks in order of arrival."""
        webhooks = processors()[self.processor].scenarios[self.scenario].events(self.tag, START)
        return ORDERS[self.order](webhooks)


def orders(number: int, scenario: str, dialect: str) -> Sequence[str]:
    """The orders of the scenario with this number."""
    if scenario in VARIANTS:
        return ["doubled"]
    if os.environ.get("SCENARIO_ORDERS") == "all":
        return list(ORDERS)
    return [list(ORDERS)[(number + DIALECTS.index(dialect)) % len(ORDERS)]]


def runs(dialect: str) -> Sequence[ScenarioRun]:
    """Every scenario in its orders on this database."""
    some = [
        (processor, scenario, order)
        for number, (processor, scenario) in enumerate(EXPECTED)
        for order in orders(number, scenario, dialect)
    ]
    return [
        ScenarioRun(processor=processor, scenario=scenario, order=order, tag=f"run{number}")
        for number, (processor, scenario, order) in enumerate(some)
    ]


def post_webhooks(url: str, run: ScenarioRun) -> set[int]:
    """Posts the webhooks of one run in sequence. Returns the response statuses."""
    processor, secret = processors()[run.processor], SECRETS[run.processor]
    responses = set()
    with requests.Session() as session:
        for body in run.bodies():
            signed = processor.sign(body, secret, datetime.now(UTC))
            route = f"{url}/webhooks/{run.processor}"
            responses.add(session.post(route, data=signed.body, headers=dict(signed.headers), timeout=20).status_code)
    return responses


def await_events(pulsora: FakePulsora, due: int) -> Sequence[Received]:
    """The requests that arrived, once `due` are there and no more come for a while."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(pulsora.received) < due and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(QUIET_SECONDS)
    return pulsora.received


def rows(received: Sequence[Received], run: ScenarioRun) -> list[Row]:
    """The events of one run, in order of arrival."""
    found = (one.data for one in received if one.data and one.data["visitor_fingerprint"] == f"fp_{run.tag}")
    return [
        (data["event_type"], f"{data['amount']:g}", f"{data['mrr_impact']:g}" if "mrr_impact" in data else "")
        for data in found
    ]


def test_every_scenario_has_a_promise() -> None:
    assert set(EXPECTED) == {(name, one) for name in SECRETS for one in processors()[name].scenarios}


@pytest.mark.timeout(240)
def test_every_scenario_gives_what_it_promises_in_whatever_order(database_url: str, tmp_path: Path) -> None:
    some = runs(make_url(database_url).get_backend_name())
    expected = {run.name: list(EXPECTED[run.processor, run.scenario]) for run in some}
    settings = {
        "SETTLE_SECONDS": "3",
        "RATE_LIMIT_PER_HOUR": "0",
        "PADDLE_CLASSIC_PUBLIC_KEY": SECRETS["paddle-classic"],
        "PADDLE_CLASSIC_PLANS": PLANS,
    }

    with (
        FakePulsora(TOKEN) as pulsora,
        running([SERVE], tmp_path, database_url, pulsora.endpoint, **settings) as service,
    ):
        with ThreadPoolExecutor(CONCURRENT_CUSTOMERS) as pool:
            responses = set().union(*pool.map(lambda run: post_webhooks(service.url, run), some))
        received = await_events(pulsora, sum(map(len, expected.values())))

    assert responses == {200}
    assert {run.name: rows(received, run) for run in some} == expected
    assert {one.status for one in received} == {202}
    assert len(received) == sum(map(len, expected.values()))
