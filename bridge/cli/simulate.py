"""Simulating: signed webhooks of whole life cycles, to any bridge."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta

import click
import requests

from bridge.cli.here import show
from bridge.errors import BridgeError, WrongUsage
from processors import processors

TIMEOUT_SECONDS = 10


@click.command()
@click.argument("processor", type=click.Choice(list(processors())))
@click.argument("scenario", required=False)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The bridge, or its webhook route.")
@click.option("--secret", help="The webhook secret that the bridge expects.")
@click.option("--shuffle", is_flag=True, help="Out of order.")
@click.option("--duplicate", is_flag=True, help="Each webhook twice.")
@click.option("--tag", help="Makes the ids of this run unique; random when left out.")
@click.option("--list", "list_them", is_flag=True, help="Only list the scenarios.")
def simulate(
    processor: str, scenario: str | None, url: str, secret: str | None, shuffle: bool, duplicate: bool,
    tag: str | None, list_them: bool,
) -> None:  # fmt: skip
    """Send the signed webhooks of a SCENARIO of a PROCESSOR to a running bridge."""
    found = processors()[processor]
    if list_them or scenario is None:
        rows = [(one.name, one.summary) for one in found.scenarios.values()]
        show(f"Scenarios of {found.title}", ("scenario", "what happens"), rows)
        return
    if scenario not in found.scenarios:
        raise WrongUsage(f"{scenario}: no such scenario. There are {', '.join(found.scenarios)}")
    if secret is None:
        raise WrongUsage(f"--secret: the bridge's {found.secret.name} is needed to sign")
    start = datetime.now(UTC) - timedelta(days=120)
    bodies = list(found.scenarios[scenario].events(tag or secrets.token_hex(3), start)) * (2 if duplicate else 1)
    if shuffle:
        random.shuffle(bodies)  # any order will do
    route = url if "/webhooks/" in url else f"{url.rstrip('/')}/webhooks/{processor}"
    answers: Counter[str] = Counter()
    with requests.Session() as session:
        for body in bodies:
            signed = found.sign(body, secret, datetime.now(UTC))
            try:
                answer = session.post(route, data=signed.body, headers=dict(signed.headers), timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                raise BridgeError(
                    f"{route}: cannot be reached ({type(error).__name__}). Is the bridge running?"
                ) from error
            answers[f"{answer.status_code} {_short(answer)}"] += 1
    show(f"{len(bodies)} webhooks sent to {route}", ("answer", "times"), answers.most_common(), right=("times",))
    if any(not told.startswith("200") for told in answers):
        raise click.exceptions.Exit(1)


def _short(answer: requests.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return "(no JSON: is this the bridge?)"
    if answer.status_code == 200:
        return "seen before" if told.get("duplicate") else "stored"
    return str(told.get("message", ""))


COMMANDS = (simulate,)
