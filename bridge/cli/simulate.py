"""`simulate`: signed webhooks of customer lifecycles, sent to a running bridge."""

from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bridge.cli.confirmation import confirm, yes_option
from bridge.cli.environment import dotenv_path, local_address
from bridge.cli.output import fields_of, json_option, print_json, print_table
from bridge.errors import BridgeError, UsageError
from bridge.formatting import quantity
from bridge.settings import partial
from bridge.settings.sources import CONFIG
from processors import processors
from processors.interface import Processor, SignatureError

if TYPE_CHECKING:
    from requests import Response

TIMEOUT_SECONDS = 10
STARTED_AGO = timedelta(days=120)  # longer than any scenario, so that all of it is in the past
TOLERANCE = timedelta(minutes=5)
DEFAULT_BIND = "127.0.0.1:8000"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One webhook and the response to it. `result`: `stored`, `duplicate` or the error message."""

    type: str
    event_id: str
    status: int
    result: str


@click.command(short_help="Send the signed webhooks of a customer lifecycle to a running bridge.")
@click.argument("processor", type=click.Choice(list(processors())))
@click.argument("scenario", required=False)
@click.option("--url", help="The bridge, or its webhook route. [default: the address in BIND, on this machine]")
@click.option("--source", help="The source of BRIDGE_CONFIG to send to; the processor's own by default.")
@click.option("--secret", help="The source's webhook secret, or @FILE that contains it. [default: from the settings]")
@click.option("--shuffle", is_flag=True, help="Send in random order.")
@click.option("--duplicate", is_flag=True, help="Send each webhook twice.")
@click.option("--tag", help="Part of all ids of this run; random by default.")
@click.option("--live", is_flag=True, help="Send as live traffic: the bridge sends its revenue to Pulsora.")
@yes_option
@click.option("--list", "list_them", is_flag=True, help="Only list the scenarios.")
@json_option
def simulate(
    processor: str, scenario: str | None, url: str | None, source: str | None, secret: str | None, shuffle: bool,
    duplicate: bool, tag: str | None, live: bool, yes: bool, list_them: bool, as_json: bool,
) -> None:  # fmt: skip
    """Send the signed webhooks of a SCENARIO of a PROCESSOR to a running bridge, and show its responses.

    They are test traffic, which the bridge does not forward to Pulsora unless FORWARD_TEST_EVENTS is set; with --live
    they look like real webhooks. Without a SCENARIO it lists them. Each run creates new customers, unless --tag
    repeats the tag of an earlier run.
    """
    chosen = processors()[processor]
    if list_them or scenario is None:
        _list(chosen, as_json)
        return
    if scenario not in chosen.scenarios:
        raise UsageError(f"{scenario}: no such scenario. Choose one of {', '.join(chosen.scenarios)}")
    key = _configured_secret(chosen, source) if secret is None else _secret(secret)
    url = _own_address(chosen) if url is None else url
    in_mode = _confirmed_live(url, yes=yes) if live else _as_test_traffic(chosen)
    start = datetime.now(UTC) - STARTED_AGO
    once = [in_mode(body) for body in chosen.scenarios[scenario].events(tag or secrets.token_hex(3), start)]
    bodies = once * (2 if duplicate else 1)
    if shuffle:
        random.shuffle(bodies)
    route = url if "/webhooks/" in url else f"{url.rstrip('/')}/webhooks/{source or processor}"
    sent = _send(chosen, bodies, route, key)
    _show(sent, route, as_json)
    if any(one.status != 200 for one in sent):
        raise click.exceptions.Exit(1)


def _confirmed_live(url: str, *, yes: bool) -> Callable[[bytes], bytes]:
    """The bodies as they are, once the operator has confirmed that revenue which nobody paid may be sent."""
    confirm(f"The bridge at {url} will send this revenue to its Pulsora project as if it were real.", yes=yes)
    return bytes


def _as_test_traffic(processor: Processor) -> Callable[[bytes], bytes]:
    if processor.as_test_traffic is None:
        raise UsageError(
            f"{processor.title}'s webhooks do not state whether they are test traffic; the bridge's settings decide. "
            "Add --live to send them"
        )
    return processor.as_test_traffic


def _own_address(processor: Processor) -> str:
    """Where `serve` with the same settings listens."""
    settings = partial(os.environ, dotenv_path(), processor.name)
    bind = DEFAULT_BIND if settings is None else settings.values.get("BIND", DEFAULT_BIND)
    if bind.startswith("unix:"):
        raise UsageError("--url: BIND is a Unix socket; give the address of the proxy in front of it")
    return f"http://{local_address(bind)}"


def _configured_secret(processor: Processor, source: str | None) -> str:
    """The secret that the bridge with these settings expects, so that none is left in a shell's history."""
    found = partial(os.environ, dotenv_path(), source or processor.name)
    if found is None or found.processor.name != processor.name:
        raise UsageError(f"--source: {source} is no {processor.title} source of BRIDGE_CONFIG")
    if processor.only_demo_signs:
        return processor.demo_secret
    if not found.secrets:
        named = ", or --source to name a source of BRIDGE_CONFIG" if CONFIG in found.values else ""
        raise UsageError(
            f"--secret: {processor.secret.name} is not set; give the secret that the bridge expects, or @FILE{named}"
        )
    return found.secrets[0]


def _secret(value: str) -> str:
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--secret: {value[1:]} cannot be read ({type(error).__name__})") from error


def _list(processor: Processor, as_json: bool) -> None:
    if as_json:
        print_json({one.name: one.summary for one in processor.scenarios.values()})
        return
    rows = [(one.name, one.summary) for one in processor.scenarios.values()]
    print_table(f"Scenarios of {processor.title}", ("scenario", "description"), rows, whole=("scenario",))


def _send(processor: Processor, bodies: Sequence[bytes], route: str, secret: str) -> list[Sent]:
    import requests  # 0.1 s, not needed to list the scenarios

    from processors.http_client import explain_network_error

    sent = []
    with requests.Session() as session:
        session.trust_env = urlsplit(route).hostname not in LOCAL_HOSTS  # no proxy for this machine
        for body in bodies:
            now = datetime.now(UTC)
            try:
                signed = processor.sign(body, secret, now)
                event = processor.verify(signed.body, signed.headers, [secret], now, TOLERANCE)
            except (ValueError, SignatureError) as error:
                raise UsageError(f"cannot sign for {processor.title}: {error}") from error
            try:
                response = session.post(route, data=signed.body, headers=dict(signed.headers), timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                reason = explain_network_error(error)
                raise BridgeError(f"{route} is unreachable: {reason}. Is the bridge running?") from error
            sent.append(Sent(type=event.type, event_id=event.id, status=response.status_code, result=_result(response)))
    return sent


def _show(sent: Sequence[Sent], route: str, as_json: bool) -> None:
    if as_json:
        print_json([fields_of(one) for one in sent])
        return
    rows = [(one.type, one.event_id, one.status, one.result) for one in sent]
    print_table(f"Sent to {route}", ("webhook", "id", "status", "response"), rows, right=("status",))
    results = Counter(f"{one.status} {one.result}" for one in sent)
    counts = ", ".join(f"{count} x {result}" for result, count in results.most_common())
    click.echo(f"{quantity(len(sent), 'webhook')}: {counts}")


def _result(response: Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return "not JSON. Is this URL the bridge's?"
    if response.status_code == 200:
        return "duplicate" if body.get("duplicate") else "stored"
    return str(body.get("message", "no message. Is this URL the bridge's?"))
