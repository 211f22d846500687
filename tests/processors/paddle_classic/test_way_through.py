"""Alerts through the whole bridge: from an HTTP form to the outbox, with an end that waits for its date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bridge.errors import SettingsError
from bridge.settings import Settings, load
from bridge.store import Store, outbox
from bridge.web import create_app
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors.paddle_classic import processor
from processors.paddle_classic.simulation.customer import PLANS, PRO, Customer

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)
PUBLIC = (
    load_pem_private_key(processor.demo_secret.encode(), password=None)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
ENVIRON = {
    "PADDLE_CLASSIC_PUBLIC_KEY": PUBLIC,
    "PADDLE_CLASSIC_PLANS": PLANS,
    "PULSORA_SECRET_TOKEN": "sec_fake",
    "SETTLE_SECONDS": "0",
    "DATABASE_URL": "sqlite:///not-used.db",
}


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """The web and the worker over one store, in this process."""

    settings: Settings
    store: Store

    def receive(self, bodies: Sequence[bytes]) -> list[int]:
        """Posts each alert, signed; returns the status codes."""
        client = create_app(self.settings, self.store).test_client()
        signed = [processor.sign(body, processor.demo_secret, START) for body in bodies]
        return [
            client.post("/webhooks/paddle-classic", data=one.body, headers=dict(one.headers)).status_code
            for one in signed
        ]

    def settle(self, now: datetime) -> list[tuple[str, float, float | None]]:
        """Routes and settles; returns all revenue events so far."""
        route(self.store, self.settings, "tests", now)
        settle_due(self.store, self.settings, "tests", now)
        with self.store.reading() as tx:
            events = [json.loads(found.body) for found in reversed(outbox.listing(tx))]
        return [(one["event_type"], one["amount"], one.get("mrr_impact")) for one in events]


def test_alerts_become_events_and_a_scheduled_end_waits_for_its_day(sqlite_store: Store) -> None:
    bridge = Bridge(settings=load(ENVIRON), store=sqlite_store)
    customer = Customer.begin("ada", START).subscribe(PRO).later(days=3).cancel()
    soon = datetime.now(UTC) + timedelta(seconds=5)
    its_day = START + timedelta(days=31)

    statuses = bridge.receive(customer.webhooks)
    now = bridge.settle(soon)
    meanwhile = bridge.settle(soon + timedelta(days=5))
    then = bridge.settle(its_day)

    assert statuses == [200, 200, 200]
    assert now == meanwhile == [("subscription", 49.0, 49.0)]
    assert then == [("subscription", 49.0, 49.0), ("churn", 0.0, -49.0)]


def test_a_tampered_alert_is_refused(sqlite_store: Store) -> None:
    client = create_app(load(ENVIRON), sqlite_store).test_client()
    (body,) = Customer.begin("ada", START).buy().webhooks
    signed = processor.sign(body, processor.demo_secret, START)

    answer = client.post(
        "/webhooks/paddle-classic",
        data=signed.body.replace(b"sale_gross=29.00", b"sale_gross=92.00"),
        headers=dict(signed.headers),
    )

    assert answer.status_code == 400


def test_the_key_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(PUBLIC)
    environ = {name: value for name, value in ENVIRON.items() if name != "PADDLE_CLASSIC_PUBLIC_KEY"}

    settings = load({**environ, "PADDLE_CLASSIC_PUBLIC_KEY_FILE": str(path)})

    assert settings.sources["paddle-classic"].secrets == (PUBLIC.strip(),)


def test_wrong_settings_are_reported_together() -> None:
    with pytest.raises(SettingsError) as refused:
        load({**ENVIRON, "PADDLE_CLASSIC_PUBLIC_KEY": "nonsense", "PADDLE_CLASSIC_PLANS": "1=fortnight"})

    assert "PADDLE_CLASSIC_PUBLIC_KEY: is no RSA public key" in str(refused.value)
    assert "PADDLE_CLASSIC_PLANS: 1: must be day, week, month or year" in str(refused.value)
