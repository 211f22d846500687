"""`import`: existing subscriptions through the processor's API, and the question whether Pulsora receives their MRR."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from bridge.cli.confirmation import ask, is_interactive
from bridge.cli.environment import api_of, load_settings, opened_store, source_named
from bridge.cli.output import json_option, print_json, progress
from bridge.errors import BridgeError, UsageError
from bridge.formatting import amount, quantity, sentence
from bridge.inspection.import_plan import ImportPlan, Planned, Sums, plan_import, sums
from bridge.internal_events import imports
from bridge.privacy.withholding import erased_ids
from bridge.scope import Scope
from bridge.settings import Source
from bridge.store import Store, inbox
from processors import processors
from processors.facts import SubscriptionState
from processors.interface import Api, ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The result: the webhooks stored for the worker. `sent`: MRR that was never reported and is reported now."""

    listed: int
    new: int
    sent: tuple[Planned, ...] = ()


@click.command("import", short_help="Import existing subscriptions as baselines.")
@click.option("--source", help="The source; optional if there is only one.")
@click.option("--send/--no-send", default=None, help="Whether Pulsora receives the MRR that it never received.")
@click.option("--test", is_flag=True, help="Import into the test-mode ledger; the API key is one of test mode.")
@json_option
def import_subscriptions(source: str | None, send: bool | None, test: bool, as_json: bool) -> None:
    """Import existing subscriptions as baselines, through the processor's API.

    A baseline is known to the ledger and not to Pulsora: the next renewal is a renewal, the end a churn of its MRR.
    With --send each baseline that was never reported is sent, once, as a subscription with its MRR and no amount.
    On a terminal the command asks. Running it again imports and sends nothing twice.
    """
    if send is None and not is_interactive():
        raise UsageError("add --send or --no-send: whether Pulsora receives the MRR of existing subscriptions")
    settings = load_settings()
    chosen = source_named(settings.sources, source)
    states = _listed(api_of(chosen))
    with opened_store(settings) as store:
        states = _without_erased(store, Scope(chosen.name, None, not test), states)
        with store.reading() as tx:
            plan = plan_import(tx, chosen, states, livemode=not test)
        if send is None:
            send = bool(plan.unreported) and ask(_question(plan, chosen))
        imported = _store(store, chosen, plan, send=send, livemode=not test)
    arguments = (["--source", chosen.name] if len(settings.sources) > 1 else []) + (["--test"] if test else [])
    _show(imported, plan, chosen, " ".join([*arguments, "--send"]), send=send, as_json=as_json)


def _listed(api: Api) -> list[SubscriptionState]:
    states = []
    try:
        with progress() as bar:
            task = bar.add_task("subscriptions", total=None)
            for state in api.subscriptions():
                states.append(state)
                bar.update(task, completed=len(states))
    except ApiError as error:
        done = f"Nothing was imported; {quantity(len(states), 'subscription')} had been read. Run it again"
        raise BridgeError(f"{sentence(str(error))} {done}") from error
    return states


def _without_erased(store: Store, scope: Scope, states: list[SubscriptionState]) -> list[SubscriptionState]:
    """Without the subscriptions of erased customers: the ledger has them under hashes, with the same MRR."""
    erased = erased_ids(store, str(scope), [one.ids.subscription_id for one in states if one.ids.subscription_id])
    return [one for one in states if one.ids.subscription_id not in erased]


def _question(plan: ImportPlan, source: Source) -> str:
    title = processors()[source.processor].title
    count, unreported = len(plan.unreported), _text(_unreported(plan.unreported))
    return (
        f"{quantity(len(plan.listed), 'subscription')} with an MRR of {_text(_mrr(plan.listed))}. Pulsora never "
        f"received {unreported} of it ({quantity(count, 'subscription')}), and shows that much less than {title} "
        "until it does. Send it now?"
    )


def _store(store: Store, source: Source, plan: ImportPlan, *, send: bool, livemode: bool) -> Imported:
    """Stores the states for the worker, those with unreported MRR as such if it is to be sent."""
    now = datetime.now(UTC)
    new, sent = 0, []
    with progress() as bar:
        for one in bar.track((*plan.listed, *(plan.of_ledger if send else ())), description="stored"):
            reports = send and one.unreported is not None
            reporting = imports.encode(source, one.reporting, livemode=livemode, now=now, keeps_time=one.keeps_time)
            silent = imports.encode(source, one.state, livemode=livemode, now=now)
            earlier = _stored(store, source.name, (reporting.event_id, silent.event_id))  # perhaps not settled yet
            if not reports and reporting.event_id in earlier:
                continue  # an earlier import reports it
            is_stored = store.accept(reporting if reports else silent)
            new += is_stored and one.is_new and not earlier
            if is_stored and reports:
                sent.append(one)
    return Imported(listed=len(plan.listed), new=new, sent=tuple(sent))


def _stored(store: Store, source: str, event_ids: Iterable[str]) -> set[str]:
    with store.reading() as tx:
        return {one for one in event_ids if inbox.find(tx, one, source) is not None}


def _show(imported: Imported, plan: ImportPlan, source: Source, arguments: str, *, send: bool, as_json: bool) -> None:
    """Prints the result. `arguments`: those of the import that sends what is left."""
    left = () if send else plan.unreported
    if as_json:
        fields = {"listed": imported.listed, "new": imported.new, "mrr": _mrr(plan.listed)}
        fields |= {"sent": len(imported.sent), "sent_mrr": _unreported(imported.sent)}
        print_json({**fields, "unreported": len(left), "unreported_mrr": _unreported(left)})
        return
    new = f"{imported.new:,} of them new" if imported.new else "none of them new"
    mrr = f" with an MRR of {_text(_mrr(plan.listed))}" if plan.listed else ""
    click.echo(f"{quantity(imported.listed, 'subscription')}{mrr} read from {source.name}, {new}.")
    if imported.sent:
        text = _text(_unreported(imported.sent))
        click.echo(f"{quantity(len(imported.sent), 'baseline')} with an MRR of {text} will be sent to Pulsora.")
    elif send:
        click.echo("Pulsora has received the MRR of all of them, or will when a worker has processed it.")
    elif left:
        text = _text(_unreported(left))
        click.echo(f"MRR that Pulsora never received: {text}. To send it: pulsora-bridge import {arguments}")


def _mrr(planned: Iterable[Planned]) -> Sums:
    return sums((one.currency, one.mrr) for one in planned)


def _unreported(planned: Iterable[Planned]) -> Sums:
    return sums((one.currency, one.unreported) for one in planned if one.unreported is not None)


def _text(found: Sums) -> str:
    return ", ".join(f"{amount(value)} {currency}" for currency, value in found.items()) or "0"
