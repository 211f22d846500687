"""Stored webhooks, deliveries and their explanation: `webhooks list|show`, `deliveries list`, `explain`."""

from __future__ import annotations

import json
from datetime import datetime

import click
from sqlalchemy import Connection

from bridge.cli.environment import opened_store, read_settings
from bridge.cli.output import fields_of, json_option, print_json, print_table
from bridge.errors import BridgeError, UsageError
from bridge.formatting import timestamp
from bridge.inspection.next_step import next_step
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.store.queues import Wait, waits_of
from bridge.store.search import WebhookFilter, find_webhooks

WEBHOOK_STATUSES = [one.value for one in InboxStatus]  # click would use the names of an enum's members
DELIVERY_STATUSES = [one.value for one in DeliveryStatus]

source_option = click.option("--source", help="Only this source.")
limit_option = click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Maximum of rows.")


@click.group()
def webhooks() -> None:
    """Stored webhooks: list, show, replay."""


@webhooks.command("list")
@click.option("--status", type=click.Choice(WEBHOOK_STATUSES), help="Only this status.")
@click.option("--search", metavar="TEXT", help="Any id, customer or type, or a text in the reason.")
@click.option("--imports", is_flag=True, help="Also the subscriptions that `import` stored.")
@source_option
@limit_option
@json_option
def list_webhooks(
    status: str | None, search: str | None, imports: bool, source: str | None, limit: int, as_json: bool
) -> None:
    """List the newest webhooks with their status and reason."""
    wanted = WebhookFilter(
        text=search,
        status=None if status is None else InboxStatus(status),
        source=source,
        with_imports=imports,
    )
    with opened_store(read_settings()) as store, store.reading() as tx:
        rows = find_webhooks(tx, wanted, limit)
        waits = waits_of(tx, rows)
    if as_json:
        print_json([{**fields_of(row), **_wait_of(waits.get(row.id))} for row in rows])
        return
    print_table(
        "Webhooks, newest first",
        ("received (UTC)", "source", "type", "id", "status", "revenue events", "reason"),
        [
            (timestamp(row.received_at), row.source, row.type, row.event_id, row.status,
             row.revenue_event_count or "", waits.get(row.id) or row.reason)
            for row in rows
        ],
        right=("revenue events",),
        whole=("received (UTC)", "source", "status"),
    )  # fmt: skip


def _wait_of(wait: Wait | None) -> dict[str, object]:
    return {} if wait is None else {"waits_until": wait.until, "waits_for": wait.reason}


@webhooks.command("show")
@click.argument("event_id")
@source_option
@click.option("--body", is_flag=True, help="The raw body instead. It holds the customer's personal data.")
@json_option
def show_webhook(event_id: str, source: str | None, body: bool, as_json: bool) -> None:
    """Show one webhook: when it arrived, its status and the reason."""
    with opened_store(read_settings()) as store, store.reading() as tx:
        row = webhook_of(tx, event_id, source)
    if as_json:
        print_json(fields_of(row))
        return
    if not body:
        shown = {name: value for name, value in fields_of(row).items() if name != "notes"}  # `reason` has them all
        print_table(row.event_id, ("", ""), [(name.replace("_", " "), _cell(value)) for name, value in shown.items()])
        return
    if row.body is None:
        raise UsageError(f"the body of {event_id} was purged after RETENTION_DAYS")
    click.echo(row.body)


@click.group()
def deliveries() -> None:
    """Revenue events and their delivery to Pulsora: list, retry."""


@deliveries.command("list")
@click.option("--status", type=click.Choice(DELIVERY_STATUSES), help="Only this status.")
@source_option
@limit_option
@json_option
def list_deliveries(status: str | None, source: str | None, limit: int, as_json: bool) -> None:
    """List the newest revenue events with their delivery status."""
    with opened_store(read_settings()) as store, store.reading() as tx:
        rows = outbox.listing(tx, None if status is None else DeliveryStatus(status), source, limit)
    if as_json:
        print_json([{**fields_of(row), "data": json.loads(row.body)} for row in rows])
        return
    print_table(
        "Revenue events, newest first",
        ("id", "created (UTC)", "source", "type", "amount", "MRR", "key", "status", "attempts", "response, next step"),
        [_cells(row) for row in rows],
        right=("id", "amount", "MRR", "attempts"),
        whole=("created (UTC)", "source", "type", "status"),
    )  # fmt: skip


@click.command(short_help="Explain which revenue events a webhook led to, and why.")
@click.argument("event_id")
@source_option
@json_option
def explain(event_id: str, source: str | None, as_json: bool) -> None:
    """Explain which revenue events a webhook led to, and why: its facts, the ledger's notes, the resulting events.

    EVENT_ID is the processor's (evt_…); every revenue event has it as processor_event_id in its metadata.
    """
    from bridge.inspection.explanation import explain_webhook  # with translation and ledger, which no list needs

    settings = read_settings()
    with opened_store(settings) as store, store.reading() as tx:
        explained = explain_webhook(tx, webhook_of(tx, event_id, source), settings)
    if as_json:
        print_json(explained.as_json())
        return
    for line in explained.lines():
        click.echo(line)


def webhook_of(tx: Connection, event_id: str, source: str | None = None) -> InboxRow:
    """The stored webhook. Raises BridgeError if there is none."""
    row = inbox.find(tx, event_id, source)
    if row is None:
        raise BridgeError(f"there is no webhook {event_id}. List them: pulsora-bridge webhooks list")
    return row


def _cells(row: Delivery) -> tuple[object, ...]:
    amount = f"{row.amount} {row.currency}"
    return (row.id, timestamp(row.created_at), row.source, row.event_type, amount, row.mrr_impact, row.output_key,
            row.status, row.attempts or "", next_step(row))  # fmt: skip


def _cell(value: object) -> object:
    return timestamp(value) if isinstance(value, datetime) else value
