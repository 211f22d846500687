"""Webhooks are lost; `audit` says which revenue is missing, `--repair` fetches it, and then nothing differs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from pytest_httpserver import HTTPServer

from bridge.store import open_store, outbox, queues
from processors import processors
from tests.audit_merchant import merchant
from tests.end_to_end.service import PATIENCE_SECONDS, SERVE, Service, running
from tests.fake_processors import STRIPE_KEY, FakeStripe
from tests.fake_pulsora import ScriptedPulsora
from tests.settings import ADMIN_TOKEN, STRIPE_SECRET, TOKEN

LOST = "m3"  # every webhook of this customer


def audit(service: Service, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the report of the command."""
    command = [sys.executable, "-m", "bridge.cli", "audit", "--source", "stripe", "--json", *options]
    done = subprocess.run(command, cwd=service.folder, env=service.environ, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def send(service: Service, bodies: list[bytes]) -> None:
    with requests.Session() as session:
        for body in bodies:
            signed = processors()["stripe"].sign(body, STRIPE_SECRET, datetime.now(UTC))
            url = f"{service.url}/webhooks/stripe"
            assert session.post(url, data=signed.body, headers=dict(signed.headers)).status_code == 200


def delivered(service: Service) -> None:
    """Waits until nothing is left to do."""
    store, until = open_store(service.environ["DATABASE_URL"]), time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with store.reading() as tx:
            found, states = queues.read(tx, datetime.now(UTC)), outbox.counts(tx)
            idle = not (found.due_since or found.pending or found.held) and states
            waiting = tx.exec_driver_sql("SELECT count(*) FROM inbox WHERE status IN ('received', 'waiting')").scalar()
        if idle and not waiting:
            store.close()
            return
        time.sleep(0.2)
    raise AssertionError(service.logged()[-3000:])


def test_lost_webhooks_are_named_and_repaired(tmp_path: Path, httpserver: HTTPServer) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    made = merchant(4, 5, now - timedelta(days=20), now - timedelta(hours=2))
    webhooks = list(made.webhooks)
    lost = [body for body in webhooks if f"_{LOST}_".encode() in body]
    lists = {path: sorted(found, key=lambda one: -one["created"]) for path, found in made.api_lists().items()}
    fake = FakeStripe(events=[json.loads(body) for body in webhooks], lists=lists)
    settings = {"STRIPE_API_KEY": STRIPE_KEY, "RECONCILE_HOURS": "0", "UNATTRIBUTED": "send", "SETTLE_SECONDS": "1"}
    api = {"STRIPE_API_BASE": fake.serve(httpserver)}
    url = f"sqlite:///{tmp_path}/bridge.db"
    with (
        ScriptedPulsora(TOKEN) as pulsora,
        running([SERVE], tmp_path, url, pulsora.endpoint, **settings, **api) as service,
    ):
        send(service, [body for body in webhooks if body not in lost])
        delivered(service)
        before = audit(service, "--repair")
        delivered(service)
        after = audit(service)
        page = requests.get(f"{service.url}/admin/audit", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=5)

    assert before[0] == 0
    assert before[1]["causes"].keys() == {"webhook missing here"}
    assert all(LOST in row["of"] for row in before[1]["rows"])
    types = processors()["stripe"].event_types
    assert before[1]["repaired"] == sum(json.loads(body)["type"] in types for body in lost)
    assert (after[0], after[1]["rows"], after[1]["compared"]) == (0, [], before[1]["compared"])
    assert "nothing differs" in page.text
