"""`reconcile`: webhooks that never arrived, from the processor's own list."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import click

from bridge.cli.environment import api_of, load_settings, opened_store, source_named
from bridge.cli.output import json_option, print_json, progress
from bridge.errors import BridgeError
from bridge.formatting import quantity, sentence
from bridge.reconciliation.missing_events import Incomplete, store_missing
from bridge.settings import Source
from bridge.store import Store
from processors import processors
from processors.interface import Api

source_option = click.option("--source", help="The source; optional if there is only one.")


@click.command(short_help="Fetch recent events from the processor and store those that never arrived.")
@source_option
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 90), help="Days to look back.")
@json_option
def reconcile(source: str | None, days: int, as_json: bool) -> None:
    """Fetch the processor's own list of events, and store those that never arrived as if they had.

    Stripe keeps events for 30 days, Paddle for 90. A worker does the same every RECONCILE_HOURS and after every gap,
    from where its last comparison ended.
    """
    settings = load_settings()
    chosen = source_named(settings.sources, source)
    api, now = api_of(chosen), datetime.now(UTC)
    kept = min(days, processors()[chosen.processor].event_days)
    with opened_store(settings) as store:
        listed, missing = _store_missing(store, chosen, api, now - timedelta(days=kept))
    if as_json:
        print_json({"source": chosen.name, "days": kept, "listed": listed, "stored": missing})
    else:
        looked_at = f"{quantity(listed, 'event')} in the last {quantity(kept, 'day')}"
        click.echo(f"{looked_at}; {missing:,} were missing and are now stored.")
    if kept < days:
        click.echo(_older(chosen, kept, (now - timedelta(days=days)).date()), err=True)


def _older(source: Source, kept: int, first: date) -> str:
    """The advice about the days whose events the processor no longer lists: their objects are still there."""
    title = processors()[source.processor].title
    return (
        f"{title} keeps events for {kept} days, so earlier ones were not looked at. Compare the payments, refunds and"
        f" subscriptions of these days, and store what is missing:"
        f" pulsora-bridge audit --source {source.name} --from {first} --repair"
    )


def _store_missing(store: Store, source: Source, api: Api, since: datetime) -> tuple[int, int]:
    """Stores the events that are not stored yet. Returns how many the API listed, and how many were missing."""
    try:
        with progress() as bar:
            task = bar.add_task("events", total=None)
            return store_missing(store, source, api, since, on_event=lambda listed: bar.update(task, completed=listed))
    except Incomplete as error:
        done = f"{quantity(error.stored, 'missing event')} stored. Run it again"
        raise BridgeError(f"{sentence(str(error))} {done}") from error
