"""`purge`: deletes the bodies of old webhooks, and returns the disk space they took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from bridge.cli.confirmation import confirm, yes_option
from bridge.cli.environment import load_settings, opened_store
from bridge.cli.output import json_option, print_json, progress
from bridge.store import Store, inbox

BATCH = 50  # small, because SQLite's write lock is held for one batch, and webhooks wait for it
MEGABYTE = 2**20


@click.command(short_help="Delete the raw bodies of settled webhooks.")
@click.option(
    "--older-than", "days", type=click.IntRange(0), help="Days since a webhook was settled; default RETENTION_DAYS."
)
@click.option("--compact", is_flag=True, help="Give the space back to the disk.")
@yes_option
@json_option
def purge(days: int | None, compact: bool, yes: bool, as_json: bool) -> None:
    """Delete the raw bodies of settled webhooks. Ledger, deliveries and the ids of webhooks are kept.

    A worker does this regularly; use this command to do it now. Purged webhooks cannot be replayed. The space is used
    again for new webhooks; --compact makes the database smaller.
    """
    settings = load_settings()
    before = datetime.now(UTC) - timedelta(days=settings.retention_days if days is None else days)
    with opened_store(settings) as store:
        with store.reading() as tx:
            count, size = inbox.purgeable(tx, before)
        if count and days is not None and days < settings.retention_days:  # the worker deletes older ones unasked
            confirm(
                f"{_bodies(count)} ({_megabytes(size)}) will be deleted. Their webhooks can never be replayed.", yes=yes
            )
        purged = _purge(store, before)
        freed = _compact(store) if compact else None
    if as_json:
        print_json({"purged": purged, "freed_bytes": freed})
        return
    click.echo(f"{_bodies(purged)} purged.")
    if freed is not None:
        click.echo(f"The database is {_megabytes(freed)} smaller.")
    elif purged:
        click.echo(f"About {_megabytes(size)} are free for new webhooks; --compact gives them back to the disk.")


def _purge(store: Store, before: datetime) -> int:
    with progress() as bar:
        task = bar.add_task("bodies", total=None)
        total, after = 0, 0
        while True:
            with store.transaction() as tx:
                purged = inbox.purge(tx, before, BATCH, after)
            total += purged.count
            bar.update(task, completed=total)
            if purged.after is None:
                return total
            after = purged.after


def _compact(store: Store) -> int:
    """Returns by how many bytes the database became smaller."""
    before = _size(store)
    store.shrink()
    return before - _size(store)


def _size(store: Store) -> int:
    return int(str(store.describe()["bytes"]))


def _bodies(count: int) -> str:
    return f"{count:,} {'body' if count == 1 else 'bodies'}"


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:,.1f} MB" if size >= MEGABYTE / 10 else f"{size / 1024:,.0f} kB"
