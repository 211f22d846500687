"""Looking over all of it: status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from bridge.cli.output import as_json, clock, counted, opened, plain, settings, show, tell
from bridge.span import span
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.totals import Total
from bridge.web.overview import Counts, Overview, look

SUMS = ("source", "mode", "currency", "revenue told", "MRR told", "to come", "MRR to come", "never", "MRR never")


@click.command(short_help="What is stored, what waits, what was sent, and what it adds up to.")
@as_json
def status(as_json: bool) -> None:
    """What is stored, what waits and until when, what was sent, and what it adds up to."""
    found = settings()
    with opened(found) as store:
        seen = look(store, found.rate_limit_per_hour, datetime.now(UTC))
    if as_json:
        tell(_for_programs(seen))
        return
    stages, fates = list(InboxStatus), list(DeliveryStatus)
    show("Webhooks", ("source", *stages), by_status(seen.inbox, stages), right=stages)
    show("Revenue events", ("source", *fates), by_status(seen.outbox, fates), right=fates)
    show("What it adds up to", SUMS, [_cells(one) for one in seen.totals], right=SUMS[3:])
    for line in sentences(seen, found.rate_limit_per_hour):
        click.echo(line)


def by_status(counts: Counts, statuses: Sequence[str]) -> list[list[object]]:
    """A row a source, a column a status."""
    return [[source, *(own.get(status, "") for status in statuses)] for source, own in sorted(counts.items())]


def _cells(one: Total) -> list[object]:
    values = list(plain(one).values())
    return [*values[:5], *(value or "" for value in values[5:])]  # what was told also when it is 0


def sentences(seen: Overview, per_hour: int) -> list[str]:
    """What a table would not say."""
    told = [*_moving(seen, per_hour), *_troubles(seen)]
    if seen.worker_seen_at is None:
        return [*told, "No worker has been seen. Start one: pulsora-bridge serve (or worker)."]
    return [*told, f"A worker was last seen {span((seen.now - seen.worker_seen_at).total_seconds())} ago."]


def _moving(seen: Overview, per_hour: int) -> list[str]:
    """What is on its way, and for how long."""
    now, streams, backlog, told = seen.now, seen.streams, seen.backlog, []
    if streams.waiting or streams.due or streams.leased:
        waiting = counted(streams.waiting, "customer")
        told.append(f"In the quiet window: {waiting}; due: {streams.due}; being settled: {streams.leased}.")
    if seen.oldest_at is not None:
        age = span((now - seen.oldest_at).total_seconds())
        told.append(f"The oldest webhook that is not through arrived {age} ago, {clock(seen.oldest_at)} UTC.")
    if backlog.count and backlog.oldest is not None:
        pace = f" At {per_hour} an hour they take about {span(seen.eta.total_seconds())}." if seen.eta else ""
        age = span((now - backlog.oldest).total_seconds())
        told.append(f"{counted(backlog.count, 'revenue event')} on the way, the oldest for {age}.{pace}")
    return told


def _troubles(seen: Overview) -> list[str]:
    """What somebody should look at, with the command that shows it."""
    told = [f"PAUSED until {clock(one.until)} UTC: {one.destination}: {one.reason}" for one in seen.pauses]
    held, dead = _total(seen.outbox, DeliveryStatus.HELD), _total(seen.outbox, DeliveryStatus.DEAD)
    failed = _total(seen.inbox, InboxStatus.FAILED)
    if held:
        told.append(f"HELD for their visit: {held:,}. pulsora-bridge deliveries list --status held")
    if dead:
        told.append(f"DEAD, given up: {dead:,}. pulsora-bridge deliveries list --status dead")
    if failed:
        told.append(f"FAILED, could not be read: {failed:,}. pulsora-bridge events list --status failed")
    return told


def _total(counts: Counts, status: str) -> int:
    return sum(own.get(status, 0) for own in counts.values())


def _for_programs(seen: Overview) -> Mapping[str, object]:
    return {
        **plain(seen),
        "streams": plain(seen.streams),
        "backlog": plain(seen.backlog),
        "eta": seen.eta and seen.eta.total_seconds(),
        "pauses": [plain(one) for one in seen.pauses],
        "totals": [plain(one) for one in seen.totals],
        "sums": [plain(one) for one in seen.sums],
    }
