"""Setting up: what to enter at a processor, the subscriptions that already run, and what never arrived."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from bridge.cli.output import as_json, chosen, counted, opened, progress, settings, tell
from bridge.errors import BridgeError, WrongUsage
from bridge.settings import Source
from bridge.store import Store
from bridge.store.inbox import Arrival
from bridge.worker import importing
from bridge.worker.hydrate import connect
from processors import processors
from processors.facts import Stage
from processors.interface import Api, ApiError
from processors.payload import first, ident, instant, parse, text

of_source = click.option("--source", help="The source; may be left out when there is only one.")


@click.command("setup", short_help="What to enter at a processor, and which events to select.")
@click.argument("processor", type=click.Choice(list(processors())))
@click.option(
    "--url", default="https://hooks.example.com", show_default=True, help="Where the bridge is reached from outside."
)
@as_json
def setup_processor(processor: str, url: str, as_json: bool) -> None:
    """What to click at a PROCESSOR so that its webhooks arrive, and which events to select."""
    found = processors()[processor]
    route = f"{url.rstrip('/')}/webhooks/{found.name}"
    if as_json:
        tell({"url": route, "events": found.events, "setting": found.secret.name})
        return
    steps = found.setup or ("Add a webhook endpoint with the address {url}, and select these events:",)
    for number, step in enumerate(steps, start=1):
        click.echo(f"{number}. {step.format(url=route)}")
    for event in found.events:
        click.echo(f"     {event}")
    shown = f"{found.secret.name}={found.secret.example}"
    click.echo(f"{len(steps) + 1}. Put what it shows into your settings: {shown}")
    click.echo(f"{len(steps) + 2}. See whether everything stands: pulsora-bridge check")


@click.command("import", short_help="Take the subscriptions that already run as baselines.")
@of_source
@click.option("--send", is_flag=True, help="Tell each to Pulsora too, as a subscription that begins today.")
@click.option("--test", is_flag=True, help="Into the ledger of test money: the API key is one of test mode.")
def import_subscriptions(source: str | None, send: bool, test: bool) -> None:
    """Take the subscriptions that already run as baselines, through the processor's API.

    Nothing is sent for them unless --send is given: their next renewal is a renewal, their end a churn of their MRR.
    Running it again takes nothing twice.
    """
    found = settings()
    of = chosen(found.sources, source)
    api = _api(of)
    count = new = 0
    try:
        with opened(found) as store, progress() as bar:
            task = bar.add_task("subscriptions", total=None)
            for state in api.subscriptions():
                told = replace(state, stage=Stage.CREATED) if send else state
                new += store.accept(importing.arrival(of, told, livemode=not test, now=datetime.now(UTC)))
                count += 1
                bar.update(task, completed=count)
    except ApiError as error:
        raise BridgeError(
            f"{error}. {counted(count, 'subscription')} taken; run it again, none is taken twice"
        ) from error
    becomes = "a subscription that begins today" if send else "a baseline, of which nothing is sent"
    click.echo(f"{counted(count, 'subscription')} at {of.name}, {new:,} new here; the worker makes each {becomes}.")


@click.command(short_help="Ask the processor what has happened, and store what never arrived.")
@of_source
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 90), help="How far back to look.")
def reconcile(source: str | None, days: int) -> None:
    """Fetch the processor's own list of events, and store those that never arrived as if they had.

    Stripe keeps events for 30 days, Paddle for 90.
    """
    found = settings()
    of = chosen(found.sources, source)
    api = _api(of)
    with opened(found) as store:
        seen, missed = _fetched(store, of, api, datetime.now(UTC) - timedelta(days=days))
    click.echo(
        f"{counted(seen, 'event')} in the last {counted(days, 'day')}; {missed:,} had not arrived, and are stored now."
    )


def _fetched(store: Store, source: Source, api: Api, since: datetime) -> tuple[int, int]:
    seen = missed = 0
    try:
        with progress() as bar:
            task = bar.add_task("events", total=None)
            for body in api.events(since):
                seen += 1
                missed += store.accept(_arrival(source, body))
                bar.update(task, completed=seen)
    except ApiError as error:
        raise BridgeError(f"{error}. {counted(missed, 'missing event')} stored; run it again") from error
    return seen, missed


def _api(source: Source) -> Api:
    api = connect(source)
    if api is None:
        title = processors()[source.processor].title
        raise WrongUsage(f"source {source.name} has no API key that could read {title}. Set one that may only read")
    return api


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
