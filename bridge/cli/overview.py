"""Looking over all of it: status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from bridge.cli.here import as_json, clock, opened, plain, settings, show, span, tell
from bridge.store import Store, inbox, leases, outbox, pauses, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import Backlog, DeliveryStatus, Sum
from bridge.store.pauses import Pause
from bridge.store.streams import StreamCounts
from bridge.store.totals import Total, totals

Counts = Mapping[tuple[str, str], int]  # by source and status


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that `status` shows, as it stood at `now`. `eta`: how long the backlog takes under the budget."""

    now: datetime
    inbox: Counts
    outbox: Counts
    streams: StreamCounts
    backlog: Backlog
    eta: timedelta | None
    pauses: tuple[Pause, ...]
    worker_seen_at: datetime | None
    oldest_unsettled_at: datetime | None
    sums: tuple[Sum, ...]


@click.command(short_help="What is stored, what waits, what was sent, and what it adds up to.")
@as_json
def status(as_json: bool) -> None:
    """What is stored, what waits and until when, what was sent, and what it adds up to."""
    found = settings()
    with opened(found) as store:
        seen = overview(store, found.rate_limit_per_hour, datetime.now(UTC))
    if as_json:
        tell(_for_programs(seen))
        return
    for title, counts, statuses in (
        ("Webhooks", seen.inbox, list(InboxStatus)),
        ("Revenue events", seen.outbox, list(DeliveryStatus)),
    ):
        show(title, ("source", *statuses), pivot(counts, statuses), right=statuses)
    columns = ("source", "mode", "currency", "revenue told", "MRR told", "to come", "MRR to come", "never", "MRR never")
    cells = [_cells(one) for one in totals(seen.sums)]
    show("What it adds up to", columns, cells, right=columns[3:])
    for line in sentences(seen, found.rate_limit_per_hour):
        click.echo(line)


def _cells(one: Total) -> list[object]:
    values = list(plain(one).values())
    return [*values[:5], *(value or "" for value in values[5:])]  # what was told also when it is 0


def overview(store: Store, per_hour: int, now: datetime) -> Overview:
    """Everything at once, as one reading of the store."""
    with store.reading() as tx:
        backlog = outbox.backlog(tx)
        return Overview(
            now=now,
            inbox={(source, state.value): count for (source, state), count in inbox.counts(tx).items()},
            outbox={(source, state.value): count for (source, state), count in outbox.counts(tx).items()},
            streams=streams.counts(tx, now),
            backlog=backlog,
            eta=timedelta(hours=backlog.count / per_hour) if per_hour and backlog.count else None,
            pauses=tuple(pauses.paused(tx, now)),
            worker_seen_at=max(leases.beats(tx).values(), default=None),
            oldest_unsettled_at=inbox.oldest_unsettled(tx),
            sums=tuple(outbox.sums(tx)),
        )


def pivot(counts: Counts, statuses: Sequence[str]) -> list[list[object]]:
    """A row a source, a column a status."""
    sources = sorted({source for source, _ in counts})
    return [[source, *(counts.get((source, state), "") for state in statuses)] for source in sources]


def sentences(seen: Overview, per_hour: int) -> list[str]:
    """What a table would not say."""
    now, counts, backlog = seen.now, seen.streams, seen.backlog
    told = []
    if counts.waiting or counts.due or counts.leased:
        told.append(
            f"{counts.waiting} customers wait for their quiet window to end, {counts.due} are due, "
            f"{counts.leased} are being settled."
        )
    if seen.oldest_unsettled_at is not None:
        age = span((now - seen.oldest_unsettled_at).total_seconds())
        told.append(f"The oldest webhook that is not through arrived {age} ago, {clock(seen.oldest_unsettled_at)} UTC.")
    if backlog.count and backlog.oldest is not None:
        pace = f", at {per_hour} an hour about {span(seen.eta.total_seconds())}" if seen.eta else ""
        age = span((now - backlog.oldest).total_seconds())
        told.append(f"{backlog.count} revenue events wait to be sent{pace}; the oldest for {age}.")
    told += _trouble(seen)
    if seen.worker_seen_at is None:
        return [*told, "No worker has been seen. Start one: pulsora-bridge serve (or worker)."]
    return [*told, f"A worker was last seen {span(max((now - seen.worker_seen_at).total_seconds(), 0))} ago."]


def _trouble(seen: Overview) -> list[str]:
    """What somebody should look at."""
    told = [f"PAUSED until {clock(one.until)} UTC: {one.destination}: {one.reason}" for one in seen.pauses]
    dead = sum(count for (_, state), count in seen.outbox.items() if state == DeliveryStatus.DEAD)
    failed = sum(count for (_, state), count in seen.inbox.items() if state == InboxStatus.FAILED)
    if dead:
        told.append(f"DEAD: {dead} revenue events were given up: pulsora-bridge deliveries list --status dead")
    if failed:
        told.append(f"FAILED: {failed} webhooks could not be read: pulsora-bridge events list --status failed")
    return told


def _for_programs(seen: Overview) -> Mapping[str, object]:
    return {
        **plain(seen),
        "inbox": _nested(seen.inbox),
        "outbox": _nested(seen.outbox),
        "streams": plain(seen.streams),
        "backlog": plain(seen.backlog),
        "eta": seen.eta and seen.eta.total_seconds(),
        "pauses": [plain(one) for one in seen.pauses],
        "sums": [plain(one) for one in seen.sums],
        "totals": [plain(one) for one in totals(seen.sums)],
    }


def _nested(counts: Counts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (source, state), count in sorted(counts.items()):
        found.setdefault(source, {})[state] = count
    return found
