"""The overview: how everything stands at one moment, and what somebody should look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.formatting import duration
from bridge.store import Store, inbox, leases, outbox, pauses, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import Backlog, DeliveryStatus
from bridge.store.pauses import Pause
from bridge.store.streams import StreamCounts
from bridge.store.totals import Sum, Total, sums, totals

SILENT_SECONDS = 60  # a worker gives a sign of life far more often

Counts = Mapping[str, Mapping[str, int]]  # by source, then by status


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the first page shows. `eta`: how long the backlog takes at the allowed pace."""

    now: datetime
    inbox: Counts
    outbox: Counts
    streams: StreamCounts
    backlog: Backlog
    eta: timedelta | None
    pauses: tuple[Pause, ...]
    worker_seen_at: datetime | None
    oldest_at: datetime | None
    totals: tuple[Total, ...]
    sums: tuple[Sum, ...]

    @property
    def troubles(self) -> list[str]:
        """What somebody should look at, a sentence each; none: everything runs."""
        return list(_troubles(self))


def look(store: Store, per_hour: int, now: datetime) -> Overview:
    """Everything at once, as one reading of the store."""
    with store.reading() as tx:
        backlog, told = outbox.backlog(tx), sums(tx)
        return Overview(
            now=now,
            inbox=_by_source(inbox.counts(tx)),
            outbox=_by_source(outbox.counts(tx)),
            streams=streams.counts(tx, now),
            backlog=backlog,
            eta=timedelta(hours=backlog.count / per_hour) if per_hour and backlog.count else None,
            pauses=tuple(pauses.paused(tx, now)),
            worker_seen_at=max(leases.beats(tx).values(), default=None),
            oldest_at=inbox.oldest_unsettled(tx),
            totals=tuple(totals(told)),
            sums=tuple(told),
        )


def _troubles(seen: Overview) -> Iterator[str]:
    if seen.worker_seen_at is None:
        yield "No worker has been seen. Start one: pulsora-bridge serve (or worker)."
    elif (silent := (seen.now - seen.worker_seen_at).total_seconds()) > SILENT_SECONDS:
        yield f"No worker has been seen for {duration(silent)}. Start one: pulsora-bridge serve (or worker)."
    for pause in seen.pauses:
        yield f"Nothing is sent to {pause.destination} until {pause.until:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"
    dead = sum(counts.get(DeliveryStatus.FAILED, 0) for counts in seen.outbox.values())
    if dead:
        yield f"Revenue events given up: {dead:,}. Each says why, and can be sent again."
    failed = sum(counts.get(InboxStatus.FAILED, 0) for counts in seen.inbox.values())
    if failed:
        yield f"Webhooks that could not be read or folded: {failed:,}. Each says why, and is tried again each hour."


def _by_source(counts: Mapping[tuple[str, InboxStatus], int] | Mapping[tuple[str, DeliveryStatus], int]) -> Counts:
    found: dict[str, dict[str, int]] = {}
    for (source, status), count in sorted(counts.items()):
        found.setdefault(source, {})[status.value] = count
    return found
