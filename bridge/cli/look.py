"""Looking closer: events, deliveries, explain."""

from __future__ import annotations

import click

from bridge.cli import story
from bridge.cli.here import as_json, clock, opened, plain, settings, show, tell
from bridge.errors import WrongUsage
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus


@click.group()
def events() -> None:
    """Stored webhooks."""


@events.command("list")
@click.option("--status", "state", type=click.Choice([one.value for one in InboxStatus]))
@click.option("--source", help="Only of this source.")
@click.option("--limit", default=50, show_default=True)
@as_json
def list_events(state: str | None, source: str | None, limit: int, as_json: bool) -> None:
    """The newest webhooks, and what became of each."""
    with opened(settings()) as store, store.reading() as tx:
        rows = inbox.listing(tx, None if state is None else InboxStatus(state), source, limit)
    if as_json:
        tell([plain(row) for row in rows])
        return
    cells = [(clock(r.received_at), r.source, r.type, r.event_id, r.status, r.produced, r.reason) for r in rows]
    show(
        "Webhooks stored",
        ("received (UTC)", "source", "type", "event", "status", "gave", "why"),
        cells,
        right=("gave",),
    )


@events.command("show")
@click.argument("event_id")
@click.option("--source", help="Only of this source.")
@click.option("--body", is_flag=True, help="The raw body instead; it holds what the processor knows of the customer.")
def show_event(event_id: str, source: str | None, body: bool) -> None:
    """One webhook: when it came, where it stands and why."""
    with opened(settings()) as store, store.reading() as tx:
        row = inbox.find(tx, event_id, source)
    if row is None:
        raise WrongUsage(f"there is no event {event_id}. List them: pulsora-bridge events list")
    if not body:
        tell(plain(row))
        return
    if row.body is None:
        raise WrongUsage(f"the body of {event_id} was purged after RETENTION_DAYS")
    click.echo(row.body)


@click.group()
def deliveries() -> None:
    """Revenue events on their way to Pulsora."""


@deliveries.command("list")
@click.option("--status", "state", type=click.Choice([one.value for one in DeliveryStatus]))
@click.option("--source", help="Only of this source.")
@click.option("--limit", default=50, show_default=True)
@as_json
def list_deliveries(state: str | None, source: str | None, limit: int, as_json: bool) -> None:
    """The newest revenue events, and what became of each."""
    with opened(settings()) as store, store.reading() as tx:
        rows = outbox.listing(tx, None if state is None else DeliveryStatus(state), source, limit)
    if as_json:
        tell([plain(row) for row in rows])
        return
    columns = ("id", "made (UTC)", "source", "type", "amount", "MRR", "key", "status", "tries", "last answer")
    cells = [
        (r.id, clock(r.created_at), r.source, r.event_type, f"{r.amount} {r.currency}", r.mrr_impact, r.output_key,
         r.status, r.attempts, f"{r.last_status or ''} {r.last_error or ''}".strip())
        for r in rows
    ]  # fmt: skip
    show("Revenue events", columns, cells, right=("amount", "MRR", "tries"))


@click.command()
@click.argument("event_id")
@click.option("--source", help="Only of this source.")
@as_json
def explain(event_id: str, source: str | None, as_json: bool) -> None:
    """Why an event gave what it gave: its facts, the state they were folded into, and what came out."""
    found = settings()
    with opened(found) as store, store.reading() as tx:
        row = inbox.find(tx, event_id, source)
        if row is None:
            raise WrongUsage(f"there is no event {event_id}. List them: pulsora-bridge events list")
        told = story.of(tx, row, found)
    if as_json:
        tell(told.as_json())
        return
    for line in told.lines():
        click.echo(line)


COMMANDS = (events, deliveries, explain)
