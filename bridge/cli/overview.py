"""Looking over all of it: status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click

from bridge.cli.here import as_json, clock, opened, plain, settings, show, tell
from bridge.store import Store, inbox, leases, outbox, pauses, streams
from bridge.store.outbox import Backlog, Sum
from bridge.store.pauses import Pause
from bridge.store.streams import StreamCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that `status` shows, as it stood at `now`. `eta`: how long the backlog takes under the budget."""

    now: datetime
    inbox: Mapping[str, int]
    outbox: Mapping[str, int]
    streams: StreamCounts
    backlog: Backlog
    eta: timedelta | None
    pauses: tuple[Pause, ...]
    worker_seen_at: datetime | None
    oldest_unsettled_at: datetime | None
    sums: tuple[Sum, ...]


@click.command()
@as_json
def status(as_json: bool) -> None:
    """What is stored, what waits and until when, what was sent, and what it adds up to."""
    found = settings()
    with opened(found) as store:
        seen = overview(store, found.rate_limit_per_hour, datetime.now(UTC))
    if as_json:
        told = plain(seen)
        lists = {name: [plain(one) for one in getattr(seen, name)] for name in ("pauses", "sums")}
        tell({**told, **lists, "streams": plain(seen.streams), "backlog": plain(seen.backlog)})
        return
    show("Webhooks stored", ("source and status", "events"), seen.inbox.items(), right=("events",))
    show("Revenue events", ("source and status", "events"), seen.outbox.items(), right=("events",))
    columns = ("source", "mode", "currency", "revenue", "MRR told")
    show("Sums", columns, totals(seen.sums), right=("revenue", "MRR told"))
    for line in sentences(seen, found.rate_limit_per_hour):
        click.echo(line)


def overview(store: Store, per_hour: int, now: datetime) -> Overview:
    """Everything at once, as one reading of the store."""
    with store.reading() as tx:
        backlog = outbox.backlog(tx)
        return Overview(
            now=now,
            inbox={f"{source} {state}": count for (source, state), count in sorted(inbox.counts(tx).items())},
            outbox={f"{source} {state}": count for (source, state), count in sorted(outbox.counts(tx).items())},
            streams=streams.counts(tx, now),
            backlog=backlog,
            eta=timedelta(hours=backlog.count / per_hour) if per_hour and backlog.count else None,
            pauses=tuple(pauses.paused(tx, now)),
            worker_seen_at=max(leases.beats(tx).values(), default=None),
            oldest_unsettled_at=inbox.oldest_unsettled(tx),
            sums=tuple(outbox.sums(tx)),
        )


def totals(sums: Iterable[Sum]) -> list[tuple[str, str, str, Decimal, Decimal]]:
    """Revenue and MRR by source, mode and currency, over all that came out."""
    found: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = {}
    for one in sums:
        key = (one.source, "live" if one.livemode else "test", one.currency)
        amount, mrr = found.get(key, (Decimal(0), Decimal(0)))
        found[key] = (amount + one.amount, mrr + one.mrr_impact)
    return [(*key, amount, mrr) for key, (amount, mrr) in sorted(found.items())]


def sentences(seen: Overview, per_hour: int) -> list[str]:
    """What a table would not say."""
    counts = seen.streams
    told = [
        f"{counts.waiting} customers wait for their window, {counts.due} are due, {counts.leased} are being settled."
    ]
    if seen.oldest_unsettled_at is not None:
        told.append(f"The oldest webhook that is not through arrived {clock(seen.oldest_unsettled_at)} UTC.")
    if seen.backlog.count:
        pace = f", about {seen.eta} at {per_hour} an hour" if seen.eta else ""
        told.append(f"{seen.backlog.count} revenue events wait to be sent{pace}.")
    told += [f"PAUSED until {clock(one.until)} UTC: {one.destination}: {one.reason}" for one in seen.pauses]
    if seen.worker_seen_at is None:
        return [*told, "No worker has been seen. Start one: pulsora-bridge serve (or worker)."]
    return [*told, f"A worker was last seen {(seen.now - seen.worker_seen_at).total_seconds():.0f} s ago."]


COMMANDS = (status,)
