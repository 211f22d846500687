"""`serve --dev`: nothing leaves the machine, and a simulated sale shows up at the fake Pulsora."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from bridge.cli.dev import TOKEN, banner, development_settings
from bridge.sandbox.service import local_session
from processors import processors
from tests.faults.service import free_port

FAKE = "http://127.0.0.1:9/api/ingest"
SECRET = "whsec_fake_secret_of_the_stripe_cli_00"
PATIENCE_SECONDS = 40


def dotenv(folder: Path, text: str) -> Path:
    (folder / ".env").write_text(text, encoding="utf-8")
    return folder / ".env"


def test_without_settings_simulated_webhooks_are_accepted(tmp_path: Path) -> None:
    settings = development_settings({}, tmp_path / ".env", FAKE)

    assert {name: source.secrets for name, source in settings.sources.items()} == {
        name: (processor.demo_secret,) for name, processor in processors().items()
    }
    classic = "pulsora-bridge simulate paddle-classic upgrade --url http://127.0.0.1:8000 --live --yes"
    assert f"    {classic}" in banner(settings)
    assert settings.bind == "127.0.0.1:8000"
    assert settings.admin_token


def test_the_secret_of_the_stripe_cli_is_used_as_configured(tmp_path: Path) -> None:
    settings = development_settings({}, dotenv(tmp_path, f"STRIPE_WEBHOOK_SECRET={SECRET}"), FAKE)

    assert settings.sources["stripe"].secrets == (SECRET,)
    assert any(line.strip().startswith("stripe listen --forward-to http://127.0.0.1:8000/webhooks/stripe")
               for line in banner(settings))  # fmt: skip
    assert SECRET not in "\n".join(banner(settings))


def test_nothing_leaves_this_machine_whatever_the_settings_say(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(
        f'[sources.shop]\nprocessor = "stripe"\nstripe_webhook_secret = "{SECRET}"\n'
        'pulsora_secret_token = "sec_of_production"\npulsora_endpoint = "https://pulsora.example/api/ingest"\n'
    )
    production = f"BIND=0.0.0.0:8123\nDATABASE_URL=sqlite:////srv/production.db\nDRY_RUN=1\nBRIDGE_CONFIG={config}"

    settings = development_settings({}, dotenv(tmp_path, production), FAKE)

    assert {source.endpoint for source in settings.sources.values()} == {FAKE}
    assert {source.token for source in settings.sources.values()} == {TOKEN}
    assert "shop" in settings.sources
    assert (settings.bind, settings.database_url) == ("127.0.0.1:8123", "sqlite:///bridge-dev.db")


def test_a_simulated_sale_is_shown(tmp_path: Path) -> None:
    port = free_port()
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    environ |= {"BIND": f"0.0.0.0:{port}", "SETTLE_SECONDS": "1", "LOG_LEVEL": "error"}
    environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    out = tmp_path / "out.txt"
    with out.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "serve", "--dev"],
            cwd=tmp_path,
            env=environ,
            stdout=output,
            stderr=output,
        )
        try:
            _sell(f"http://127.0.0.1:{port}")
            _await(out, "purchase      29.00 USD")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0


def _sell(url: str) -> None:
    stripe = processors()["stripe"]
    until = time.monotonic() + PATIENCE_SECONDS
    with local_session() as session:
        for body in stripe.scenarios["one-off"].events("dev", datetime.now(UTC)):
            signed = stripe.sign(body, stripe.demo_secret, datetime.now(UTC))
            while True:
                try:
                    response = session.post(
                        f"{url}/webhooks/stripe", signed.body, headers=dict(signed.headers), timeout=5
                    )
                    assert response.status_code == 200
                    break
                except requests.ConnectionError:
                    if time.monotonic() > until:
                        pytest.fail("the bridge did not start")
                    time.sleep(0.1)


def _await(out: Path, text: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while text not in out.read_text():
        assert time.monotonic() < until, out.read_text()
        time.sleep(0.1)
