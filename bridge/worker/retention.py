"""What a year of running needs: raw bodies purged once they have served, a little at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, inbox

log = structlog.get_logger()

EVERY = timedelta(minutes=10)
WHILE_THERE_ARE_MORE = timedelta(seconds=5)
AT_ONCE = 500
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Upkeep:
    """Runs the upkeep at most every ten minutes, more often only while there is a lot to purge."""

    store: Store
    settings: Settings
    next_at: datetime = LONG_AGO
    after: int = 0

    def run(self, now: datetime) -> None:
        """Purges, of the next oldest bodies, those that were settled longer ago than `RETENTION_DAYS`."""
        if now < self.next_at:
            return
        with self.store.transaction() as tx:
            purged = inbox.purge(tx, now - timedelta(days=self.settings.retention_days), AT_ONCE, self.after)
        if purged.count:
            log.info("purged", count=purged.count)
        self.after = purged.after or 0
        self.next_at = now + (EVERY if purged.after is None else WHILE_THERE_ARE_MORE)
