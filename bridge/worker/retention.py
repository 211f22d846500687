"""Deletes the bodies of old webhooks and old attempts, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, attempts, inbox

log = structlog.get_logger()

INTERVAL = timedelta(minutes=10)
INTERVAL_WITH_BACKLOG = timedelta(seconds=1)
BATCH = 100  # small, because SQLite's write lock is held for one batch, and webhooks wait for it
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Retention:
    """Purges at most every ten minutes, more often only while there is a backlog."""

    store: Store
    settings: Settings
    next_at: datetime = LONG_AGO
    after: int = 0

    def run(self, now: datetime) -> None:
        """Purges, among the next oldest bodies and attempts, those that are older than `RETENTION_DAYS`.

        A body is as old as its webhook's settlement.
        """
        if now < self.next_at:
            return
        with self.store.transaction() as tx:
            before = now - timedelta(days=self.settings.retention_days)
            purged = inbox.purge(tx, before, BATCH, self.after)
            old_attempts = attempts.purge(tx, before, BATCH)
        if purged.count or old_attempts:
            log.info("purged", count=purged.count, attempts=old_attempts)
        self.after = purged.after or 0
        is_done = purged.after is None and old_attempts < BATCH
        self.next_at = now + (INTERVAL if is_done else INTERVAL_WITH_BACKLOG)
