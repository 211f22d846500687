"""`audit`: this ledger's totals against the processor's own, with the cause of every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from bridge.audit.causes import DETAILS
from bridge.audit.evidence import Archive
from bridge.audit.keeping import keep
from bridge.audit.records import ZERO, DayTotal, Difference, Report
from bridge.audit.repair import Repair, Repaired
from bridge.audit.run import Against, Request, run
from bridge.cli.environment import api_of, load_settings, opened_store, source_named
from bridge.cli.output import json_option, print_json, print_table, progress
from bridge.errors import BridgeError, UsageError
from bridge.formatting import amount, currency_order, quantity, sentence, signed_amount, timestamp
from bridge.ledger.policy import AmountBasis
from bridge.reconciliation.missing_events import Incomplete
from bridge.scope import Scope
from bridge.settings import Source
from bridge.store import Store, inbox, outbox
from bridge.store.inbox import InboxStatus
from processors import processors
from processors.interface import ApiError
from processors.payload import Unreadable
from processors.stripe import exports
from processors.totals import MrrChange, Totals

DEFAULT_DAYS = 30
SHOWN = 50
READERS = {
    Against.STRIPE_CSV: exports.customer_mrr_changes,
    Against.STRIPE_SIGMA_CSV: exports.sigma_change_events,
}
day_option = click.DateTime(formats=["%Y-%m-%d"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The audit that the options choose."""

    source: Source
    against: Against
    file: Path | None
    zone: ZoneInfo
    livemode: bool
    first: date | None
    last: date | None


@click.command(short_help="Compare totals with the processor's own, and name the cause of every difference.")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "since", type=day_option, help="The first day. [default: 30 days ago; of a file: its first]")
@click.option("--to", "until", type=day_option, help="The last day. [default: today; of a file: its last]")
@click.option("--source", help="The source; optional if there is only one.")
@click.option(
    "--against",
    type=click.Choice([one.value for one in Against]),
    default=Against.API.value,
    show_default=True,
    help="The processor's API, or FILE: an export of Stripe.",
)
@click.option("--time-zone", default="UTC", show_default=True, help="The time zone of a day: your account's at Stripe.")
@click.option("--customer", help="Show this customer or subscription: its webhooks and revenue events.")
@click.option("--repair", is_flag=True, help="Fetch what is missing, and store it for the worker.")
@click.option("--test", is_flag=True, help="Audit the test-mode ledger; the API key is one of test mode.")
@json_option
def audit(
    file: Path | None,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    against: str,
    time_zone: str,
    customer: str | None,
    repair: bool,
    test: bool,
    as_json: bool,
) -> None:
    """Compare revenue and MRR with the processor's own figures. Exit status 1 if a difference has no known cause.

    With an API key: the processor's lists of payments, refunds, disputes and subscriptions. With FILE: the movements
    of MRR in Stripe's "Customer MRR changes" (stripe-csv) or Sigma's subscription_item_change_events
    (stripe-sigma-csv). The result is kept and shown in the console under Audit.
    """
    settings = load_settings()
    chosen = Chosen(
        source=source_named(settings.sources, source),
        against=Against(against),
        file=file,
        zone=_zone(time_zone),
        livemode=not test,
        first=None if since is None else since.date(),
        last=None if until is None else until.date(),
    )
    _check(chosen)
    with opened_store(settings) as store:
        request = _request(chosen, datetime.now(UTC))
        report, found = _compared(store, request)
        keep(store, report)
        repaired = _repaired(store, request, found) if repair else None
        is_gross = chosen.source.policy.amount_basis is AmountBasis.GROSS
        _show(store, report, repaired, customer, is_gross=is_gross, as_json=as_json)
    if report.unexplained:
        raise click.exceptions.Exit(1)


def _check(chosen: Chosen) -> None:
    if chosen.against is not Against.API and chosen.file is None:
        raise UsageError(
            f"--against {chosen.against}: name the file: pulsora-bridge audit --against {chosen.against} FILE"
        )
    if chosen.against is Against.API and chosen.file is not None:
        raise UsageError("FILE: say what it is: --against stripe-csv or --against stripe-sigma-csv")
    if chosen.against is not Against.API and chosen.source.processor != "stripe":
        raise UsageError(f"--against {chosen.against}: source {chosen.source.name} is not of Stripe")
    if chosen.first and chosen.last and chosen.last < chosen.first:
        raise UsageError("--to: is before --from")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--time-zone: {name!r} is not a time zone. Example: Europe/Berlin") from None


