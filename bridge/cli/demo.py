"""`demo`: a complete bridge on this machine, signed webhooks in, revenue events out, no account needed."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import requests
from rich.console import Console

from bridge import log
from bridge.cli.output import console, print_json
from bridge.errors import BridgeError
from bridge.formatting import quantity
from bridge.sandbox import demo_report, merchant
from bridge.sandbox.demo_report import DUPLICATE, EXPECTED_PER_SOURCE, REJECTED, STORED, STYLES, DemoReport
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sandbox.service import DATABASE, local_session, running_service
from bridge.settings import load
from bridge.store import open_store
from bridge.web.admin.one_time_link import make_code
from processors import processors
from processors.interface import Processor, SignedWebhook

TOKEN = "sec_demo_not_a_real_token"  # obviously fake
ADMIN_TOKEN = "demo-admin-token"
SOURCES = ("stripe", "paddle")
SCENARIOS = ("lifecycle", "one-off")
STARTED_AGO = timedelta(days=75)  # longer than the scenarios, so that all of them are in the past
SETTLE_SECONDS = 1.5
TIMEOUT_SECONDS = 20
EXTRA_SECONDS = 1.0  # after the last expected event, so that a surplus one is seen


@click.command(short_help="Watch signed webhooks become revenue events. Needs no account and no settings.")
@click.option(
    "--keep",
    is_flag=True,
    help="Keep running until Ctrl-C, with a full console to look at, to send your own webhooks to it.",
)
@click.option(
    "--months",
    type=click.IntRange(1, len(merchant.JOINING)),
    default=len(merchant.JOINING),
    show_default=True,
    help="How many months of history --keep fills the console with.",
)
@click.option("--seed", default=7, show_default=True, help="The random order in which the webhooks are sent.")
@click.option("--json", "as_json", is_flag=True, help="Only the result, as JSON for programs.")
def demo(keep: bool, months: int, seed: int, as_json: bool) -> None:
    """Watch signed Stripe and Paddle webhooks become revenue events.

    Starts the real service on a free port of this machine, with a temporary database and a fake Pulsora that receives
    its events. Needs no account and no settings, ignores yours, and deletes everything at the end.
    """
    out = Console(quiet=True) if as_json else console()
    report = DemoReport()
    with (
        cleanup_on_signals(),
        tempfile.TemporaryDirectory(prefix="pulsora-bridge-") as folder,
        FakePulsora(TOKEN) as pulsora,
        _bridge(Path(folder), _settings(pulsora.endpoint), out, months if keep else 0) as url,
    ):
        out.print(f"A bridge runs at {url} and sends to a fake Pulsora.")
        out.print("Two simulated customers each for Stripe and Paddle, delivered out of order,")
        out.print("every third webhook twice, and one per processor with a forged signature.\n")
        for name in SOURCES:
            _post(processors()[name], url, random.Random(seed), report)
        _watch(pulsora, report, out, len(SOURCES) * EXPECTED_PER_SOURCE)
        problems = demo_report.differences(report, SOURCES)
        for line in ["", *demo_report.totals(report, SOURCES)]:
            out.print(line, soft_wrap=True)
        if as_json:
            print_json(demo_report.as_json(report, SOURCES, problems))
        if problems:
            raise BridgeError("The result differs from the expected one:\n  " + "\n  ".join(problems))
        out.print(demo_report.conclusion(report))
        if keep:
            _keep_running(url, pulsora, report, out)


@contextmanager
def _bridge(folder: Path, settings: Mapping[str, str], out: Console, months: int) -> Iterator[str]:
    """The running service, with the last months of a small merchant in its database."""
    if months:
        out.print(f"Filling the console with {quantity(months, 'month')} of a simulated merchant …")
        started = time.monotonic()
        own = load({**settings, "DATABASE_URL": f"sqlite:///{folder / DATABASE}"})
        log.configure(own.log_format, "warning")  # not a line for each of some hundred settled webhooks
        store = open_store(own.database_url)
        store.migrate()
        merchant.fill(store, own, datetime.now(UTC), joining=merchant.JOINING[-months:])
        store.close()
        out.print(f"Done in {time.monotonic() - started:.0f} s.\n")
    with running_service(folder, settings) as url:
        yield url


@contextmanager
def cleanup_on_signals() -> Iterator[None]:
    """Turns signals into exceptions, so that the demo stops its service and deletes its files.

    SIGINT is set too, because a shell starts background commands with SIGINT ignored.
    """

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _settings(endpoint: str) -> Mapping[str, str]:
    """All settings of the demo's service."""
    secrets = {processors()[name].secret.name: processors()[name].demo_secret for name in SOURCES}
    return secrets | {
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PULSORA_ENDPOINT": endpoint,
        "SETTLE_SECONDS": str(SETTLE_SECONDS),
        "ADMIN_TOKEN": ADMIN_TOKEN,
    }


