"""A third processor from another distribution: it verifies and translates, and nothing else changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import processors
from bridge.settings import load
from bridge.store import Store, inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.web import create_app
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors.interface import Processor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
METADATA = "Metadata-Version: 2.1\nName: pebblepay\nVersion: 1.0\n"
ENTRY_POINTS = f"[{processors.GROUP}]\npebble = pebblepay:processor\n"
START = datetime.now(UTC) - timedelta(days=60)


@pytest.fixture(name="distribution")
def _distribution(tmp_path: Path) -> Path:
    """A folder with the metadata that pip would install."""
    metadata = tmp_path / "site" / "pebblepay-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(METADATA)
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return metadata.parent


@pytest.fixture(name="pebble")
def _pebble(distribution: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processor]:
    """The processor as the registry finds it, installed for one test."""
    monkeypatch.syspath_prepend(distribution)
    monkeypatch.syspath_prepend(HERE)
    processors.processors.cache_clear()
    yield processors.processors()["pebble"]
    processors.processors.cache_clear()
    sys.modules.pop("pebblepay", None)


def in_its_own_process(distribution: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder) for folder in (distribution, HERE, ROOT))
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command], cwd=distribution, env=environ, capture_output=True, text=True, timeout=110
    )


def test_it_is_registered_next_to_those_that_are_built_in(pebble: Processor) -> None:
    assert pebble.title == "Pebble Pay"
    assert processors.processors().keys() >= {"stripe", "paddle", "paddle-classic", "pebble"}


def test_without_its_distribution_it_is_not_there() -> None:
    assert "pebble" not in processors.processors()


def test_it_is_held_to_what_every_processor_is_held_to(distribution: Path) -> None:
    suite = str(ROOT / "tests" / "processors" / "test_every_processor.py")

    ran = in_its_own_process(distribution, "-m", "pytest", "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-q",
                             "-c", str(ROOT / "setup.cfg"), "-o", "addopts=--import-mode=importlib",
                             suite, "-k", "pebble")  # fmt: skip

    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "passed" in ran.stdout
    assert "failed" not in ran.stdout


def test_setup_prints_its_address_its_events_and_its_secret(distribution: Path) -> None:
    ran = in_its_own_process(distribution, "-m", "bridge.cli", "setup", "pebble")

    assert ran.returncode == 0, ran.stderr
    assert "/webhooks/pebble" in ran.stdout
    assert "PEBBLE_SECRET" in ran.stdout
    assert "     begun\n     changed\n" in ran.stdout


def test_its_webhooks_become_revenue_events(pebble: Processor, sqlite_store: Store) -> None:
    environ = {"PEBBLE_SECRET": pebble.demo_secret, "PULSORA_SECRET_TOKEN": "sec_fake", "SETTLE_SECONDS": "0"}
    settings = load({**environ, "DATABASE_URL": "sqlite:///not-used.db"})
    client = create_app(settings, sqlite_store).test_client()

    for body in pebble.scenarios["lifecycle"].events("ada", START):
        webhook = pebble.sign(body, pebble.demo_secret, datetime.now(UTC))
        assert client.post("/webhooks/pebble", data=webhook.body, headers=dict(webhook.headers)).status_code == 200
    refused = client.post("/webhooks/pebble", data=b"{}", headers={"Pebble-Proof": "1 nonsense"})
    soon = datetime.now(UTC) + timedelta(seconds=5)
    route(sqlite_store, settings, "tests", soon)
    settle_due(sqlite_store, settings, "tests", soon)

    assert refused.status_code == 400
    with sqlite_store.reading() as tx:
        events = [json.loads(found.body) for found in outbox.listing(tx)]
        settled = inbox.counts(tx)
    assert settled == {("pebble", InboxStatus.SETTLED): 6}
    assert [(one["event_type"], one["amount"], one.get("mrr_impact"), one["currency"]) for one in reversed(events)] == [
        ("subscription", 9.0, 9.0, "EUR"),
        ("renewal", 9.0, 0.0, "EUR"),
        ("upgrade", 0.0, 6.0, "EUR"),
        ("refund", -5.0, 0.0, "EUR"),
        ("churn", 0.0, -15.0, "EUR"),
    ]
    assert {(one["payment_processor"], one["visitor_fingerprint"]) for one in events} == {("pebble", "fp_ada")}
