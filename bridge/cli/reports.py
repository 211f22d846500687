"""Reports from the revenue events in the store: `mrr`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from bridge.cli.environment import opened_store, read_settings
from bridge.cli.output import json_option, print_json, print_table
from bridge.errors import UsageError
from bridge.formatting import amount, signed_amount
from bridge.monitoring.mrr import MrrReport, read_mrr
from bridge.monitoring.periods import Period, months_before
from bridge.monitoring.report_json import plain
from bridge.store import series
from bridge.store.delivery_columns import Movement
from bridge.store.series import Selection

day_option = click.DateTime(formats=["%Y-%m-%d"])


@click.command(short_help="Show the present MRR and its movements.")
@click.option("--by", "period", type=click.Choice([one.value for one in Period]), default="month", show_default=True)
@click.option("--since", type=day_option, help="The first day, in UTC. [default: twelve months ago]")
@click.option("--until", type=day_option, help="The last day, in UTC. [default: today]")
@click.option("--currency", help="Only this currency.")
@click.option("--source", help="Only this source.")
@click.option("--plan", help="Only this plan.")
@click.option("--test", "is_test", is_flag=True, help="Test money instead of live money.")
@json_option
def mrr(
    period: str,
    since: datetime | None,
    until: datetime | None,
    currency: str | None,
    source: str | None,
    plan: str | None,
    is_test: bool,
    as_json: bool,
) -> None:
    """Show the present MRR and its movements: new, reactivation, upgrade, downgrade, churn.

    The level includes baselines: MRR that is older than the bridge and was not reported to Pulsora.
    """
    settings, today = read_settings(), datetime.now(UTC).date()
    if source is not None and source not in settings.sources:
        raise UsageError(f"there is no source {source}. Configured: {', '.join(sorted(settings.sources))}")
    first, last = _days(since, until, today)
    with opened_store(settings) as store, store.reading() as tx:
        livemode = not is_test and series.is_live(tx)
        reports = [
            read_mrr(
                tx,
                Selection(livemode=livemode, currency=code, first=first, last=last, source=source, plan=plan),
                Period(period),
                today,
            )
            for code in series.currencies(tx, livemode)
            if currency is None or code == currency.upper()
        ]
    if as_json:
        print_json([plain(one) for one in reports])
        return
    if not reports:
        click.echo("No revenue events yet.")
    for report in reports:
        _print(report)


def _days(since: datetime | None, until: datetime | None, today: date) -> tuple[date, date]:
    last = until.date() if until else today
    first = since.date() if since else months_before(last, 11)
    if first > last:
        raise UsageError("--since is after --until")
    return first, last


def _print(report: MrrReport) -> None:
    selection = report.selection
    mode = "" if selection.livemode else ", test money"
    older = f" ({amount(report.baseline)} of it older than the bridge)" if report.baseline else ""
    names = [movement.value for movement in Movement]
    rows = [
        (
            bucket.span.label,
            *(signed_amount(bucket.movements[one].mrr) if bucket.movements[one].count else "" for one in Movement),
            signed_amount(bucket.net),
            "" if bucket.level is None else amount(bucket.level),
        )
        for bucket in report.buckets
    ]
    print_table(
        f"MRR now: {amount(report.now)} {selection.currency}{older}{mode}",
        (report.period.value, *names, "net", "MRR at its end"),
        rows,
        right=(*names, "net", "MRR at its end"),
        whole=(report.period.value,),
    )
