"""`erase`: removes every byte of a customer, keeps every sum, and prints a receipt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import click

from bridge.cli.confirmation import confirm, yes_option
from bridge.cli.environment import load_settings, opened_store
from bridge.cli.output import json_option, print_json
from bridge.errors import UsageError
from bridge.formatting import quantity
from bridge.privacy.erasing import BY_ADDRESS, CannotErase, Plan, Receipt, erase, plan
from bridge.worker.translation import translate
from processors.values import names_of

NAMES: Mapping[str, str] = {
    "webhooks": "webhook",
    "payloads": "payload",
    "revenue_events": "revenue event",
    "attempts": "attempt",
    "subscriptions": "subscription",
    "links": "id",
}


@click.command("erase", short_help="Erase a customer: payloads, ids and visits. Sums stay.")
@click.argument("customer_id")
@click.option("--source", help="Only this source.")
@click.option("--drop-undelivered", is_flag=True, help="Erase although revenue events were not delivered; never send.")
@yes_option
@json_option
def erase_customer(customer_id: str, source: str | None, drop_undelivered: bool, yes: bool, as_json: bool) -> None:
    """Erase a customer: payloads and visits are deleted, ids replaced by keyed hashes. Every sum stays.

    CUSTOMER_ID is the processor's customer id or your own, or the id of a subscription, invoice or payment. Erase the
    customer at the processor, in Pulsora and in backups too. It cannot be undone.
    """
    settings, now = load_settings(), datetime.now(UTC)
    if source is not None and source not in settings.sources:
        raise UsageError(f"there is no source {source}. Configured: {', '.join(sorted(settings.sources))}")
    with opened_store(settings) as store:
        wanted = plan(store, customer_id, source, now)
        if wanted is None:
            raise CannotErase(f"no customer has the id {customer_id}; nothing was erased")
        if wanted.undelivered and not drop_undelivered:
            raise CannotErase(_undelivered(wanted))
        counted = f"{_counted(wanted.counts)} of {customer_id} will be erased.{_by_address(wanted.counts)}"
        confirm(f"{counted} This cannot be undone.", yes=yes)
        receipt = erase(store, wanted, lambda row: translate(row, settings), datetime.now(UTC))
    _print(receipt, as_json=as_json)


def _undelivered(wanted: Plan) -> str:
    amounts = ", ".join(f"{amount} {currency}" for currency, amount in wanted.undelivered[:5])
    return (
        f"{quantity(len(wanted.undelivered), 'revenue event')} of the customer ({amounts}) not delivered to Pulsora;"
        " nothing was erased. Send first (pulsora-bridge deliveries retry, deliveries send), or add --drop-undelivered:"
        " then they are never sent, and Pulsora's totals lack them"
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(quantity(counts[name], noun) for name, noun in NAMES.items() if counts.get(name))


def _by_address(counts: Mapping[str, int]) -> str:
    """A sentence about the webhooks that are erased for an e-mail address alone; empty without any."""
    count = counts.get(BY_ADDRESS)
    return f" In {count:,} of the webhooks only the e-mail address is the customer's." if count else ""


def _print(receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        print_json({name: getattr(receipt, name) for name in names_of(receipt)})
        return
    click.echo(f"Erased at {receipt.erased_at}: {_counted(receipt.counts)}.{_by_address(receipt.counts)}")
    if receipt.dropped:
        click.echo(f"{quantity(receipt.dropped, 'revenue event')} will never be sent.")
    for customer in receipt.customers:
        click.echo(f"The customer is now {customer}.")
    click.echo(f"SHA-256 of this receipt: {receipt.digest}")
