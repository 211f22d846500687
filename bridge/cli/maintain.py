"""Interventions of an operator: `webhooks replay`, `attribute`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
from sqlalchemy import Connection

from bridge.cli import inspect
from bridge.cli.environment import load_settings, opened_store, source_named
from bridge.cli.output import json_option, print_json
from bridge.errors import BridgeError, UsageError
from bridge.formatting import quantity
from bridge.internal_events import attributions
from bridge.scope import StreamId
from bridge.settings import Source
from bridge.store import inbox, search
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.search import DeliveryFilter, WebhookFilter, count_deliveries
from processors.placeholders import is_placeholder
from processors.visit import placeholder, rejected_as

VISIT = ("visitor_fingerprint", "session_id")

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
            ids |= set(search.webhook_ids(tx, WebhookFilter(status=InboxStatus.FAILED, with_imports=True)))
        count = inbox.replay(tx, ids)
    if as_json:
        print_json({"asked": len(ids), "replayed": count})
        return
    if not ids:
        click.echo("No webhook has failed.")
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
@click.option("--ahead", is_flag=True, help="Register it although no webhook has named these ids yet.")
@json_option
def attribute(source: str | None, test: bool, ahead: bool, as_json: bool, **options: str | None) -> None:
    """Register the visit that a customer, subscription or transaction belongs to. Releases the revenue held for it."""
    settings = load_settings()
    chosen = source_named(settings.sources, source)
    values = {name: value.strip() for name, value in options.items() if value}
    if values.keys().isdisjoint(attributions.REFERENCES):
        raise UsageError("give at least one of --customer, --subscription, --transaction")
    _require_real(values)
    with opened_store(settings) as store:
        with store.reading() as tx:
            found = _streams(tx, [values[name] for name in attributions.REFERENCES if name in values], chosen)
            held = sum(count_deliveries(tx, DeliveryFilter(stream_id=one, status=DeliveryStatus.HELD)) for one in found)
        if not found and not ahead:
            ids = ", ".join(values[name] for name in attributions.REFERENCES if name in values)
            raise BridgeError(
                f"no webhook of {chosen.name} has named {ids}; nothing was registered. Check the id, or add --ahead to"
                " register it before the first webhook"
            )
        webhook = attributions.encode(chosen, values, livemode=not test, now=datetime.now(UTC))
        is_new = store.accept(webhook)
    if as_json:
        print_json({"id": webhook.event_id, "registered": is_new, "held": held})
        return
    effect = f" The customer has {quantity(held, 'held revenue event')}." if held and is_new else ""
    click.echo(f"{webhook.event_id}: " + ("registered." if is_new else "was already registered.") + effect)


def _require_real(values: Mapping[str, str]) -> None:
    """Raises UsageError for a value that was copied from the documentation, or is a program's missing variable."""
    for name, value in values.items():
        if is_placeholder(value) or (name in VISIT and rejected_as(value)) or placeholder(value):
            option = name.removesuffix("_id").removeprefix("visitor_")
            raise UsageError(f"--{option}: {value} is a placeholder. Give the real id")


def _streams(tx: Connection, ids: Sequence[str], source: Source) -> list[str]:
    """The streams of the source that the ids belong to."""
    found = {stream_id for one in ids for stream_id in search.streams_of(tx, one)}
    return [stream_id for stream_id in found if StreamId.parse(stream_id).scope.startswith(f"{source.name}|")]
