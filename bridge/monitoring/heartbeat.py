"""Whether a worker is running: the one rule of the pages, `check`, `status` and the alerts."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.store import leases

WORKER_SILENT_AFTER = timedelta(seconds=60)  # a worker writes a heartbeat every 10 seconds


def latest_heartbeat(tx: Connection) -> datetime | None:
    """The latest heartbeat of any worker; None if there is none."""
    return max(leases.heartbeats(tx).values(), default=None)


def is_worker_alive(heartbeat_at: datetime | None, now: datetime) -> bool:
    """Whether a worker is running, judged by the latest heartbeat."""
    return heartbeat_at is not None and now - heartbeat_at <= WORKER_SILENT_AFTER
