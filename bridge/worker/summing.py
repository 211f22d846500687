"""Sums the revenue events of whole days, so that the reports of a long history are fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bridge.errors import StoreUnavailable
from bridge.store import Store, daily_sums, series
from bridge.store.daily_sums import Days

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Summing:
    """Sums what is missing, a month in a transaction, which takes a few milliseconds."""

    store: Store

    def run(self, now: datetime) -> int:
        """Sums all days that have no sums; returns how many. Stops when others use the outbox without a pause."""
        with self.store.reading() as tx:
            missing = daily_sums.months(_unsummed(tx, now))
        count = 0
        for days in missing:
            try:
                with self.store.transaction() as tx:
                    daily_sums.lock(tx)
                    count += daily_sums.add(tx, days)
            except StoreUnavailable as error:
                log.debug("days_not_summed", reason=str(error))
                break
        if count:
            log.info("days_summed", count=count)
        return count


def _unsummed(tx: Connection, now: datetime) -> Iterator[Days]:
    for livemode in (True, False):
        for currency in series.currency_codes(tx, livemode):
            first, last = series.first_day(tx, livemode, currency), daily_sums.last_summed(now)
            if first is not None and first <= last:
                yield from daily_sums.unsummed(tx, Days(livemode=livemode, currency=currency, first=first, last=last))
