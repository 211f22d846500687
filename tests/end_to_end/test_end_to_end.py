"""Signed webhooks in over HTTP, requests to Pulsora out: the whole service on both databases, run both ways."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from bridge.sender import payload
from processors import processors
from tests.end_to_end.service import GUNICORN, PATIENCE_SECONDS, SERVE, WORKER, running
from tests.fake_pulsora import Reply, ScriptedPulsora
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

SECRETS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET}
START = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[str, str, str, str]

# Signup 49.00, renewal, upgrade to 99.00, downgrade to 19.00, refund of 20.00, an extra for 29.00, cancellation.
EXPECTED: Mapping[str, Sequence[Row]] = {
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
    """The events of one processor, in order of arrival."""
    return [
        (one["event_type"], f"{one['amount']:g}", f"{one['mrr_impact']:g}" if "mrr_impact" in one else "",
         one["visitor_fingerprint"])
        for one in events
        if one["payment_processor"] == processor
    ]  # fmt: skip


def arrived(pulsora: ScriptedPulsora, count: int) -> Sequence[Mapping[str, Any]]:
    """The events that Pulsora accepted, once `count` are there and no more come for a while."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(pulsora.accepted) < count and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1.5)
    return pulsora.accepted


def test_two_lifecycles_arrive_once_and_in_order_with_either_way_of_running_whatever_the_order_of_their_webhooks(
    sqlite_url: str, postgresql_url: str, tmp_path: Path
) -> None:
    webhooks = [
        (name, body) for name in EXPECTED for body in processors()[name].scenarios["lifecycle"].events("ada", START)
    ]
    webhooks += webhooks[::3]
    random.Random(1).shuffle(webhooks)
    sent = []

    for commands, database_url in (([SERVE], sqlite_url), ([GUNICORN, WORKER], postgresql_url)):
        folder = tmp_path / str(len(sent))
        folder.mkdir()
        with (
            ScriptedPulsora(TOKEN) as pulsora,
            running(commands, folder, database_url, pulsora.endpoint, SETTLE_SECONDS="3") as service,
        ):  # on a busy machine, too, no two webhooks are a window apart: the order is that of one window
            responses = [post(service.url, name, body) for name, body in webhooks]
            events = arrived(pulsora, 14)

        assert {response.status_code for response in responses} == {200}
        assert rows(events, "stripe") == EXPECTED["stripe"]
        assert rows(events, "paddle") == EXPECTED["paddle"]
        assert [problem for event in events for problem in payload.problems(event)] == []
        sent.append(sorted(request.body for request in pulsora.received))
    assert sent[0] == sent[1]


def test_what_pulsora_could_not_accept_arrives_later_and_serve_stops_at_a_signal(
    sqlite_url: str, tmp_path: Path
) -> None:
    webhooks = processors()["stripe"].scenarios["signup"].events("ada", START)

    with ScriptedPulsora(TOKEN) as pulsora, running([SERVE], tmp_path, sqlite_url, pulsora.endpoint) as service:
        pulsora.script(Reply(status=429, headers={"Retry-After": "2"}, body=b'{"error": "Rate limited"}'))
        for body in webhooks:
            post(service.url, "stripe", body)
        events = arrived(pulsora, 1)
        statuses = service.stop()

    assert statuses == [0]
    assert rows(events, "stripe") == [("subscription", "49", "49", "fp_ada")]
    assert len({request.body for request in pulsora.received}) == 1
    assert len(pulsora.received) == 2


def test_a_worker_that_is_killed_loses_nothing_and_reports_nothing_again(postgresql_url: str, tmp_path: Path) -> None:
    webhooks = processors()["stripe"].scenarios["lifecycle"].events("ada", START)
    commands = [GUNICORN, WORKER]

    with ScriptedPulsora(TOKEN) as pulsora, running(commands, tmp_path, postgresql_url, pulsora.endpoint) as service:
        for body in webhooks[:18]:
            post(service.url, "stripe", body)
        arrived(pulsora, 2)
        for body in webhooks[18:26]:
            post(service.url, "stripe", body)
        service.processes[1].kill()
        service.processes[1].wait()
        for body in webhooks[26:]:
            post(service.url, "stripe", body)
        service.start(WORKER)
        events = arrived(pulsora, 7)

    assert rows(events, "stripe") == EXPECTED["stripe"]


def test_what_is_acknowledged_is_worked_off_after_everything_was_killed(sqlite_url: str, tmp_path: Path) -> None:
    webhooks = processors()["paddle"].scenarios["lifecycle"].events("ada", START)

    with ScriptedPulsora(TOKEN) as pulsora:
        with running([SERVE], tmp_path, sqlite_url, pulsora.endpoint, SETTLE_SECONDS="600") as service:
            responses = {post(service.url, "paddle", body).status_code for body in webhooks}
            os.killpg(service.processes[0].pid, signal.SIGKILL)
        before = pulsora.received
        with running([SERVE], tmp_path, sqlite_url, pulsora.endpoint) as service:
            post(
                service.url, "paddle", webhooks[0]
            )  # another webhook of the customer restarts the settle window, now a short one
            events = arrived(pulsora, 7)

    assert responses == {200}
    assert before == ()
    assert rows(events, "paddle") == EXPECTED["paddle"]
