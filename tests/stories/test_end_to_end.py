"""Signed webhooks in over HTTP, bodies at Pulsora out: the whole service, on both databases, run both ways."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.sender import contract
from bridge.sender.standin import StandIn
from processors import processors
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN
from tests.stories.service import GUNICORN, PATIENCE_SECONDS, SERVE, WORKER, Command, running

SECRETS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET}
START = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[str, str, str, str]

# Signup 49.00, renewal, upgrade to 99.00, downgrade to 19.00, 20.00 back, an extra of 29.00, the end.
LIFE: Mapping[str, Sequence[Row]] = {
    "stripe": [
        ("subscription", "49", "49", "fp_ada"),
        ("renewal", "49", "0", "fp_ada"),
        ("upgrade", "32.07", "50", "fp_ada"),
        ("downgrade", "0", "-80", "fp_ada"),
        ("refund", "-20", "0", "fp_ada"),
        ("purchase", "29", "", "fp_ada"),
        ("churn", "0", "-19", "fp_ada"),
    ],
    "paddle": [
        ("subscription", "49", "49", "fp_ada"),
        ("renewal", "49", "0", "fp_ada"),
        ("upgrade", "33.33", "50", "fp_ada"),
        ("downgrade", "0", "-80", "fp_ada"),
        ("refund", "-20", "0", "fp_ada"),
        ("purchase", "29", "", "fp_ada"),
        ("churn", "0", "-19", "fp_ada"),
    ],
}


def post(url: str, name: str, body: bytes) -> requests.Response:
    signed = processors()[name].sign(body, SECRETS[name], datetime.now(UTC))
    return requests.post(f"{url}/webhooks/{name}", data=signed.body, headers=dict(signed.headers), timeout=10)


def rows(events: Sequence[Mapping[str, Any]], processor: str) -> list[Row]:
    """What arrived of one processor, in the order in which it arrived."""
    return [
        (one["event_type"], f"{one['amount']:g}", f"{one['mrr_impact']:g}" if "mrr_impact" in one else "",
         one["visitor_fingerprint"])
        for one in events
        if one["payment_processor"] == processor
    ]  # fmt: skip


def arrived(ingest: StandIn, count: int) -> Sequence[Mapping[str, Any]]:
    """What Pulsora accepted once so many events are there, and nothing more comes for a while."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(ingest.accepted) < count and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1.5)
    return ingest.accepted


@pytest.mark.parametrize(
    "commands", [pytest.param([SERVE], id="serve"), pytest.param([GUNICORN, WORKER], id="gunicorn and worker")]
)
def test_two_lives_arrive_once_and_in_order_whatever_the_disorder_of_their_webhooks(
    commands: Sequence[Command], database_url: str, tmp_path: Path
) -> None:
    webhooks = [
        (name, body) for name in LIFE for body in processors()[name].scenarios["lifecycle"].events("ada", START)
    ]
    webhooks += webhooks[::3]
    random.Random(1).shuffle(webhooks)

    with StandIn(TOKEN) as ingest, running(commands, tmp_path, database_url, ingest.endpoint) as url:
        answers = [post(url, name, body) for name, body in webhooks]
        events = arrived(ingest, 14)

    assert {answer.status_code for answer in answers} == {200}
    assert rows(events, "stripe") == LIFE["stripe"]
    assert rows(events, "paddle") == LIFE["paddle"]
    assert [problem for event in events for problem in contract.problems(event)] == []


def test_what_pulsora_could_not_take_arrives_when_it_can(sqlite_url: str, tmp_path: Path) -> None:
    from bridge.sender.standin import Reply

    webhooks = processors()["stripe"].scenarios["signup"].events("ada", START)

    with StandIn(TOKEN) as ingest, running([SERVE], tmp_path, sqlite_url, ingest.endpoint) as url:
        ingest.script(Reply(status=429, headers={"Retry-After": "2"}, body=b'{"error": "Rate limited"}'))
        for body in webhooks:
            post(url, "stripe", body)
        events = arrived(ingest, 1)

    assert rows(events, "stripe") == [("subscription", "49", "49", "fp_ada")]
    assert len({request.body for request in ingest.received}) == 1
    assert len(ingest.received) == 2
