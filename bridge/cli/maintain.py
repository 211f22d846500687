"""Mending: replay, retry, attribute, purge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from bridge.cli import inspect
from bridge.cli.output import as_json, chosen, counted, opened, progress, settings, tell
from bridge.errors import WrongUsage
from bridge.store import inbox, outbox
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web.attributions import registration

MOST = 10_000  # at once
BATCH = 500

events, deliveries = inspect.events, inspect.deliveries  # to look at and, from here on, to mend


@events.command("replay")
@click.argument("event_ids", nargs=-1)
@click.option("--failed", is_flag=True, help="All that failed.")
@as_json
def replay(event_ids: tuple[str, ...], failed: bool, as_json: bool) -> None:
    """Send stored webhooks through translate and settle once more. What was told already is not told again."""
    if not event_ids and not failed:
        raise WrongUsage("name events, or --failed")
    with opened(settings()) as store, store.transaction() as tx:
        ids = {inspect.event_of(tx, event_id).id for event_id in event_ids}
        if failed:
            ids |= {row.id for row in inbox.listing(tx, InboxStatus.FAILED, limit=MOST)}
        count = inbox.replay(tx, ids)
    if as_json:
        tell({"asked": len(ids), "replayed": count})
        return
    purged = "" if count == len(ids) else f" Bodies purged: {len(ids) - count:,}."
    click.echo(f"{count:,} of {counted(len(ids), 'webhook')} on the way through once more.{purged}")


@deliveries.command("retry")
@click.argument("ids", nargs=-1, type=int)
@click.option("--dead", is_flag=True, help="All dead ones.")
@as_json
def retry(ids: tuple[int, ...], dead: bool, as_json: bool) -> None:
    """Send dead deliveries once more, by the ids that `deliveries list` shows."""
    if not ids and not dead:
        raise WrongUsage("name deliveries by their ids, or --dead")
    with opened(settings()) as store, store.transaction() as tx:
        wanted = set(ids)
        if dead:
            wanted |= {one.id for one in outbox.listing(tx, DeliveryStatus.DEAD, limit=MOST)}
        count = outbox.retry(tx, wanted, datetime.now(UTC))
    if as_json:
        tell({"asked": len(wanted), "retried": count})
        return
    others = "" if count == len(wanted) else f" Not dead: {len(wanted) - count:,}."
    click.echo(f"{count:,} of {counted(len(wanted), 'revenue event')} to be sent once more.{others}")


@click.command(short_help="Tell which visit earned some revenue; releases what is held for it.")
@click.option("--source", help="The source; may be left out when there is only one.")
@click.option("--customer", "customer_id", help="The processor's customer id.")
@click.option("--subscription", "subscription_id", help="The processor's subscription id.")
@click.option("--transaction", "transaction_id", help="The payment's id: pi_…, ch_…, in_…, cs_…, txn_….")
@click.option("--fingerprint", "visitor_fingerprint", required=True, help="The visitor_fingerprint of the visit.")
@click.option("--session", "session_id", required=True, help="The session_id of the visit.")
@click.option("--test", is_flag=True, help="For test-mode traffic.")
def attribute(source: str | None, test: bool, **told: str | None) -> None:
    """Tell which visit earned the revenue of a customer, subscription or transaction. Releases what is held for it."""
    found = settings()
    of = chosen(found.sources, source)
    named = {name: value for name, value in told.items() if value}
    if not named.keys() & {"customer_id", "subscription_id", "transaction_id"}:
        raise WrongUsage("name at least one of --customer, --subscription, --transaction")
    with opened(found) as store:
        arrival = registration(of, named, livemode=not test, now=datetime.now(UTC))
        is_new = store.accept(arrival)
    click.echo(f"{arrival.event_id}: " + ("registered." if is_new else "was registered before."))


@click.command(short_help="Drop the raw bodies of settled webhooks.")
@click.option(
    "--older-than", "days", type=click.IntRange(0), help="Days since a webhook was settled; default RETENTION_DAYS."
)
def purge(days: int | None) -> None:
    """Drop the raw bodies of settled webhooks. Ledger, deliveries and the memory of duplicates stay.

    A worker does the same by itself; this is for doing it at once. What is purged cannot be replayed.
    """
    found = settings()
    before = datetime.now(UTC) - timedelta(days=found.retention_days if days is None else days)
    with opened(found) as store, progress() as bar:
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
