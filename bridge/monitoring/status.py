"""The numbers of `status`: webhooks and revenue events by status, backlog, pauses and revenue totals at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bridge.monitoring.heartbeat import latest_heartbeat
from bridge.store import Store, inbox, outbox, pauses, queues, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import Backlog, DeliveryStatus
from bridge.store.pauses import Pause
from bridge.store.queues import Queues, Wait
from bridge.store.streams import StreamCounts
from bridge.store.totals import Sum, Total, sums, totals
from processors.values import Value

Counts = Mapping[str, Mapping[str, int]]  # source -> status -> rows


class Status(Value):
    """The state of the bridge at `now`.

    `eta`: as `Queues.eta`. `worker_seen_at`: the latest heartbeat of any worker. `overdue_since`: since when a webhook
    should have been processed. `next_wait`: the wait that ends next.
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


def read_status(store: Store, rate_limit_per_hour: int, now: datetime) -> Status:
    """Reads the numbers in one transaction."""
    with store.reading() as tx:
        waiting, parts = queues.read(tx, now), sums(tx)
        return Status(
            now=now,
            inbox=_by_source(inbox.counts(tx)),
            outbox=_by_source(outbox.counts(tx)),
            streams=streams.counts(tx, now),
            backlog=outbox.backlog(tx),
            queues=waiting,
            eta=waiting.eta(rate_limit_per_hour),
            pauses=tuple(pauses.active(tx, now)),
            worker_seen_at=latest_heartbeat(tx),
            overdue_since=queues.overdue_since(tx, now),
            next_wait=queues.next_wait(tx, now),
            totals=tuple(totals(parts)),
            sums=tuple(parts),
        )


def _by_source(counts: Mapping[tuple[str, InboxStatus], int] | Mapping[tuple[str, DeliveryStatus], int]) -> Counts:
    found: dict[str, dict[str, int]] = {}
    for (source, status), count in sorted(counts.items()):
        found.setdefault(source, {})[status.value] = count
    return found
