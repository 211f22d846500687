"""Mending: replay, retry, attribute, purge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from bridge.cli import look
from bridge.cli.here import opened, settings
from bridge.errors import WrongUsage
from bridge.store import inbox, outbox
from bridge.store.outbox import DeliveryStatus
from bridge.web.attributions import registration


@look.events.command("replay")
@click.argument("event_ids", nargs=-1)
@click.option("--failed", is_flag=True, help="All that failed.")
def replay(event_ids: tuple[str, ...], failed: bool) -> None:
    """Send stored webhooks through translate and settle once more. What was told already is not told again."""
    with opened(settings()) as store, store.transaction() as tx:
        rows = [inbox.find(tx, event_id) for event_id in event_ids]
        ids = [row.id for row in rows if row is not None]
        if failed:
            ids += [row.id for row in inbox.listing(tx, inbox.InboxStatus.FAILED, limit=10_000)]
        missing = [event_id for event_id, row in zip(event_ids, rows, strict=True) if row is None]
        if missing:
            raise WrongUsage(f"there is no event {', '.join(missing)}. List them: pulsora-bridge events list")
        count = inbox.replay(tx, ids)
    click.echo(
        f"{count} of {len(ids)} go through once more"
        + ("." if count == len(ids) else "; of the others the body was purged.")
    )


@look.deliveries.command("retry")
@click.argument("ids", nargs=-1, type=int)
@click.option("--dead", is_flag=True, help="All dead ones.")
def retry(ids: tuple[int, ...], dead: bool) -> None:
    """Send dead deliveries once more."""
    with opened(settings()) as store, store.transaction() as tx:
        wanted = list(ids)
        if dead:
            wanted += [one.id for one in outbox.listing(tx, DeliveryStatus.DEAD, limit=10_000)]
        count = outbox.retry(tx, wanted, datetime.now(UTC))
    click.echo(f"{count} of {len(wanted)} are sent once more.")


@click.command()
@click.option("--source", help="The source; may be left out when there is only one.")
@click.option("--customer", "customer_id")
@click.option("--subscription", "subscription_id")
@click.option("--transaction", "transaction_id")
@click.option("--fingerprint", "visitor_fingerprint", required=True)
@click.option("--session", "session_id", required=True)
@click.option("--test", is_flag=True, help="For test-mode traffic.")
def attribute(source: str | None, test: bool, **told: str | None) -> None:
    """Tell which visit earned the revenue of a customer, subscription or transaction. Releases what is held for it."""
    found = settings()
    if source is None and len(found.sources) == 1:
        source = next(iter(found.sources))
    if source is None or source not in found.sources:
        raise WrongUsage(f"--source: name one of {', '.join(sorted(found.sources))}")
    named = {name: value for name, value in told.items() if value}
    if not named.keys() & {"customer_id", "subscription_id", "transaction_id"}:
        raise WrongUsage("name at least one of --customer, --subscription, --transaction")
    with opened(found) as store:
        arrival = registration(found.sources[source], named, livemode=not test, now=datetime.now(UTC))
        is_new = store.accept(arrival)
    click.echo(f"{arrival.event_id}: " + ("registered." if is_new else "was registered before."))


@click.command()
@click.option(
    "--older-than", "days", type=click.IntRange(0), help="Days since an event was settled; default RETENTION_DAYS."
)
def purge(days: int | None) -> None:
    """Drop the raw bodies of settled events. Ledger, deliveries and the memory of duplicates stay."""
    found = settings()
    before = datetime.now(UTC) - timedelta(days=found.retention_days if days is None else days)
    total = 0
    with opened(found) as store:
        while True:
            with store.transaction() as tx:
                count = inbox.purge(tx, before, 500)
            total += count
            if count < 500:
                break
    click.echo(f"{total} bodies purged.")


COMMANDS = (attribute, purge)
