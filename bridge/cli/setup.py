"""Setting up: check, setup, import, reconcile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import click
import requests
from rich.progress import Progress

from bridge.cli.here import as_json, console, opened, plain, settings, show, tell
from bridge.errors import BridgeError, WrongUsage
from bridge.settings import Settings, Source
from bridge.store import Store, leases, open_store
from bridge.store.inbox import Arrival
from bridge.worker import importing
from bridge.worker.hydrate import connect
from processors import processors
from processors.base import ApiError
from processors.reading import first, ident, instant, parse, text

TIMEOUT_SECONDS = 10
SKEW_SECONDS = 30
SILENT_SECONDS = 60


class Grade(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it stands, and how to mend it."""

    about: str
    grade: Grade
    text: str


@click.command()
@as_json
def check(as_json: bool) -> None:
    """Look over settings, database, endpoint and clock, and say how to mend what is wrong."""
    found = settings()
    findings = [*_sources(found), *_database(found), *_endpoints(found), *_doors(found)]
    if as_json:
        tell([plain(one) for one in findings])
    else:
        show("Check", ("", "what", "how it stands"), [(one.grade, one.about, one.text) for one in findings])
    if any(one.grade is Grade.PROBLEM for one in findings):
        raise click.exceptions.Exit(1)


def _sources(found: Settings) -> Iterator[Finding]:
    for source in found.sources.values():
        count = len(source.secrets)
        key = "API key set" if source.api_key else "no API key: what webhooks leave out is estimated and marked"
        told = f"webhooks at /webhooks/{source.name}, {count} secret{'s' if count > 1 else ''}, {key}"
        yield Finding(about=f"source {source.name}", grade=Grade.OK, text=told)
        if source.dry_run:
            yield Finding(
                about=f"source {source.name}", grade=Grade.WARNING, text="DRY_RUN: nothing is sent to Pulsora"
            )


def _database(found: Settings) -> Iterator[Finding]:
    store = open_store(found.database_url)
    try:
        fits = store.schema_fits()
        about = ", ".join(f"{name} {value}" for name, value in store.describe().items())
        yield Finding(about="database", grade=Grade.OK, text=about)
        if not fits:
            yield Finding(about="schema", grade=Grade.PROBLEM, text="does not fit. Run: pulsora-bridge migrate")
            return
        yield Finding(about="schema", grade=Grade.OK, text="is this program's")
        yield _worker(store)
    except BridgeError as error:
        yield Finding(about="database", grade=Grade.PROBLEM, text=f"{error}. Check DATABASE_URL and the disk")
    finally:
        store.close()


def _worker(store: Store) -> Finding:
    with store.reading() as tx:
        seen = max(leases.beats(tx).values(), default=None)
    if seen is None:
        return Finding(about="worker", grade=Grade.WARNING, text="none has run yet. Start: pulsora-bridge serve")
    age = (datetime.now(UTC) - seen).total_seconds()
    if age > SILENT_SECONDS:
        text_ = f"last seen {age:.0f} s ago. Is it running? Start: pulsora-bridge serve (or worker)"
        return Finding(about="worker", grade=Grade.WARNING, text=text_)
    return Finding(about="worker", grade=Grade.OK, text=f"seen {age:.0f} s ago")


