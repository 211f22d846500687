"""Deletes the bodies of old webhooks, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, inbox

log = structlog.get_logger()

INTERVAL = timedelta(minutes=10)
INTERVAL_WITH_BACKLOG = timedelta(seconds=5)
BATCH = 500  # small, because SQLite's write lock is held for one batch, and webhooks wait for it
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Retention:
    """Purges at most every ten minutes, more often only while there is a backlog."""

    store: Store
    settings: Settings
    next_at: datetime = LONG_AGO
    after: int = 0

    def run(self, now: datetime) -> None:
        """Purges, among the next oldest bodies, those that were settled longer ago than `RETENTION_DAYS`."""
        if now < self.next_at:
            return
        with self.store.transaction() as tx:
            purged = inbox.purge(tx, now - timedelta(days=self.settings.retention_days), BATCH, self.after)
        if purged.count:
            log.info("purged", count=purged.count)
        self.after = purged.after or 0
        self.next_at = now + (INTERVAL if purged.after is None else INTERVAL_WITH_BACKLOG)