# ---- Webhooks and revenue events -------------------------------------------------------------------------------


def _post(processor: Processor, url: str, chance: random.Random, report: DemoReport) -> None:
    """Posts the scenarios' webhooks in random order, every third twice, and one with a forged signature."""
    start = datetime.now(UTC) - STARTED_AGO
    once = [
        body
        for number, scenario in enumerate(SCENARIOS, start=1)
        for body in processor.scenarios[scenario].events(f"demo{number}", start)
    ]
    duplicates = once[::3]
    bodies = once + duplicates
    chance.shuffle(bodies)
    with local_session() as session:
        for body in bodies:
            signed = processor.sign(body, processor.demo_secret, datetime.now(UTC))
            report.responses[_response(session, f"{url}/webhooks/{processor.name}", signed)] += 1
        forged = processor.sign(bodies[0], processor.demo_secret + "x", datetime.now(UTC))
        report.responses[_response(session, f"{url}/webhooks/{processor.name}", forged)] += 1
    report.expected_responses.update({STORED: len(once), DUPLICATE: len(duplicates), REJECTED: 1})


def _response(session: requests.Session, url: str, signed: SignedWebhook) -> str:
    response = session.post(url, data=signed.body, headers=dict(signed.headers), timeout=10)
    body = response.json()
    if response.status_code != 200:
        return f"{REJECTED} ({body['error']})"
    return DUPLICATE if body["duplicate"] else STORED


def _watch(pulsora: FakePulsora, report: DemoReport, out: Console, expected: int) -> None:
    """Shows revenue events as they arrive, until the expected number is there and EXTRA_SECONDS have passed."""
    out.print(demo_report.HEADER, style="bold", soft_wrap=True)
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        if _show_new(pulsora, report, out) and len(report.events) >= expected:
            until = min(until, time.monotonic() + EXTRA_SECONDS)
        time.sleep(0.05)


def _show_new(pulsora: FakePulsora, report: DemoReport, out: Console) -> bool:
    """Shows the revenue events that arrived since the last call; returns whether there were any."""
    new = pulsora.accepted[len(report.events) :]
    for data in new:
        report.events.append(data)
        *_, mrr = demo_report.running_mrr(report.events_of(str(data["payment_processor"])))
        out.print(demo_report.row(data, mrr), style=STYLES.get(str(data["event_type"])), soft_wrap=True)
    return bool(new)


def _keep_running(url: str, pulsora: FakePulsora, report: DemoReport, out: Console) -> None:
    """Shows further revenue events until Ctrl-C."""
    link = f"{url}/admin/enter?code={make_code(ADMIN_TOKEN, datetime.now(UTC))}"
    out.print("\nThe console, signed in; the link works once, within 10 minutes:")
    out.print(f"  {link}", soft_wrap=True)
    out.print(f"\nRunning until Ctrl-C. Further revenue events are shown below.\n  {url}/admin/  token {ADMIN_TOKEN}")
    for name in SOURCES:
        secret = processors()[name].demo_secret
        out.print(f"  {url}/webhooks/{name}  secret {secret}", soft_wrap=True)
    example = (
        f"pulsora-bridge simulate stripe upgrade --url {url} --secret {processors()['stripe'].demo_secret} --live --yes"
    )
    out.print(f"Try, in another terminal:\n  {example}\n", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        while True:
            _show_new(pulsora, report, out)
            time.sleep(0.1)
    out.print("Stopped.")
