"""Sending deliveries after all: `deliveries retry` for failed ones, `deliveries send` for those held or kept back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click
from sqlalchemy import Connection

from bridge.cli.confirmation import ask, confirm, is_interactive, yes_option
from bridge.cli.environment import load_settings, opened_store, source_named
from bridge.cli.inspect import deliveries as deliveries
from bridge.cli.output import json_option, print_json
from bridge.errors import BridgeError, UsageError
from bridge.formatting import amount, quantity, signed_amount
from bridge.sender.amount_rules import Rewritten, rewritten
from bridge.sender.forwarding import is_forwarded, kept_back
from bridge.settings import Settings, Source
from bridge.store import Store, interventions, leases, outbox
from bridge.store.outbox import Delivery, DeliveryStatus

# A lease that is taken once and never expires: the question was asked.
ASKED = "asked whether to send what DRY_RUN kept back"
OPERATOR = "operator"
FOREVER = timedelta(days=36500)

# ---- Retry -----------------------------------------------------------------------------------------------------


@deliveries.command("retry")
@click.argument("ids", nargs=-1, type=int)
@click.option("--failed", is_flag=True, help="All failed deliveries.")
@click.option(
    "--rewrite",
    is_flag=True,
    help="With the amounts of the present REFUND_AMOUNT and MOVEMENT_AMOUNT; alone: all rejected ones that differ.",
)
@json_option
def retry(ids: tuple[int, ...], failed: bool, rewrite: bool, as_json: bool) -> None:
    """Resend failed deliveries, or pending ones before their next attempt, by the ids that `deliveries list` shows.

    A resend has the same bytes, so that Pulsora can recognise it. With --rewrite, those that Pulsora has rejected, and
    so does not have, get the amount that the present settings give.
    """
    if not ids and not failed and not rewrite:
        raise UsageError("give the ids of deliveries, --failed or --rewrite")
    settings = load_settings()
    with opened_store(settings) as store, store.transaction() as tx:
        listed = {one.id: one for one in interventions.every(tx, DeliveryStatus.FAILED)}
        changed = {new.id: new for new in _rewritten(listed.values(), settings)} if rewrite else {}
        requested = set(listed if failed else ids or changed)
        changes = {row_id: (new.body, new.amount) for row_id, new in changed.items() if row_id in requested}
        interventions.rewrite(tx, changes)
        found = [one for row_id in sorted(set(ids) - listed.keys()) if (one := outbox.find(tx, row_id))]
        count = interventions.send_now(tx, requested, datetime.now(UTC)).total
        unknown = sorted(set(ids) - listed.keys() - {one.id for one in found})
    if as_json:
        print_json({"asked": len(requested), "retried": count, "rewritten": len(changes)})
    else:
        renewed = f" With another amount: {len(changes):,}." if rewrite else ""
        others = _unchanged(one.status for one in found)
        click.echo(f"{count:,} of {quantity(len(requested), 'revenue event')} will be sent now.{renewed}{others}")
    if unknown:
        raise BridgeError(f"no delivery has the id {', '.join(map(str, unknown))}. See: pulsora-bridge deliveries list")
    if ids and count < len(requested):
        raise click.exceptions.Exit(1)


def _unchanged(statuses: Iterable[DeliveryStatus]) -> str:
    """The deliveries that are not sent again, and how to release a held one."""
    counts = Counter(one for one in statuses if one is not DeliveryStatus.PENDING)
    listed = ", ".join(f"{count:,} {status.value}" for status, count in sorted(counts.items()))
    release = " To release held ones: pulsora-bridge deliveries send --held" if DeliveryStatus.HELD in counts else ""
    return f" Not sent: {listed}.{release}" if listed else ""


def _rewritten(failed: Iterable[Delivery], settings: Settings) -> Iterator[Rewritten]:
    for one in failed:
        source = settings.sources.get(one.source)
        new = None if source is None else rewritten(one, source.policy)
        if new is not None:
            yield new


# ---- Send ------------------------------------------------------------------------------------------------------


@deliveries.command("send")
@click.option("--not-forwarded", is_flag=True, help="Those that DRY_RUN kept back.")
@click.option("--held", is_flag=True, help="Those that are held for their attribution; they are sent without it.")
@click.option("--source", help="Only this source.")
@yes_option
@json_option
def send(not_forwarded: bool, held: bool, source: str | None, yes: bool, as_json: bool) -> None:
    """Send the revenue events that DRY_RUN kept back, or release held ones, each customer's in order.

    Test traffic stays back unless FORWARD_TEST_EVENTS is set. Of those that DRY_RUN kept back, what is unattributed is
    treated as UNATTRIBUTED says.
    """
    if held is not_forwarded:
        raise UsageError("give --not-forwarded or --held")
    settings = load_settings()
    sources = settings.sources if source is None else {source: source_named(settings.sources, source)}
    with opened_store(settings) as store:
        statuses = _release(store, sources, yes=yes) if held else _forward(store, sources, yes=yes)
    if as_json:
        print_json({"asked": len(statuses), **Counter(one.value for one in sorted(statuses))})
        return
    count = quantity(len(statuses), "held revenue event" if held else "revenue event")
    click.echo(f"{count} will be sent." if held else f"{count} that had not been forwarded will be sent.")


def _forward(store: Store, sources: Mapping[str, Source], *, yes: bool) -> list[DeliveryStatus]:
    """Sends what DRY_RUN kept back. Returns the new statuses."""
    _require_forwarding(sources)
    now = datetime.now(UTC)
    with store.reading() as tx:
        chosen = kept_back(tx, sources, now)
    if chosen:
        sums = _sums(one.delivery for one in chosen)
        confirm(f"{quantity(len(chosen), 'revenue event')} will be sent to Pulsora ({sums}).", yes=yes)
    with store.transaction() as tx:
        interventions.forward(tx, chosen, now)
    return [one.status for one in chosen]


def _release(store: Store, sources: Mapping[str, Source], *, yes: bool) -> list[DeliveryStatus]:
    """Sends what is held for its attribution. Returns the new statuses."""
    with store.reading() as tx:
        held = [one for name in sources for one in interventions.every(tx, DeliveryStatus.HELD, name)]
    if held:
        confirm(
            f"{quantity(len(held), 'held revenue event')} will be sent to Pulsora without attribution ({_sums(held)}). "
            "This cannot be undone.",
            yes=yes,
        )
    with store.transaction() as tx:
        count = interventions.release_held(tx, [one.id for one in held], datetime.now(UTC))
    return [DeliveryStatus.PENDING] * count


def offer_kept_back(settings: Settings, *, may_ask: bool) -> None:
    """At the first start without DRY_RUN: asks whether what it kept back shall be sent, else names the command."""
    now = datetime.now(UTC)
    with opened_store(settings) as store:
        with store.transaction() as tx:
            if any(source.dry_run for source in settings.sources.values()):
                leases.release(tx, ASKED)  # the next start without it asks again
            chosen = kept_back(tx, settings.sources, now) if _is_any_kept_back(tx, settings.sources) else []
            may_ask = may_ask and bool(chosen) and is_interactive() and _is_first_question(tx, now)
        if not chosen:
            return
        sums = _sums(one.delivery for one in chosen)
        found = f"{quantity(len(chosen), 'revenue event')} kept back by DRY_RUN ({sums})"
        if may_ask and ask(f"{found}. Send to Pulsora now?"):
            with store.transaction() as tx:
                interventions.forward(tx, chosen, now)
            return
    click.echo(f"{found}: not sent. To send: pulsora-bridge deliveries send --not-forwarded", err=True)


def _is_first_question(tx: Connection, now: datetime) -> bool:
    """Whether this was not asked before; records that it is asked now."""
    return leases.acquire(tx, ASKED, f"{OPERATOR} {now.isoformat()}", now, now + FOREVER)


def _is_any_kept_back(tx: Connection, sources: Mapping[str, Source]) -> bool:
    """Whether it is worth reading them: a bridge that receives test traffic may have very many that stay back."""
    return any(
        name in sources and is_forwarded(sources[name], livemode=livemode)
        for name, livemode in interventions.with_not_forwarded(tx)
    )


def _require_forwarding(sources: Mapping[str, Source]) -> None:
    """Raises UsageError if all sources still run dry: what would be sent would be kept back at once."""
    if all(source.dry_run for source in sources.values()):
        raise UsageError("DRY_RUN is set, so nothing is sent to Pulsora. Remove it and restart the bridge first")


def _sums(chosen: Iterable[Delivery]) -> str:
    """Amount and MRR by currency: `188.07 USD, MRR +49.00 USD`."""
    paid: dict[str, Decimal] = defaultdict(Decimal)
    mrr: dict[str, Decimal] = defaultdict(Decimal)
    for one in chosen:
        paid[one.currency] += one.amount
        mrr[one.currency] += one.mrr_impact or Decimal(0)
    return ", ".join(
        f"{amount(paid[currency])} {currency}, MRR {signed_amount(mrr[currency])} {currency}"
        for currency in sorted(paid)
    )
