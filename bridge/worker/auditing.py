"""Audits each source with an API key every `AUDIT_HOURS`, in the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bridge.audit.keeping import keep, keep_failure
from bridge.audit.records import Report
from bridge.audit.run import Request, run
from bridge.settings import Settings, Source
from bridge.store import Store, audits, leases
from processors import processors
from processors.interface import ApiError
from processors.payload import Unreadable

log = structlog.get_logger()

DAYS = timedelta(days=30)
LEASE = timedelta(minutes=10)  # extended while rows are read
ROWS_PER_EXTENSION = 5000
AFTER_START = timedelta(minutes=15)  # a new bridge has something to compare then


class Lost(Exception):
    """Another worker has taken over."""


@dataclass(kw_only=True)
class Auditor:
    """The audits of all sources."""

    store: Store
    settings: Settings
    owner: str
    started_at: datetime | None = None
    _rows: int = 0

    def run(self, now: datetime) -> None:
        """Audits the sources that are due."""
        self.started_at = self.started_at or now
        interval = timedelta(hours=self.settings.audit_hours)
        for source in self.settings.sources.values() if interval else ():
            if source.api_key is None or not self._is_due(source, interval, now):
                continue
            if self._acquire(source, now):
                self._audit(source, now)

    def _is_due(self, source: Source, interval: timedelta, now: datetime) -> bool:
        with self.store.reading() as tx:
            last = audits.latest(tx, source.name)
        if last is None:
            return self.started_at is not None and now - self.started_at >= AFTER_START
        return now - last.at >= interval

    def _audit(self, source: Source, now: datetime) -> None:
        assert source.api_key is not None
        totals = processors()[source.processor].connect_totals(source.api_key, source.options)
        if totals is None:
            return
        first, last = (now - DAYS).date(), now.date()
        request = Request(source=source, first=first, last=last, now=now, totals=totals, livemode=totals.livemode)
        self._rows = 0
        try:
            report = run(self.store, request, on_row=lambda: self._extend(source, now))
        except Lost:
            return
        except (ApiError, Unreadable) as error:
            keep_failure(self.store, source.name, first, last, now, str(error))
            log.warning("not_audited", source=source.name, reason=str(error))
        else:
            keep(self.store, report)
            log_report(report)
        with self.store.transaction() as tx:
            leases.release(tx, _lease_name(source))

    def _extend(self, source: Source, now: datetime) -> None:
        self._rows += 1
        if self._rows % ROWS_PER_EXTENSION == 0 and not self._acquire(source, now):
            raise Lost

    def _acquire(self, source: Source, now: datetime) -> bool:
        """One worker at a time audits a source."""
        with self.store.transaction() as tx:
            return leases.acquire(tx, _lease_name(source), self.owner, now, now + LEASE)


def _lease_name(source: Source) -> str:
    return f"audit {source.name}"


def log_report(report: Report) -> None:
    """Logs a result: its rows by cause, without ids."""
    counts = {cause.value: count for cause, count in report.counts.items()}
    bound = log.bind(source=report.source, compared=report.compared, causes=counts)
    if report.unexplained:
        bound.error("audit_differs", unexplained=report.unexplained)
    else:
        bound.info("audited", unexplained=0)
