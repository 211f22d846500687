"""The overview: counts, backlog, pauses and revenue totals at one moment, and the problems among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.formatting import duration, timestamp
from bridge.store import Store, inbox, leases, outbox, pauses, queues, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import Backlog, DeliveryStatus
from bridge.store.pauses import Pause
from bridge.store.queues import Queues, Wait
from bridge.store.streams import StreamCounts
from bridge.store.totals import Sum, Total, sums, totals

WORKER_SILENT_AFTER = timedelta(seconds=60)  # a worker writes a heartbeat every 10 seconds

Counts = Mapping[str, Mapping[str, int]]  # source -> status -> rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of the bridge at `now`.

    `eta`: how long the events that can be sent now take at the allowed rate; None without any, or without a limit.
    Held events and those that wait for another attempt are not among them.
    `worker_seen_at`: the latest heartbeat of any worker. `overdue_since`: since when a
    webhook should have been processed. `next_wait`: the wait that ends next.
    """

    now: datetime
    inbox: Counts
    outbox: Counts
    streams: StreamCounts
    backlog: Backlog
    queues: Queues
    eta: timedelta | None
    pauses: tuple[Pause, ...]
    worker_seen_at: datetime | None
    overdue_since: datetime | None
    next_wait: Wait | None
    totals: tuple[Total, ...]
    sums: tuple[Sum, ...]

    @property
    def problems(self) -> list[str]:
        """Conditions that need an operator, one sentence each; empty while everything works."""
        return list(_problems(self))


def read_overview(store: Store, rate_limit_per_hour: int, now: datetime) -> Overview:
    """Reads the overview in one transaction."""
    with store.reading() as tx:
        waiting, parts = queues.read(tx, now), sums(tx)
        sendable = waiting.pending - waiting.retrying
        return Overview(
            now=now,
            inbox=_by_source(inbox.counts(tx)),
            outbox=_by_source(outbox.counts(tx)),
            streams=streams.counts(tx, now),
            backlog=outbox.backlog(tx),
            queues=waiting,
            eta=timedelta(hours=sendable / rate_limit_per_hour) if rate_limit_per_hour and sendable > 0 else None,
            pauses=tuple(pauses.active(tx, now)),
            worker_seen_at=latest_heartbeat(tx),
            overdue_since=queues.overdue_since(tx, now),
            next_wait=queues.next_wait(tx, now),
            totals=tuple(totals(parts)),
            sums=tuple(parts),
        )


def latest_heartbeat(tx: Connection) -> datetime | None:
    """The latest heartbeat of any worker; None if there is none."""
    return max(leases.heartbeats(tx).values(), default=None)


def is_worker_alive(heartbeat_at: datetime | None, now: datetime) -> bool:
    """Whether a worker is running, judged by the latest heartbeat. The one rule of the pages, `check` and `status`."""
    return heartbeat_at is not None and now - heartbeat_at <= WORKER_SILENT_AFTER


def _problems(seen: Overview) -> Iterator[str]:
    start_one = "Start one: pulsora-bridge serve (or worker)."
    if seen.worker_seen_at is None:
        yield f"No worker is running. {start_one}"
    elif not is_worker_alive(seen.worker_seen_at, seen.now):
        yield f"No worker has been running for {duration(seen.now - seen.worker_seen_at)}. {start_one}"
    for pause in seen.pauses:
        yield f"Sending to {pause.address} is paused until {timestamp(pause.until)} UTC: {pause.reason}"
    if count := _total(seen.outbox, DeliveryStatus.FAILED):
        yield f"Failed deliveries: {count:,}. Review the reasons and retry them."
    if count := _total(seen.inbox, InboxStatus.FAILED):
        yield f"Failed webhooks: {count:,}. They are retried every hour; each lists its reason."


def _total(counts: Counts, status: str) -> int:
    return sum(by_status.get(status, 0) for by_status in counts.values())


def _by_source(counts: Mapping[tuple[str, InboxStatus], int] | Mapping[tuple[str, DeliveryStatus], int]) -> Counts:
    found: dict[str, dict[str, int]] = {}
    for (source, status), count in sorted(counts.items()):
        found.setdefault(source, {})[status.value] = count
    return found
