"""Interventions of an operator: `webhooks replay`, `attribute`, `purge`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from bridge.cli import inspect
from bridge.cli.environment import load_settings, opened_store, source_named
from bridge.cli.output import json_option, print_json, progress
from bridge.errors import UsageError
from bridge.formatting import quantity
from bridge.internal_events import attributions
from bridge.store import inbox
from bridge.store.inbox import InboxStatus

MAX_ROWS = 10_000  # for one --failed
BATCH = 500

webhooks = inspect.webhooks  # imported from here, so that the group always has the commands of both modules


@webhooks.command("replay")
@click.argument("event_ids", nargs=-1)
@click.option("--failed", is_flag=True, help="All failed webhooks.")
@json_option
def replay(event_ids: tuple[str, ...], failed: bool, as_json: bool) -> None:
    """Process stored webhooks again. Revenue events that were created before are not created again."""
    if not event_ids and not failed:
        raise UsageError("give the ids of webhooks, or --failed")
    with opened_store(load_settings()) as store, store.transaction() as tx:
        ids = {inspect.webhook_of(tx, event_id).id for event_id in event_ids}
        if failed:
            ids |= {row.id for row in inbox.listing(tx, InboxStatus.FAILED, limit=MAX_ROWS)}
        count = inbox.replay(tx, ids)
    if as_json:
        print_json({"asked": len(ids), "replayed": count})
        return
    purged = "" if count == len(ids) else f" Not possible, because the body was purged: {len(ids) - count:,}."
    click.echo(f"{count:,} of {quantity(len(ids), 'webhook')} will be processed again.{purged}")


@click.command(short_help="Register an attribution; releases the revenue held for it.")
@click.option("--source", help="The source; optional if there is only one.")
@click.option("--customer", "customer_id", help="The processor's customer id.")
@click.option("--subscription", "subscription_id", help="The processor's subscription id.")
@click.option("--transaction", "transaction_id", help="The payment's id: pi_…, ch_…, in_…, cs_…, txn_….")
@click.option("--fingerprint", "visitor_fingerprint", required=True, help="The visitor_fingerprint of the visit.")
@click.option("--session", "session_id", required=True, help="The session_id of the visit.")
@click.option("--test", is_flag=True, help="For test-mode traffic.")
def attribute(source: str | None, test: bool, **options: str | None) -> None:
    """Register the visit that a customer, subscription or transaction belongs to. Releases the revenue held for it."""
    settings = load_settings()
    chosen = source_named(settings.sources, source)
    values = {name: value for name, value in options.items() if value}
    if values.keys().isdisjoint(attributions.REFERENCES):
        raise UsageError("give at least one of --customer, --subscription, --transaction")
    with opened_store(settings) as store:
        webhook = attributions.encode(chosen, values, livemode=not test, now=datetime.now(UTC))
        is_new = store.accept(webhook)
    click.echo(f"{webhook.event_id}: " + ("registered." if is_new else "was already registered."))


@click.command(short_help="Delete the raw bodies of settled webhooks.")
@click.option(
    "--older-than", "days", type=click.IntRange(0), help="Days since a webhook was settled; default RETENTION_DAYS."
)
def purge(days: int | None) -> None:
    """Delete the raw bodies of settled webhooks. Ledger, deliveries and the ids of webhooks are kept.

    A worker does this regularly; use this command to do it now. Purged webhooks cannot be replayed.
    """
    settings = load_settings()
    before = datetime.now(UTC) - timedelta(days=settings.retention_days if days is None else days)
    with opened_store(settings) as store, progress() as bar:
        task = bar.add_task("bodies", total=None)
        total, after = 0, 0
        while True:
            with store.transaction() as tx:
                purged = inbox.purge(tx, before, BATCH, after)
            total += purged.count
            bar.update(task, completed=total)
            if purged.after is None:
                break
            after = purged.after
    click.echo(f"Bodies purged: {total:,}.")
