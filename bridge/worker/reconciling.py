"""Reconciles each source with an API key on schedule and after every gap, in the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge.monitoring.silence import read_silence
from bridge.reconciliation.endpoints import faults_of
from bridge.reconciliation.missing_events import Incomplete, oldest_kept, store_missing
from bridge.reconciliation.schedule import Reason, Situation, Span, reason_to_run, span
from bridge.settings import Settings, Source
from bridge.store import Store, arrivals, inbox, leases, reconciliations, refusals
from bridge.store.reconciliations import Run
from processors.interface import Api

log = structlog.get_logger()

LEASE = timedelta(minutes=10)  # extended while events are listed
EVENTS_PER_EXTENSION = 200


class Stopped(Exception):
    """The worker stops, or another one has taken over: the run is not recorded, and is repeated from its beginning."""


@dataclass(kw_only=True)
class Reconciler:
    """Runs over all sources. `stopping`: whether to end between two events."""

    store: Store
    settings: Settings
    apis: Mapping[str, Api]
    owner: str
    started_at: datetime
    stopping: Callable[[], bool] = field(default=lambda: False)
    _tried: set[str] = field(default_factory=set, init=False)

    @property
    def has_caught_up(self) -> bool:
        """Whether each source has been tried since the start, so that what it missed is in the inbox.

        A source whose API fails does not hold up the others.
        """
        return not self.settings.reconcile_hours or self._tried >= set(self.apis)

    def run(self, now: datetime) -> None:
        """Reconciles the sources for which there is a reason."""
        interval = timedelta(hours=self.settings.reconcile_hours)
        for name, api in self.apis.items():
            source = self.settings.sources[name]
            with self.store.reading() as tx:
                situation = self._situation(tx, source, now)
            reason = reason_to_run(situation, now, interval) if interval else None
            if reason is None:
                self._tried.add(name)
            elif self._acquire(name, now):
                self._reconcile(source, api, situation, reason, now)
                self._tried.add(name)

    def _situation(self, tx: Connection, source: Source, now: datetime) -> Situation:
        refused = [one.last_at for one in refusals.since(tx, now - refusals.RETENTION) if one.source == source.name]
        complete = reconciliations.latest_complete(tx, source.name)
        return Situation(
            started_at=self.started_at,
            last=reconciliations.latest(tx, source.name),
            complete=complete,
            silent_since=read_silence(tx, source.name, source.silence_hours, now).silent_since,
            refused_at=max(refused, default=None),
            accepted_at=arrivals.last_at(tx, source.name),
            first_at=None if complete else inbox.first_received_at(tx, source.name),
            last_at=None if complete else inbox.last_received_at(tx, source.name),
        )

    def _reconcile(self, source: Source, api: Api, of: Situation, reason: Reason, now: datetime) -> None:
        faults = faults_of(source, self.settings.public_url)
        wanted = span(of, now, oldest_kept(source, now), is_faulty=bool(faults))
        try:
            listed, stored = self._store_missing(source, api, wanted)
            error = None
        except Incomplete as incomplete:
            listed, stored, error = incomplete.listed, incomplete.stored, str(incomplete)
        except Stopped:
            return
        run = Run(
            source=source.name, at=now, since=wanted.since, until=wanted.until, reason=reason.value, listed=listed,
            stored=stored, lost_since=wanted.lost_since, faults=faults, error=error,
        )  # fmt: skip
        with self.store.transaction() as tx:
            reconciliations.add(tx, run)
            leases.release(tx, _lease_name(source.name))
        log_run(run)

    def _store_missing(self, source: Source, api: Api, wanted: Span) -> tuple[int, int]:
        def on_event(listed: int) -> None:
            is_due = listed % EVENTS_PER_EXTENSION == 0
            if self.stopping() or (is_due and not self._acquire(source.name, datetime.now(UTC))):
                raise Stopped

        if wanted.until <= wanted.since:
            return 0, 0
        return store_missing(self.store, source, api, wanted.since, wanted.until, on_event)

    def _acquire(self, source: str, now: datetime) -> bool:
        """One worker at a time reconciles a source."""
        with self.store.transaction() as tx:
            return leases.acquire(tx, _lease_name(source), self.owner, now, now + LEASE)


def _lease_name(source: str) -> str:
    return f"reconcile:{source}"


def log_run(run: Run) -> None:
    """Logs the result: as a warning if anything was missing or wrong."""
    bound = log.bind(source=run.source, because=run.reason, since=run.since.isoformat(), listed=run.listed)
    for fault in run.faults or ():
        log.error("endpoint_wrong", source=run.source, reason=fault)
    if run.lost_since is not None:
        log.warning(
            "events_expired",
            source=run.source,
            since=run.lost_since.isoformat(),
            until=run.since.isoformat(),
            reason="the processor keeps no events of this time any more. Compare the totals: pulsora-bridge import",
        )
    if run.error is not None:
        bound.warning("not_reconciled", stored=run.stored, reason=run.error)
    elif run.stored:
        bound.warning("missing_webhooks_stored", stored=run.stored)
    else:
        bound.info("reconciled", stored=0)
