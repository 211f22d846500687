"""The demo: a bridge of one's own on this machine, signed webhooks in, revenue events out, no account needed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import requests
from rich.console import Console

from bridge.cli.here import console
from bridge.errors import BridgeError
from bridge.sender.standin import StandIn
from processors import processors
from processors.base import Processor

TOKEN = "sec_demo_not_a_real_token"  # obviously fake
ADMIN = "demo-admin-token"
SHOWN = ("stripe", "paddle")
SCENARIOS = ("lifecycle", "one-off")
SETTLE_SECONDS = 2
PATIENCE_SECONDS = 60
QUIET_SECONDS = 4

# What the scenarios come to, worked out by hand: signup 49.00, renewal 49.00, upgrade to 99.00 with a proration,
# downgrade to 19.00, 20.00 given back, an extra of 29.00, churn of 19.00; and a purchase of 29.00 by somebody else.
TYPES = {"subscription": 1, "renewal": 1, "upgrade": 1, "downgrade": 1, "refund": 1, "purchase": 2, "churn": 1}


@dataclass(slots=True)
class Tally:
    """What was sent and what came out."""

    answers: Counter[str] = field(default_factory=Counter)
    types: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    mrr: dict[str, list[Decimal]] = field(default_factory=lambda: defaultdict(list))
    revenue: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, data: Mapping[str, Any]) -> None:
        """Counts one revenue event."""
        source = str(data["payment_processor"])
        self.types[source][str(data["event_type"])] += 1
        self.mrr[source].append(Decimal(str(data.get("mrr_impact", 0))))
        self.revenue[source] += Decimal(str(data["amount"]))


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running, to point your own webhooks at it.")
@click.option("--seed", default=7, show_default=True, help="In which disorder the webhooks arrive.")
@click.option("--json", "as_json", is_flag=True, help="For programs: only the totals, as JSON.")
def demo(keep: bool, seed: int, as_json: bool) -> None:
    """Watch signed Stripe and Paddle webhooks become Pulsora events. No account, no settings, nothing to clean up."""
    out = Console(quiet=True) if as_json else console()
    tally = Tally()
    with (
        tempfile.TemporaryDirectory(prefix="pulsora-bridge-") as folder,
        StandIn(TOKEN) as ingest,
        _bridge(Path(folder), ingest.endpoint) as url,
    ):
        out.print(f"A bridge of your own runs at {url}, with a stand-in for Pulsora's ingest behind it.")
        out.print("It is sent two customers' lives by Stripe and two by Paddle: out of order,")
        out.print("every third webhook twice, and one of each with a forged signature.\n")
        for name in SHOWN:
            _post(processors()[name], url, random.Random(seed), tally)
        _watch(ingest, tally, out)
        _totals(tally, out)
        if as_json:
            click.echo(json.dumps(_summary(tally), indent=2))
        if keep:
            _stay(url, out)
    wrong = [name for name in SHOWN if dict(tally.types[name]) != TYPES or sum(tally.mrr[name]) != 0]
    if wrong:
        raise BridgeError(f"what came out for {', '.join(wrong)} is not what the scenarios come to")


@contextmanager
def _bridge(folder: Path, endpoint: str) -> Iterator[str]:
    """The real `serve` in a process of its own, with a database in `folder`; its address."""
    port = _free_port()
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "SYSTEMROOT", "PYTHONPATH")
    }
    environ |= {processors()[name].secret.name: processors()[name].demo_secret for name in SHOWN}
    environ |= {
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PULSORA_ENDPOINT": endpoint,
        "DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        "SETTLE_SECONDS": str(SETTLE_SECONDS),
        "ADMIN_TOKEN": ADMIN,
        "BIND": f"127.0.0.1:{port}",
        "LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    with (folder / "bridge.log").open("w") as log:
        process = subprocess.Popen(  # this program itself
            [sys.executable, "-m", "bridge.cli", "serve"], cwd=folder, env=environ, stdout=log, stderr=log
        )
        try:
            _await(f"http://127.0.0.1:{port}/readyz", process, folder / "bridge.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _post(processor: Processor, url: str, chance: random.Random, tally: Tally) -> None:
    """Posts the scenarios' webhooks in disorder, every third twice, one forged."""
    start = datetime.now(UTC) - timedelta(days=75)
    bodies = [
        body
        for number, scenario in enumerate(SCENARIOS, start=1)
        for body in processor.scenarios[scenario].events(f"demo{number}", start)
    ]
    bodies += bodies[::3]
    chance.shuffle(bodies)
    with requests.Session() as session:
        for body in bodies:
            signed = processor.sign(body, processor.demo_secret, datetime.now(UTC))
            _count(session, f"{url}/webhooks/{processor.name}", signed.body, signed.headers, tally)
        forged = processor.sign(bodies[0], processor.demo_secret + "x", datetime.now(UTC))
        _count(session, f"{url}/webhooks/{processor.name}", forged.body, forged.headers, tally)


