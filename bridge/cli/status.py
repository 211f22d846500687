"""`status`: webhooks and revenue events by status, the backlog, the revenue totals, and problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from bridge.alerts.notices import read_notices
from bridge.cli.environment import opened_store, read_settings
from bridge.cli.output import fields_of, json_option, print_json, print_table
from bridge.formatting import duration, quantity, sentence, timestamp
from bridge.monitoring.health import Health, pause_advice, read_health
from bridge.monitoring.status import Counts, Status, read_status
from bridge.sender import amount_rules
from bridge.store import interventions
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.totals import Total

TOTALS = (
    "source", "mode", "currency", "revenue delivered", "MRR delivered", "pending", "MRR pending", "not sent",
    "MRR not sent",
)  # fmt: skip


@click.command(short_help="Show webhooks and revenue events by status, backlog, totals and problems.")
@json_option
def status(as_json: bool) -> None:
    """Show webhooks and revenue events by status, the backlog, the revenue totals, and problems."""
    settings = read_settings()
    with opened_store(settings) as store:
        seen = read_status(store, settings.rate_limit_per_hour, datetime.now(UTC))
        with store.reading() as tx:
            health = read_health(tx, seen.now)
            alerts = [one.text for one in read_notices(tx, settings, seen.now)]
            cures = {setting: interventions.failed_with(tx, setting) for setting in amount_rules.SETTINGS}
    if as_json:
        print_json({**_for_programs(seen), "refused": [one.text for one in health.refusals], "alerts": alerts})
        return
    webhook_statuses, delivery_statuses = list(InboxStatus), list(DeliveryStatus)
    print_table(
        "Webhooks", ("source", *webhook_statuses), _by_status(seen.inbox, webhook_statuses), right=webhook_statuses
    )
    print_table(
        "Revenue events",
        ("source", *delivery_statuses),
        _by_status(seen.outbox, delivery_statuses),
        right=delivery_statuses,
    )
    print_table("Totals", TOTALS, [_cells(one) for one in seen.totals], right=TOTALS[3:])
    problems = [*_refusals(health), *(f"ALERT: {one}" for one in alerts), *_problems(seen), *_cures(cures)]
    for line in [*_progress(seen, settings.rate_limit_per_hour), *problems, _worker(seen)]:
        click.echo(line)


def _by_status(counts: Counts, statuses: Sequence[str]) -> list[list[object]]:
    """A row per source, a column per status."""
    return [[source, *(own.get(status, "") for status in statuses)] for source, own in sorted(counts.items())]


def _cells(one: Total) -> list[object]:
    values = list(fields_of(one).values())
    return [*values[:5], *(value or "" for value in values[5:])]  # delivered revenue is shown even if it is 0


def _progress(seen: Status, per_hour: int) -> list[str]:
    now, streams, backlog, lines = seen.now, seen.streams, seen.backlog, []
    if streams.waiting or streams.due or streams.leased:
        waiting = quantity(streams.waiting, "customer")
        lines.append(f"Settling: {waiting} waiting, {streams.due} due, {streams.leased} in progress.")
    if wait := seen.next_wait:
        lines.append(f"The next wait ends at {timestamp(wait.until)} UTC: {wait.cause}.")
    if seen.overdue_since is not None:
        age, at = duration(now - seen.overdue_since), timestamp(seen.overdue_since)
        lines.append(f"Webhooks have been overdue for {age}, since {at} UTC.")
    unsent = seen.queues
    if unsent.sendable:
        eta = f" At {per_hour} an hour, sending takes about {duration(seen.eta)}." if seen.eta else ""
        lines.append(f"{quantity(unsent.sendable, 'revenue event')} to send.{eta}")
    if unsent.retrying:
        lines.append(f"{quantity(unsent.retrying, 'revenue event')} waiting for another attempt.")
    if backlog.oldest is not None:
        lines.append(f"The oldest unsent revenue event was created {duration(now - backlog.oldest)} ago.")
    return lines


def _problems(seen: Status) -> list[str]:
    """Conditions that need an operator, with the command that shows them."""
    lines = [
        f"PAUSED until {timestamp(one.until)} UTC: {one.address}: {sentence(one.reason)} {pause_advice(one)}."
        for one in seen.pauses
    ]
    if held := _total(seen.outbox, DeliveryStatus.HELD):
        first = seen.queues.first_hold_until
        until = f", the first until {timestamp(first)} UTC" if first else ""
        lines.append(f"HELD for their attribution: {held:,}{until}. pulsora-bridge deliveries list --status held")
    if failed := _total(seen.outbox, DeliveryStatus.FAILED):
        lines.append(f"FAILED deliveries: {failed:,}. pulsora-bridge deliveries list --status failed")
    if failed := _total(seen.inbox, InboxStatus.FAILED):
        lines.append(f"FAILED webhooks: {failed:,}. pulsora-bridge webhooks list --status failed")
    return lines


def _refusals(health: Health) -> list[str]:
    """The webhooks that were refused in the last hour, and the usual reason."""
    return [f"REFUSED: {notice.text}" for notice in health.refusals]


def _cures(counts: Mapping[str, int]) -> list[str]:
    """The settings that cure deliveries which were rejected because of their amount."""
    return [
        f"REJECTED because of the amount: {count:,}. To cure it, {amount_rules.advice(setting)}"
        for setting, count in counts.items()
        if count
    ]


def _worker(seen: Status) -> str:
    if seen.worker_seen_at is None:
        return "No worker is running. Start one: pulsora-bridge serve (or worker)."
    return f"Last heartbeat of a worker: {duration(seen.now - seen.worker_seen_at)} ago."


def _total(counts: Counts, status: str) -> int:
    return sum(own.get(status, 0) for own in counts.values())


def _for_programs(seen: Status) -> Mapping[str, object]:
    return {
        **fields_of(seen),
        "streams": fields_of(seen.streams),
        "backlog": fields_of(seen.backlog),
        "queues": fields_of(seen.queues),
        "eta": seen.eta and seen.eta.total_seconds(),
        "pauses": [fields_of(one) for one in seen.pauses],
        "totals": [fields_of(one) for one in seen.totals],
        "sums": [fields_of(one) for one in seen.sums],
    }
