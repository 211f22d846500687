"""Simulating: signed webhooks of whole life cycles, to any bridge."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
import requests

from bridge.cli.output import as_json, counted, plain, show, tell
from bridge.cli.connectivity import cause
from bridge.errors import BridgeError, WrongUsage
from processors import processors
from processors.interface import Processor, SignatureError

TIMEOUT_SECONDS = 10
BEGAN = timedelta(days=120)  # so long ago that the whole life has happened by now
TOLERANCE = timedelta(minutes=5)
HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One webhook that was sent, and the answer."""

    type: str
    event_id: str
    status: int
    answer: str


@click.command(short_help="Send the signed webhooks of a life cycle to a running bridge.")
@click.argument("processor", type=click.Choice(list(processors())))
@click.argument("scenario", required=False)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The bridge, or its webhook route.")
@click.option("--secret", help="The webhook secret that the bridge expects, or @FILE that holds it.")
@click.option("--shuffle", is_flag=True, help="Out of order.")
@click.option("--duplicate", is_flag=True, help="Each webhook twice.")
@click.option("--tag", help="Makes the ids of this run unique; random when left out.")
@click.option("--list", "list_them", is_flag=True, help="Only list the scenarios.")
@as_json
def simulate(
    processor: str, scenario: str | None, url: str, secret: str | None, shuffle: bool, duplicate: bool,
    tag: str | None, list_them: bool, as_json: bool,
) -> None:  # fmt: skip
    """Send the signed webhooks of a SCENARIO of a PROCESSOR to a running bridge, and show its answers.

    Without a SCENARIO it lists those that there are. Each run makes new customers, unless a --tag names old ones.
    """
    found = processors()[processor]
    if list_them or scenario is None:
        _list(found, as_json)
        return
    if scenario not in found.scenarios:
        raise WrongUsage(f"{scenario}: no such scenario. There are {', '.join(found.scenarios)}")
    if secret is None:
        raise WrongUsage(f"--secret: the bridge's {found.secret.name} is needed to sign")
    start = datetime.now(UTC) - BEGAN
    bodies = list(found.scenarios[scenario].events(tag or secrets.token_hex(3), start)) * (2 if duplicate else 1)
    if shuffle:
        random.shuffle(bodies)  # any order will do
    route = url if "/webhooks/" in url else f"{url.rstrip('/')}/webhooks/{processor}"
    sent = _send(found, bodies, route, _secret(secret))
    _show(sent, route, as_json)
    if any(one.status != 200 for one in sent):
        raise click.exceptions.Exit(1)


def _secret(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--secret: {given[1:]} cannot be read ({type(error).__name__})") from error


def _list(processor: Processor, as_json: bool) -> None:
    if as_json:
        tell({one.name: one.summary for one in processor.scenarios.values()})
        return
    rows = [(one.name, one.summary) for one in processor.scenarios.values()]
    show(f"Scenarios of {processor.title}", ("scenario", "what happens"), rows, whole=("scenario",))


def _send(processor: Processor, bodies: Sequence[bytes], route: str, secret: str) -> list[Sent]:
    sent = []
    with requests.Session() as session:
        session.trust_env = urlsplit(route).hostname not in HERE
        for body in bodies:
            now = datetime.now(UTC)
            try:
                signed = processor.sign(body, secret, now)
                event = processor.verify(signed.body, signed.headers, [secret], now, TOLERANCE)
            except (ValueError, SignatureError) as error:
                raise WrongUsage(f"--secret: cannot sign for {processor.title}: {error}") from error
            try:
                answer = session.post(route, data=signed.body, headers=dict(signed.headers), timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                raise BridgeError(f"{route} cannot be reached: {cause(error)}. Does the bridge run?") from error
            sent.append(Sent(type=event.type, event_id=event.id, status=answer.status_code, answer=_told(answer)))
    return sent


def _show(sent: Sequence[Sent], route: str, as_json: bool) -> None:
    if as_json:
        tell([plain(one) for one in sent])
        return
    rows = [(one.type, one.event_id, one.status, one.answer) for one in sent]
    show(f"Sent to {route}", ("webhook", "event", "status", "answer"), rows, right=("status",))
    answers = Counter(f"{one.status} {one.answer}" for one in sent)
    click.echo(
        f"{counted(len(sent), 'webhook')}: " + ", ".join(f"{count} x {told}" for told, count in answers.most_common())
    )


def _told(answer: requests.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return "no JSON: is this the bridge?"
    if answer.status_code == 200:
        return "seen before" if told.get("duplicate") else "stored"
    return str(told.get("message", ""))
