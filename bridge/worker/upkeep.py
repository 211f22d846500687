"""What a year of running needs: raw bodies purged once they have served, a little at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, inbox

log = structlog.get_logger()

EVERY = timedelta(minutes=10)
AT_ONCE = 500
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Upkeep:
    """Runs the upkeep at most every ten minutes, more often only while there is a lot to purge."""

    store: Store
    settings: Settings
    next_at: datetime = LONG_AGO

    def run(self, now: datetime) -> None:
        """Purges one batch of bodies that were settled longer ago than `RETENTION_DAYS`."""
        if now < self.next_at:
            return
        with self.store.transaction() as tx:
            purged = inbox.purge(tx, now - timedelta(days=self.settings.retention_days), AT_ONCE)
        if purged:
            log.info("purged", count=purged)
        self.next_at = now + (timedelta(seconds=5) if purged == AT_ONCE else EVERY)
