"""Looking closer: events, deliveries, explain."""

from __future__ import annotations

import json

import click
from sqlalchemy import Connection

from bridge.audit import explanation
from bridge.cli.output import as_json, clock, opened, plain, settings, show, tell
from bridge.errors import WrongUsage
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery, DeliveryStatus

STAGES = [one.value for one in InboxStatus]  # click would take an enum by its names
FATES = [one.value for one in DeliveryStatus]

of_source = click.option("--source", help="Only of this source.")
of_limit = click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many at most.")


@click.group()
def events() -> None:
    """Stored webhooks: list, show, replay."""


@events.command("list")
@click.option("--status", "state", type=click.Choice(STAGES), help="Only those that stand there.")
@of_source
@of_limit
@as_json
def list_events(state: str | None, source: str | None, limit: int, as_json: bool) -> None:
    """The newest webhooks, and what became of each."""
    with opened(settings()) as store, store.reading() as tx:
        rows = inbox.listing(tx, None if state is None else InboxStatus(state), source, limit)
    if as_json:
        tell([plain(row) for row in rows])
        return
    show(
        "Webhooks, the newest first",
        ("received (UTC)", "source", "type", "event", "status", "gave", "why"),
        [(clock(r.received_at), r.source, r.type, r.event_id, r.status, r.produced or "", r.reason) for r in rows],
        right=("gave",),
        whole=("received (UTC)", "source", "status"),
    )


@events.command("show")
@click.argument("event_id")
@of_source
@click.option("--body", is_flag=True, help="The raw body instead; it holds what the processor knows of the customer.")
@as_json
def show_event(event_id: str, source: str | None, body: bool, as_json: bool) -> None:
    """One webhook: when it came, where it stands and why."""
    with opened(settings()) as store, store.reading() as tx:
        row = event_of(tx, event_id, source)
    if as_json:
        tell(plain(row))
        return
    if not body:
        show(row.event_id, ("", ""), [(name.replace("_", " "), _told(value)) for name, value in plain(row).items()])
        return
    if row.body is None:
        raise WrongUsage(f"the body of {event_id} was purged after RETENTION_DAYS")
    click.echo(row.body)


@click.group()
def deliveries() -> None:
    """Revenue events on their way to Pulsora: list, retry."""


@deliveries.command("list")
@click.option("--status", "state", type=click.Choice(FATES), help="Only those that stand there.")
@of_source
@of_limit
@as_json
def list_deliveries(state: str | None, source: str | None, limit: int, as_json: bool) -> None:
    """The newest revenue events, and what became of each."""
    with opened(settings()) as store, store.reading() as tx:
        rows = outbox.listing(tx, None if state is None else DeliveryStatus(state), source, limit)
    if as_json:
        tell([{**plain(row), "data": json.loads(row.body)} for row in rows])
        return
    show(
        "Revenue events, the newest first",
        ("id", "made (UTC)", "source", "type", "amount", "MRR", "key", "status", "tries", "last answer, or what next"),
        [_cells(row) for row in rows],
        right=("id", "amount", "MRR", "tries"),
        whole=("made (UTC)", "source", "type", "status"),
    )


@click.command(short_help="Why an event gave what it gave.")
@click.argument("event_id")
@of_source
@as_json
def explain(event_id: str, source: str | None, as_json: bool) -> None:
    """Why an event gave what it gave: what it says, what the ledger made of it, what came out.

    EVENT_ID is the processor's (evt_…); every revenue event names it as processor_event_id in its metadata.
    """
    found = settings()
    with opened(found) as store, store.reading() as tx:
        told = explanation.of(tx, event_of(tx, event_id, source), found)
    if as_json:
        tell(told.as_json())
        return
    for line in told.lines():
        click.echo(line)


def event_of(tx: Connection, event_id: str, source: str | None = None) -> InboxRow:
    """The stored event, or WrongUsage."""
    row = inbox.find(tx, event_id, source)
    if row is None:
        raise WrongUsage(f"there is no event {event_id}. List them: pulsora-bridge events list")
    return row


def _cells(row: Delivery) -> tuple[object, ...]:
    amount = f"{row.amount} {row.currency}"
    return (row.id, clock(row.created_at), row.source, row.event_type, amount, row.mrr_impact, row.output_key,
            row.status, row.attempts or "", explanation.what_next(row))  # fmt: skip


def _told(value: object) -> object:
    return clock(value) if hasattr(value, "strftime") else value  # type: ignore[arg-type]  # an instant, by its method