def _request(chosen: Chosen, now: datetime) -> Request:
    first, last, totals, changes = chosen.first, chosen.last, None, None
    if chosen.file is None:
        totals = totals_of(chosen.source)
        if totals.livemode is not chosen.livemode:
            mode = "live mode: leave out --test" if totals.livemode else "test mode: add --test"
            raise UsageError(f"the API key of source {chosen.source.name} is of {mode}")
    else:
        begins, ends = _days_of(chosen, now)
        first, last = first or begins, last or ends
        changes = _changes(chosen)
    last = last or now.astimezone(chosen.zone).date()
    return Request(
        source=chosen.source,
        first=first or last - timedelta(days=DEFAULT_DAYS),
        last=last,
        now=now,
        against=chosen.against,
        zone=chosen.zone,
        livemode=chosen.livemode,
        totals=totals,
        changes=changes,
        exported_at=None if chosen.file is None else datetime.fromtimestamp(chosen.file.stat().st_mtime, UTC),
    )


def totals_of(source: Source) -> Totals:
    """The lists of a source's processor. Raises UsageError without a key."""
    api_of(source)
    assert source.api_key is not None
    found = processors()[source.processor].connect_totals(source.api_key, source.options)
    if found is None:
        raise UsageError(f"source {source.name}: {processors()[source.processor].title} has no lists to compare with")
    return found


def _changes(chosen: Chosen) -> Iterator[MrrChange]:
    assert chosen.file is not None
    try:
        with chosen.file.open(encoding="utf-8-sig", newline="") as lines:
            yield from READERS[chosen.against](lines)
    except (exports.Unusable, UnicodeDecodeError) as error:
        raise BridgeError(f"{chosen.file}: {error}") from error


def _days_of(chosen: Chosen, now: datetime) -> tuple[date, date]:
    """The first and the last day of a file."""
    today = now.astimezone(chosen.zone).date()
    first, last = date.max, date.min
    for one in _changes(chosen):
        day = one.at.astimezone(chosen.zone).date() if one.at is not None else one.local_day
        if day is not None:
            first, last = min(first, day), max(last, day)
    return (first, last) if first <= last else (today, today)


def _compared(store: Store, request: Request) -> tuple[Report, list[Difference]]:
    found: list[Difference] = []
    try:
        with _counting("rows") as count:
            report = run(store, request, on_row=count)
    except (ApiError, Unreadable) as error:
        raise BridgeError(f"{sentence(str(error))} Nothing was compared; run it again") from error
    found.extend(report.differences)
    return report, found


@contextmanager
def _counting(what: str) -> Iterator[Callable[[], None]]:
    with progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda: bar.advance(task)


def _repaired(store: Store, request: Request, found: Sequence[Difference]) -> Repaired:
    source = request.source
    repair = Repair(
        store=store, source=source, api=api_of(source), totals=request.totals or totals_of(source),
        livemode=request.livemode,
    )  # fmt: skip
    try:
        with progress() as bar:
            task = bar.add_task("events", total=None)
            return repair.run(found, request.span.since, request.now, lambda listed: bar.update(task, completed=listed))
    except (ApiError, Incomplete) as error:
        raise BridgeError(f"{sentence(str(error))} What had been fetched is stored. Run it again") from error


# ---- Output --------------------------------------------------------------------------------------------------------


def _show(
    store: Store, report: Report, repaired: Repaired | None, customer: str | None, *, is_gross: bool, as_json: bool
) -> None:
    if as_json:
        print_json(as_fields(report, repaired))
        return
    mode = "" if report.livemode else ", test mode"
    days = f"{report.first} to {report.last}, days in {report.time_zone}"
    print_table(
        f"{report.source}{mode} against {report.against}, {days}",
        ["figure", "currency", "here", "processor", "difference"],
        [(*key, amount(ours), amount(theirs), _gap(ours - theirs)) for key, ours, theirs in _sums(report.days)],
        right={"here", "processor", "difference"},
    )
    differing = [one for one in report.days if one.amount]
    if differing and customer is None:
        _print_days(differing)
    if customer is not None:
        _print_customer(store, report, customer)
    elif report.differences:
        _print_rows(report)
    click.echo(_verdict(report))
    if not is_gross and report.against == Against.API:
        click.echo("Revenue was not compared: AMOUNT_BASIS=net_of_tax, and the lists state amounts with tax.")
    if repaired is not None:
        click.echo(_repair_text(repaired))


def _sums(days: Sequence[DayTotal]) -> list[tuple[tuple[str, str], Decimal, Decimal]]:
    """The sum of each figure and currency; of MRR, the present level, or that of the last day."""
    found: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for one in days:
        is_level = one.measure == "mrr" and one.day is not None
        key = (
            "mrr by day, last day" if is_level else f"{one.measure}{', present' if one.measure == 'mrr' else ''}",
            one.currency,
        )
        ours, theirs = (ZERO, ZERO) if is_level else found.get(key, (ZERO, ZERO))
        found[key] = (ours + one.ours, theirs + one.theirs)
    figures = list(dict.fromkeys(figure for figure, _ in found))
    codes = currency_order(Counter(one.currency for one in days))
    order = sorted(found, key=lambda key: (figures.index(key[0]), codes.index(key[1])))
    return [(key, *found[key]) for key in order]