def _count(session: requests.Session, url: str, body: bytes, headers: Mapping[str, str], tally: Tally) -> None:
    answer = session.post(url, data=body, headers=dict(headers), timeout=10)
    told = answer.json()
    if answer.status_code != 200:
        tally.answers[f"refused ({told['error']})"] += 1
    else:
        tally.answers["seen before" if told["duplicate"] else "stored"] += 1


def _watch(ingest: StandIn, tally: Tally, out: Console) -> None:
    """Shows revenue events as they arrive, until all are there or nothing comes any more."""
    out.print(
        f"{'processor':<10}{'event_type':<14}{'amount':>10}{'mrr_impact':>12}  "
        f"{'customer':<12}{'plan':<9}{'visit':<12}attributed by",
        style="bold",
    )
    expected = sum(TYPES.values()) * len(SHOWN)
    shown, began, last = 0, time.monotonic(), time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        events = ingest.accepted
        for data in events[shown:]:
            tally.add(data)
            out.print(_row(data))
            last = time.monotonic()
        shown = len(events)
        if shown >= expected and time.monotonic() - last > 1:
            return
        if shown and time.monotonic() - last > QUIET_SECONDS + SETTLE_SECONDS:
            return
        time.sleep(0.1)


def _row(data: Mapping[str, Any]) -> str:
    metadata = data.get("metadata", {})
    mrr = f"{Decimal(str(data['mrr_impact'])):+.2f}" if "mrr_impact" in data else ""
    return (
        f"{data['payment_processor']:<10}{data['event_type']:<14}{Decimal(str(data['amount'])):>10.2f}{mrr:>12}  "
        f"{data['customer_id']:<12}{metadata.get('plan', ''):<9}{data['visitor_fingerprint']:<12}"
        f"{str(metadata.get('attribution', '')).replace('_', ' ')}"
    )


def _totals(tally: Tally, out: Console) -> None:
    out.print()
    for source in SHOWN:
        reached = max(_running(tally.mrr[source]), default=Decimal(0))
        now = sum(tally.mrr[source], Decimal(0))
        out.print(
            f"{source:<8} revenue {tally.revenue[source]:>8.2f} USD, "
            f"MRR rose to {reached:.2f} and is {now:.2f} after churn"
        )
    out.print("webhooks " + ", ".join(f"{count} {told}" for told, count in sorted(tally.answers.items())))


def _running(steps: Sequence[Decimal]) -> Iterator[Decimal]:
    total = Decimal(0)
    for step in steps:
        total += step
        yield total


def _summary(tally: Tally) -> Mapping[str, object]:
    return {
        "webhooks": dict(tally.answers),
        "revenue": {name: str(amount) for name, amount in tally.revenue.items()},
        "mrr": {name: str(sum(steps, Decimal(0))) for name, steps in tally.mrr.items()},
        "events": {name: dict(types) for name, types in tally.types.items()},
    }


def _stay(url: str, out: Console) -> None:
    out.print(f"\nIt goes on until you press Ctrl-C. Dashboard: {url}/admin/ with the token {ADMIN}")
    for name in SHOWN:
        out.print(f"  pulsora-bridge simulate {name} upgrade --url {url} --secret {processors()[name].demo_secret}")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        out.print("Stopped.")


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the bridge is ready. Raises BridgeError with the end of its log when it is not."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise BridgeError("the bridge did not start:\n" + log.read_text()[-3000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMANDS = (demo,)
