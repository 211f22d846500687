"""`alerts`: the conditions that need an operator now, and a test message to every address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import click

from bridge.alerts import delivery
from bridge.alerts.causes import EXPLAINED, Cause, Found
from bridge.alerts.lifecycle import Kind, Message
from bridge.alerts.monitor import console_of, read_found
from bridge.cli.environment import load_settings, opened_store
from bridge.cli.output import Finding, json_option, ok, print_json, print_table, problem
from bridge.errors import UsageError
from bridge.formatting import timestamp
from bridge.settings import Settings
from bridge.store import Store
from bridge.store import alerts as states
from bridge.store.alerts import AlertState

CHECKED = (Cause.SILENT, Cause.RECONCILE, Cause.AUDIT)  # `check` looks at all others itself
EXAMPLE = "ALERT_URLS=mailtos://user:password@example.com"


@click.group()
def alerts() -> None:
    """Alerts: list what needs attention, and send a test message."""


@alerts.command("list")
@json_option
def list_alerts(as_json: bool) -> None:
    """List the causes that hold now, and when the message about each was sent."""
    settings = load_settings()
    with opened_store(settings) as store:
        found = read_found(store, settings, datetime.now(UTC))
        with store.reading() as tx:
            known = states.all_states(tx)
    if as_json:
        print_json([_fields(one, known.get(one.cause)) for one in found])
        return
    rows = [(one.cause, one.text, EXPLAINED[one.cause].cure, _sent(known.get(one.cause))) for one in found]
    print_table("Alerts", ("cause", "state", "cure", "sent"), rows, whole=("cause",))
    if not settings.alert_urls:
        click.echo(f"Nothing is sent: ALERT_URLS is not set. Example: {EXAMPLE}")


def check_alerts(store: Store, settings: Settings) -> Iterator[Finding]:
    """For `check`: silent sources, lists that cannot be read, and addresses that cannot be used."""
    for one in read_found(store, settings, datetime.now(UTC)):
        if one.cause in CHECKED:
            about = EXPLAINED[one.cause]
            yield problem(f"source {one.subject}", f"{about.title}: {one.text} {about.cure}")
    for bad in delivery.unusable(settings.alert_urls) if settings.alert_urls else ():
        yield problem("ALERT_URLS", f"address {bad.name}: {bad.problem}")
    if settings.alert_urls:
        names = ", ".join(delivery.name_of(number, url) for number, url in enumerate(settings.alert_urls, 1))
        yield ok("alerts", f"sent to {names}. Try it: pulsora-bridge alerts test")
    else:
        yield ok("alerts", "ALERT_URLS is not set: problems are shown, but no message is sent")


def _fields(one: Found, state: AlertState | None) -> Mapping[str, object]:
    cure, sent_at = EXPLAINED[one.cause].cure, None if state is None else state.sent_at
    return {"cause": one.cause, "subject": one.subject, "text": one.text, "cure": cure, "sent_at": sent_at}


def _sent(state: AlertState | None) -> str:
    if state is None or (state.sent_at is None and state.error is None):
        return ""
    return f"failed: {state.error}" if state.sent_at is None else f"{timestamp(state.sent_at)} UTC"


@alerts.command("test")
@json_option
def test_alerts(as_json: bool) -> None:
    """Send a test message to every address. Exit status 1 if one of them did not accept it."""
    settings = load_settings()
    if not settings.alert_urls:
        raise UsageError(f"ALERT_URLS: is not set. Example: {EXAMPLE}")
    console = console_of(settings)
    body = "Alerts of this bridge arrive here. Nothing is wrong."
    message = Message(
        cause=Cause.WORKER,
        kind=Kind.CLEARED,
        title="Test message",
        body=body if console is None else f"{body}\n{console}/admin/",
    )
    results = delivery.send(settings.alert_urls, message)
    if as_json:
        print_json([{"address": one.name, "problem": one.problem} for one in results])
    else:
        for one in results:
            click.echo(f"{one.name}: {'sent' if one.problem is None else f'not sent: {one.problem}'}")
    if any(one.problem is not None for one in results):
        raise click.exceptions.Exit(1)