def _print_days(differing: Sequence[DayTotal]) -> None:
    print_table(
        f"Days that differ{_more(len(differing))}",
        ["day", "figure", "currency", "here", "processor", "difference"],
        [
            (
                one.day or "now",
                one.measure,
                one.currency,
                amount(one.ours),
                amount(one.theirs),
                _gap(one.amount),
            )
            for one in differing[:SHOWN]
        ],
        right={"here", "processor", "difference"},
    )


def _print_rows(report: Report) -> None:
    print_table(
        f"Rows that differ{_more(report.differing)}",
        ["day", "figure", "of", "currency", "here", "processor", "difference", "cause"],
        [(*_cells(one), one.cause) for one in report.differences[:SHOWN]],
        right={"here", "processor", "difference"},
        whole={"of"},
    )
    print_table(
        "Causes",
        ["cause", "rows", "meaning"],
        [
            (cause, f"{count:,}", DETAILS[cause])
            for cause, count in sorted(report.counts.items(), key=lambda one: -one[1])
        ],
        right={"rows"},
    )


def _cells(one: Difference) -> tuple[object, ...]:
    figures = (amount(one.ours), amount(one.theirs), _gap(one.amount))
    return (one.day or "now", one.measure, one.key or "all", one.currency, *figures)


def _gap(difference: Decimal) -> str:
    return signed_amount(difference) if difference else amount(difference)


def _more(count: int) -> str:
    return f", the first {SHOWN} of {count:,}" if count > SHOWN else ""


def _print_customer(store: Store, report: Report, customer: str) -> None:
    """The rows of a customer, and the webhooks and revenue events behind them."""
    archive = Archive(store=store, scope=Scope(report.source, None, report.livemode))
    with store.reading() as tx:
        stream_id = archive.stream_of(tx, [customer])
        own = [
            one for one in report.differences
            if customer in (one.key, one.customer_id) or (stream_id and archive.stream_of(tx, [one.key]) == stream_id)
        ]  # fmt: skip
        webhooks = inbox.of_stream(tx, stream_id, list(InboxStatus)) if stream_id else []
        events = outbox.of_stream(tx, stream_id) if stream_id else []
    print_table(
        f"Rows of {customer} that differ",
        ["day", "figure", "of", "currency", "here", "processor", "difference", "cause", ""],
        [(*_cells(one), one.cause, one.detail) for one in own],
        right={"here", "processor", "difference"},
    )
    print_table(
        "Webhooks",
        ["created", "id", "type", "status", "revenue events"],
        [(timestamp(one.created_at), one.event_id, one.type, one.status, one.revenue_event_count) for one in webhooks],
        whole={"id"},
    )
    print_table(
        "Revenue events",
        ["occurred", "type", "amount", "MRR", "currency", "transaction", "status"],
        [
            (
                "" if one.occurred_at is None else timestamp(one.occurred_at), one.event_type, amount(one.amount),
                "" if one.mrr_impact is None else signed_amount(one.mrr_impact), one.currency, one.transaction_id,
                one.status,
            )
            for one in events
        ],
        right={"amount", "MRR"},
        whole={"transaction"},
    )  # fmt: skip


def _verdict(report: Report) -> str:
    compared = f"{quantity(report.compared, 'row')} compared"
    if not report.differing:
        return f"{compared}; nothing differs."
    named = ", ".join(f"{cause} {count:,}" for cause, count in sorted(report.counts.items(), key=lambda one: -one[1]))
    return f"{compared}; {report.differing:,} differ: {named}."


def _repair_text(repaired: Repaired) -> str:
    if not repaired.total:
        return "Nothing was missing that could be fetched."
    parts = [
        quantity(count, what)
        for count, what in (
            (repaired.events, "event"), (repaired.objects, "object"), (repaired.subscriptions, "subscription")
        )
        if count
    ]  # fmt: skip
    return f"Fetched and stored for the worker: {', '.join(parts)}. Run audit again when it has processed them."


def as_fields(report: Report, repaired: Repaired | None = None) -> dict[str, object]:
    """A report for programs."""
    return {
        "source": report.source, "livemode": report.livemode, "against": report.against, "from": report.first,
        "to": report.last, "time_zone": report.time_zone, "at": report.at, "compared": report.compared,
        "differing": report.differing, "unexplained": report.unexplained, "causes": dict(report.counts),
        "days": [
            {"figure": one.measure, "day": one.day, "currency": one.currency, "here": one.ours, "processor": one.theirs}
            for one in report.days
        ],
        "rows": [
            {
                "figure": one.measure, "day": one.day, "currency": one.currency, "of": one.key, "here": one.ours,
                "processor": one.theirs, "difference": one.amount, "cause": one.cause, "detail": one.detail,
                "customer": one.customer_id or None,
            }
            for one in report.differences
        ],
        "repaired": None if repaired is None else repaired.total,
    }  # fmt: skip
