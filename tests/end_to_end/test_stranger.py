"""A stranger's first hour, scripted: from an empty folder to the first attributed sale, with the seconds of each step.

`init` against a fake of Stripe's API, `serve`, a visitor in Chromium who clicks a Payment Link, and Stripe's webhooks
of the sale. At the end Pulsora has the visit. The steps are printed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser
from pytest_httpserver import HTTPServer

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sandbox.service import local_session
from processors import processors
from processors.stripe.simulation.customer import Customer
from tests.fake_processors import STRIPE_KEY, FakeStripe
from tests.faults.service import free_port
from tests.settings import TOKEN

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = "https://127.0.0.1:9"  # nobody is there yet: check says so, and it is no failure before the start
PATIENCE_SECONDS = 60
SCRIPT = "https://hooks.example.com/pulsora-bridge.js"
SHOP = "https://shop.example.com/"
# The page of the documentation: Pulsora's script sets window.pulsora, whose fingerprint comes a little later.
PAGE = f"""
<script src="{SCRIPT}"></script>
<script>
  const known = new Promise((resolve) => setTimeout(resolve, 300, "fp_stranger"));
  window.pulsora = {{ getVisitorFingerprint: () => known, getSessionId: () => "2a7f6b1c-0d7e-4b52-9a44-0123456789ab" }};
</script>
<a href="https://buy.stripe.com/test_pro">Subscribe to Pro</a>
"""


@dataclass(kw_only=True)
class Steps:
    """The steps so far, and their seconds."""

    began: float = field(default_factory=time.monotonic)
    done: list[tuple[str, float]] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.done.append((name, time.monotonic() - self.began - sum(seconds for _, seconds in self.done)))

    def table(self) -> str:
        rows = [f"  {seconds:6.1f} s  {name}" for name, seconds in self.done]
        total = sum(seconds for _, seconds in self.done)
        return "\n".join(["", "From an empty folder to the first attributed sale:", *rows, f"  {total:6.1f} s  in all"])


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "bridge.cli", *args]


@contextmanager
def serving(folder: Path, environ: dict[str, str], url: str) -> Iterator[None]:
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command("serve"), cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        with local_session() as session:
            while time.monotonic() < until:
                with suppress(requests.RequestException):
                    if session.get(f"{url}/readyz", timeout=2).json().get("worker_seen_seconds_ago") is not None:
                        break
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def reference_of_a_click(browser: Browser, url: str) -> str:
    """Opens the shop in Chromium, with the script of the running bridge, and clicks the Payment Link."""
    with browser.new_page() as page:
        with local_session() as session:
            script = session.get(f"{url}/pulsora-bridge.js", timeout=5)
        page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="Stripe Checkout"))
        page.route(SCRIPT, lambda route: route.fulfill(headers=dict(script.headers), body=script.content))
        page.route(SHOP, lambda route: route.fulfill(content_type="text/html", body=PAGE))
        page.goto(SHOP)
        page.wait_for_selector("a[href*=client_reference_id]")
        page.click("a")
        page.wait_for_url("https://buy.stripe.com/**")
        (reference,) = parse_qs(urlsplit(page.url).query)["client_reference_id"]
        return reference


def webhooks_of_a_sale(reference: str) -> list[bytes]:
    """What Stripe sends when that visitor subscribes through the Payment Link: no object has metadata."""
    bodies = [json.loads(body) for body in Customer.begin("stranger", datetime.now(UTC), visit={}).subscribe().webhooks]
    for body in bodies:
        found = body["data"]["object"]
        if found["object"] == "checkout.session":
            found |= {"client_reference_id": reference, "payment_link": "plink_1"}
    return [json.dumps(body).encode() for body in bodies]


def send(url: str, secret: str, bodies: list[bytes]) -> None:
    stripe = processors()["stripe"]
    with local_session() as session:
        for body in bodies:
            signed = stripe.sign(body, secret, datetime.now(UTC))
            response = session.post(
                f"{url}/webhooks/stripe", data=signed.body, headers=dict(signed.headers), timeout=10
            )
            assert response.status_code == 200, response.text


def settings_in(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def environment(endpoint: str, api: str, port: int) -> dict[str, str]:
    """Only what points at the fakes: everything else is up to init."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    fakes = {"PULSORA_ENDPOINT": endpoint, "STRIPE_API_BASE": api}
    return {**inherited, **fakes, "PYTHONPATH": str(ROOT), "BIND": f"127.0.0.1:{port}"}


def go_through(folder: Path, environ: dict[str, str], pulsora: FakePulsora, browser: Browser, steps: Steps) -> None:
    """Every step until the revenue event is at Pulsora."""
    url = f"http://{environ['BIND']}"
    options = ("--api-key", STRIPE_KEY, "--pulsora-token", TOKEN, "--url", PUBLIC, "--no-wait")
    init = command("init", "--processor", "stripe", *options)
    ended = subprocess.run(init, cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    steps.add("pulsora-bridge init: endpoint created, secrets stored, checked")
    with serving(folder, environ, url):
        steps.add("pulsora-bridge serve: ready")
        reference = reference_of_a_click(browser, url)
        steps.add(f"a visitor clicks the Payment Link in Chromium: {reference}")
        send(url, settings_in(folder)["STRIPE_WEBHOOK_SECRET"], webhooks_of_a_sale(reference))
        steps.add("Stripe's webhooks of the sale: stored")
        until = time.monotonic() + PATIENCE_SECONDS
        while not pulsora.received and time.monotonic() < until:
            time.sleep(0.05)
        steps.add("the revenue event at Pulsora: 202")


def test_a_stranger_gets_from_nothing_to_an_attributed_sale(
    tmp_path: Path, httpserver: HTTPServer, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = Steps()
    with FakePulsora(TOKEN) as pulsora:
        environ = environment(pulsora.endpoint, FakeStripe().serve(httpserver), free_port())
        go_through(tmp_path, environ, pulsora, browser, steps)

    with capsys.disabled():
        print(steps.table())
    (request,) = pulsora.received
    (event,) = pulsora.accepted
    assert request.status == 202
    assert (event["event_type"], event["amount"], event["mrr_impact"]) == ("subscription", 49, 49)
    assert event["visitor_fingerprint"] == "fp_stranger"
    assert event["session_id"] == "2a7f6b1c-0d7e-4b52-9a44-0123456789ab"
    assert event["metadata"]["attribution"] == "checkout_session"
