"""`customers show`: one customer with subscriptions, revenue, attribution and revenue events, found by any id."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bridge.cli.environment import opened_store, read_settings
from bridge.cli.output import fields_of, json_option, print_json, print_table
from bridge.errors import BridgeError
from bridge.formatting import amount, timestamp
from bridge.monitoring.customers import Customer, read_customer
from bridge.store import search


@click.group()
def customers() -> None:
    """Customers: show one by any of its ids."""


@customers.command("show")
@click.argument("customer_id")
@json_option
def show(customer_id: str, as_json: bool) -> None:
    """Show a customer: subscriptions with their MRR, revenue, attribution, and revenue events.

    CUSTOMER_ID is the processor's customer id or your own, or the id of a subscription, invoice or payment.
    """
    with opened_store(read_settings()) as store, store.reading() as tx:
        found = [read_customer(tx, stream_id) for stream_id in search.streams_of(tx, customer_id)]
    known = [one for one in found if one is not None]
    if not known:
        raise BridgeError(
            f"no customer has the id {customer_id}. List webhooks: pulsora-bridge webhooks list --search TEXT"
        )
    if as_json:
        print_json([_values(one) for one in known])
        return
    for one in known:
        _print(one)


def _values(one: Customer) -> Mapping[str, object]:
    return {
        "customer": one.name,
        "source": one.scope.source,
        "account": one.scope.account,
        "livemode": one.scope.livemode,
        "own_ids": one.own_ids,
        "mrr": one.mrr,
        "revenue": one.revenue,
        "subscriptions": [fields_of(row) for row in one.subscriptions],
        "visits": [fields_of(visit) for visit in one.visits],
        "held": [delivery.id for delivery in one.held],
        "deliveries": [{**fields_of(row), "body": None} for row in one.deliveries],
    }


def _print(one: Customer) -> None:
    mode = "" if one.scope.livemode else ", test mode"
    click.echo(f"{one.name}  ({one.scope.source}{mode})")
    for name, sums in (("MRR", one.mrr), ("revenue", one.revenue)):
        click.echo(f"  {name}: " + (", ".join(f"{amount(value)} {code}" for code, value in sums.items()) or "none"))
    for delivery in one.held:
        click.echo(f"  held until {timestamp(delivery.hold_until)} UTC: delivery {delivery.id}")
    print_table(
        "Subscriptions",
        ("subscription", "plan", "MRR", "baseline", "changed (UTC)"),
        [
            (row.subscription_id, row.plan, f"{amount(row.mrr)} {row.currency}", row.baseline or "",
             timestamp(row.changed_at))
            for row in one.subscriptions
        ],
        right=("MRR", "baseline"),
        whole=("changed (UTC)",),
    )  # fmt: skip
    print_table(
        "Attribution",
        ("found in", "visitor fingerprint", "session id", "events"),
        [(visit.place, visit.fingerprint, visit.session, visit.count) for visit in one.visits],
        right=("events",),
    )
    print_table(
        "Revenue events",
        ("id", "occurred (UTC)", "type", "amount", "MRR", "status"),
        [
            (row.id, timestamp(row.occurred_at), row.event_type, f"{row.amount} {row.currency}", row.mrr_impact,
             row.status)
            for row in one.deliveries
        ],
        right=("id", "amount", "MRR"),
        whole=("occurred (UTC)", "type", "status"),
    )  # fmt: skip