def _endpoints(found: Settings) -> Iterator[Finding]:
    """Asks each endpoint for nothing (OPTIONS, no token, no revenue), only to see that it can be reached."""
    for endpoint in sorted({source.endpoint for source in found.sources.values() if not source.dry_run}):
        began = datetime.now(UTC)
        try:
            answer = requests.options(endpoint, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            told = f"cannot be reached ({type(error).__name__}). Check PULSORA_ENDPOINT, the network and any proxy"
            yield Finding(about=endpoint, grade=Grade.PROBLEM, text=told)
            continue
        yield Finding(
            about=endpoint, grade=Grade.OK, text=f"answers (OPTIONS: {answer.status_code}); no revenue was sent"
        )
        yield from _clock(answer.headers.get("Date"), began)


def _clock(date: str | None, now: datetime) -> Iterator[Finding]:
    try:
        skew = abs((parsedate_to_datetime(date or "") - now).total_seconds())
    except (TypeError, ValueError):
        yield Finding(about="clock", grade=Grade.WARNING, text="could not be compared: the endpoint sends no date")
        return
    if skew > SKEW_SECONDS:
        told = f"differs by {skew:.0f} s from the endpoint's. Signatures would look stale: set up NTP"
        yield Finding(about="clock", grade=Grade.PROBLEM, text=told)
        return
    yield Finding(about="clock", grade=Grade.OK, text=f"within {max(skew, 1):.0f} s of the endpoint's")


def _doors(found: Settings) -> Iterator[Finding]:
    if found.admin_token is None:
        told = "not set: /admin and POST /attributions are closed. Set ADMIN_TOKEN to open them"
        yield Finding(about="admin token", grade=Grade.WARNING, text=told)
    else:
        yield Finding(about="admin token", grade=Grade.OK, text="set")


@click.command("setup")
@click.argument("processor", type=click.Choice(list(processors())))
@click.option(
    "--url", default="https://hooks.example.com", show_default=True, help="Where the bridge is reached from outside."
)
def setup_processor(processor: str, url: str) -> None:
    """What to enter at a PROCESSOR so that its webhooks arrive, and which events to select."""
    found = processors()[processor]
    click.echo(f"1. At {found.title}, add a webhook endpoint (destination) with this address:")
    click.echo(f"     {url.rstrip('/')}/webhooks/{found.name}")
    click.echo("2. Select these events:")
    for event in found.events:
        click.echo(f"     {event}")
    click.echo(f"3. Put the secret that it shows into {found.secret.name}, for example {found.secret.example}")
    click.echo("4. Look whether everything stands: pulsora-bridge check")


@click.command("import")
@click.option("--source", help="The source; may be left out when there is only one.")
@click.option("--livemode/--test", default=True, help="Into the ledger of live or of test money.")
def import_subscriptions(source: str | None, livemode: bool) -> None:
    """Take the subscriptions that already run as baselines, through the processor's API. Nothing is sent."""
    found = settings()
    chosen = _chosen(found, source)
    api = connect(chosen)
    if api is None:
        raise WrongUsage(f"source {chosen.name} has no API key, or its processor has no API to read")
    count = 0
    try:
        with opened(found) as store, Progress(console=console()) as progress:
            task = progress.add_task("subscriptions", total=None)
            for state in api.subscriptions():
                count += store.accept(importing.arrival(chosen, state, livemode=livemode, now=datetime.now(UTC)))
                progress.update(task, advance=1)
    except ApiError as error:
        raise BridgeError(
            f"{error}. {count} subscriptions were taken; run it again, they are not taken twice"
        ) from error
    click.echo(f"{count} subscriptions are taken as baselines; the worker settles them, and sends nothing for them.")


@click.command()
@click.option("--source", help="The source; may be left out when there is only one.")
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 90), help="How far back to look.")
def reconcile(source: str | None, days: int) -> None:
    """Fetch the processor's own list of events and store those that never arrived."""
    found = settings()
    chosen = _chosen(found, source)
    api = connect(chosen)
    if api is None:
        raise WrongUsage(f"source {chosen.name} has no API key, or its processor has no API to read")
    seen = missed = 0
    try:
        with opened(found) as store:
            for body in api.events(datetime.now(UTC) - timedelta(days=days)):
                seen += 1
                missed += store.accept(_arrival(chosen, body))
    except ApiError as error:
        raise BridgeError(str(error)) from error
    click.echo(f"{seen} events of the last {days} days; {missed} had not arrived and are stored now.")


def _arrival(source: Source, body: bytes) -> Arrival:
    """An event that the API listed, as its webhook would have stored it."""
    event = parse(body)
    now = datetime.now(UTC)
    sandbox = source.options.get("PADDLE_ENVIRONMENT") == "sandbox"
    return Arrival(
        source=source.name,
        account=ident(event.get("account")),
        livemode=event.get("livemode") is not False and not sandbox,
        event_id=text(first(event, "event_id", "id"), 255) or "",
        type=text(first(event, "event_type", "type"), 255) or "",
        created_at=instant(first(event, "occurred_at", "created")) or now,
        received_at=now,
        body=body,
    )


def _chosen(found: Settings, source: str | None) -> Source:
    if source is None and len(found.sources) == 1:
        return next(iter(found.sources.values()))
    if source is None or source not in found.sources:
        raise WrongUsage(f"--source: name one of {', '.join(sorted(found.sources))}")
    return found.sources[source]


COMMANDS = (check, setup_processor, import_subscriptions, reconcile)
