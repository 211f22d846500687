"""The demo: a bridge of one's own on this machine, signed webhooks in, revenue events out, no account needed."""

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

from bridge.sandbox import service
from bridge.sandbox import demo_report as tallies
from bridge.cli.output import console, tell
from bridge.sandbox.demo_report import EVENTS_EACH, REFUSED, SEEN, STORED, STYLES, Tally
from bridge.errors import BridgeError
from bridge.sandbox.fake_pulsora import FakePulsora
from processors import processors
from processors.interface import Processor, SignedWebhook

TOKEN = "sec_demo_not_a_real_token"  # obviously fake
ADMIN = "demo-admin-token"
SHOWN = ("stripe", "paddle")
SCENARIOS = ("lifecycle", "one-off")
BEGAN = timedelta(days=75)  # so long ago that the whole life has happened by now
SETTLE_SECONDS = 1.5
PATIENCE_SECONDS = 20
ENOUGH_SECONDS = 1.0  # after the last that was due, for one too many to show itself


@click.command(short_help="Watch signed webhooks become revenue events; no account, no settings.")
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, to point your own webhooks at it.")
@click.option("--seed", default=7, show_default=True, help="In which disorder the webhooks arrive.")
@click.option("--json", "as_json", is_flag=True, help="For programs: only the result, as JSON.")
def demo(keep: bool, seed: int, as_json: bool) -> None:
    """Watch signed Stripe and Paddle webhooks become revenue events.

    Starts the real service on a free port of this machine, with a database that is thrown away and a stand-in for
    Pulsora behind it. Needs no account and no settings, ignores yours, and leaves nothing behind.
    """
    out = Console(quiet=True) if as_json else console()
    tally = Tally()
    with (
        _ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="pulsora-bridge-") as folder,
        FakePulsora(TOKEN) as ingest,
        service.running(Path(folder), _settings(ingest.endpoint)) as url,
    ):
        out.print(f"A bridge runs at {url}, with a stand-in for Pulsora behind it.")
        out.print("Stripe and Paddle tell it of two customers each, in signed webhooks: out of")
        out.print("order, every third one twice, and one of each with a forged signature.\n")
        for name in SHOWN:
            _post(processors()[name], url, random.Random(seed), tally)
        _watch(ingest, tally, out, len(SHOWN) * EVENTS_EACH)
        problems = tallies.broken_promises(tally, SHOWN)
        for line in ["", *tallies.totals(tally, SHOWN)]:
            out.print(line, soft_wrap=True)
        if as_json:
            tell(tallies.summary(tally, SHOWN, problems))
        if problems:
            raise BridgeError("This is not what should have come out:\n  " + "\n  ".join(problems))
        out.print("Each is what the lives promise, none is missing, and none came twice.")
        if keep:
            _stay(url, ingest, tally, out)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A demo that is told to stop, by whatever signal, tidies up first; also where a shell had SIGINT ignored."""

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
    """All that the bridge is told."""
    secrets = {processors()[name].secret.name: processors()[name].demo_secret for name in SHOWN}
    return secrets | {
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PULSORA_ENDPOINT": endpoint,
        "SETTLE_SECONDS": str(SETTLE_SECONDS),
        "ADMIN_TOKEN": ADMIN,
    }


# ---- What is sent and shown ------------------------------------------------------------------------------------


def _post(processor: Processor, url: str, chance: random.Random, tally: Tally) -> None:
    """Posts the scenarios' webhooks in disorder, every third twice, one forged."""
    start = datetime.now(UTC) - BEGAN
    once = [
        body
        for number, scenario in enumerate(SCENARIOS, start=1)
        for body in processor.scenarios[scenario].events(f"demo{number}", start)
    ]
    again = once[::3]
    bodies = once + again
    chance.shuffle(bodies)
    with service.session() as session:
        for body in bodies:
            signed = processor.sign(body, processor.demo_secret, datetime.now(UTC))
            tally.answers[_answer(session, f"{url}/webhooks/{processor.name}", signed)] += 1
        forged = processor.sign(bodies[0], processor.demo_secret + "x", datetime.now(UTC))
        tally.answers[_answer(session, f"{url}/webhooks/{processor.name}", forged)] += 1
    tally.meant.update({STORED: len(once), SEEN: len(again), REFUSED: 1})


def _answer(session: requests.Session, url: str, signed: SignedWebhook) -> str:
    answer = session.post(url, data=signed.body, headers=dict(signed.headers), timeout=10)
    told = answer.json()
    if answer.status_code != 200:
        return f"{REFUSED} ({told['error']})"
    return SEEN if told["duplicate"] else STORED


def _watch(ingest: FakePulsora, tally: Tally, out: Console, due: int) -> None:
    """Shows revenue events as they arrive, until all that are due are there, and a moment longer."""
    out.print(tallies.HEADER, style="bold", soft_wrap=True)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if _show_new(ingest, tally, out) and len(tally.events) >= due:
            until = min(until, time.monotonic() + ENOUGH_SECONDS)
        time.sleep(0.05)


def _show_new(ingest: FakePulsora, tally: Tally, out: Console) -> bool:
    """Shows what has arrived since the last look; whether there was anything."""
    fresh = ingest.accepted[len(tally.events) :]
    for data in fresh:
        tally.events.append(data)
        *_, level = tallies.levels(tally.of(str(data["payment_processor"])))
        out.print(tallies.row(data, level), style=STYLES.get(str(data["event_type"])), soft_wrap=True)
    return bool(fresh)


def _stay(url: str, ingest: FakePulsora, tally: Tally, out: Console) -> None:
    """Goes on until Ctrl-C, and shows whatever else arrives."""
    out.print(f"\nIt goes on until you press Ctrl-C. What else arrives is shown below.\n  {url}/admin/  token {ADMIN}")
    for name in SHOWN:
        secret = processors()[name].demo_secret
        out.print(f"  {url}/webhooks/{name}  secret {secret}", soft_wrap=True)
    example = f"pulsora-bridge simulate stripe upgrade --url {url} --secret {processors()['stripe'].demo_secret}"
    out.print(f"Try, in another terminal:\n  {example}\n", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        while True:
            _show_new(ingest, tally, out)
            time.sleep(0.1)
    out.print("Stopped.")
