"""The worker's loops: one routes, settles and purges, the other sends. Idle loops wait; errors do not end them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import structlog
from sqlalchemy import Connection

from bridge import clock, telemetry
from bridge.alerts.monitor import Monitor
from bridge.errors import BridgeError
from bridge.monitoring import metrics
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher, RoundReport
from bridge.settings import Settings
from bridge.store import Store, leases, open_store, outbox, streams
from bridge.worker import identity
from bridge.worker.auditing import Auditor
from bridge.worker.convergence import Convergence
from bridge.worker.enrichment import Enricher, connect_all
from bridge.worker.measuring import Measuring
from bridge.worker.reconciling import Reconciler
from bridge.worker.retention import Retention
from bridge.worker.routing import BATCH as ROUTING_BATCH
from bridge.worker.routing import route
from bridge.worker.schedules import Job, Schedules
from bridge.worker.settling import BATCH as SETTLING_BATCH
from bridge.worker.settling import Enrich, settle_due
from bridge.worker.summing import Summing
from bridge.worker.translation import Translations

log = structlog.get_logger()

IDLE_SECONDS = 0.25
ERROR_SECONDS = 2.0
SHARE_SECONDS = 1.0  # of one pass, for routing and settling each, so that a backlog of one never starves the other
SCHEDULE_SECONDS = 5.0  # between two looks whether something on schedule is due
SUMMING_SECONDS = 60.0
AUDIT_LOOK_SECONDS = 60.0
HEARTBEAT_INTERVAL = timedelta(seconds=10)
MAX_LEASE = timedelta(minutes=5)  # longer than every lease of a worker
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def run(settings: Settings, stop: Event, store: Store | None = None) -> None:
    """Works until `stop` is set. Sending has its own thread, so that a slow ingest never delays settling."""
    own = store if store is not None else open_store(settings.database_url)
    telemetry.configure(settings.otlp_endpoint, settings.otlp_headers, "worker")
    worker = Worker(store=own, settings=settings, owner=identity.own_name())
    sender = Thread(target=worker.send, args=(stop,), name="sender", daemon=True)
    log.info("worker_started", owner=worker.owner, sources=sorted(settings.sources))
    with suppress(BridgeError):
        # Before the first claim: only workers with a heartbeat are found by `_rescue_orphaned` after a kill.
        worker.heartbeat(datetime.now(UTC))
    sender.start()
    telemetry.measure(Measuring(store=own, settings=settings, owner=worker.owner).read, metrics.ALL)
    schedules = Schedules(worker.jobs(stop), stop)
    schedules.start()
    worker.process(stop)
    sender.join(timeout=30)
    schedules.join()
    telemetry.shut_down()
    if not sender.is_alive():  # else it may still be sending what it has claimed: its leases must expire
        worker.release()
    if store is None:
        own.close()
    log.info("worker_stopped", owner=worker.owner)


@dataclass(kw_only=True)
class Worker:
    """The two loops of a worker process over one store."""

    store: Store
    settings: Settings
    owner: str
    _last_heartbeat: datetime = field(default=LONG_AGO, init=False)
    _has_abandoned_claims: bool = field(default=False, init=False)
    _reconciler: Reconciler | None = field(default=None, init=False)
    _translations: Translations = field(init=False)

    def __post_init__(self) -> None:
        self._translations = Translations(self.settings)

    def process(self, stop: Event) -> None:
        """Routes, settles and purges until stopped."""
        apis = connect_all(self.settings)
        enrich = Enricher(store=self.store, apis=apis).enrich if apis else None
        retention = Retention(store=self.store, settings=self.settings)
        convergence = Convergence(store=self.store, apis=apis, owner=self.owner, may_begin=self._has_caught_up)

        def route_batch() -> int:
            return route(self.store, self.settings, self.owner, datetime.now(UTC), apis, self._translations)

        def settle_batch() -> int:
            return self.settle(datetime.now(UTC), enrich)

        def run_pass() -> bool:
            now = datetime.now(UTC)
            self.heartbeat(now)
            count = _repeat(route_batch, ROUTING_BATCH, stop)
            count += _repeat(settle_batch, SETTLING_BATCH, stop)
            retention.run(now)
            count += convergence.run(now)
            return count > 0

        _loop(run_pass, stop)

    def jobs(self, stop: Event) -> list[Job]:
        """The work on schedule: sums of whole days, and what the settings ask for."""
        jobs = [Job(name="daily sums", step=Summing(store=self.store).run, seconds=SUMMING_SECONDS)]
        if apis := connect_all(self.settings):
            self._reconciler = reconciler = Reconciler(
                store=self.store,
                settings=self.settings,
                apis=apis,
                owner=self.owner,
                started_at=datetime.now(UTC),
                stopping=stop.is_set,
            )
            jobs.append(Job(name="reconcile", step=reconciler.run, seconds=SCHEDULE_SECONDS))
            auditor = Auditor(store=self.store, settings=self.settings, owner=self.owner)
            jobs.append(Job(name="audit", step=auditor.run, seconds=AUDIT_LOOK_SECONDS))
        if self.settings.alert_urls:
            monitor = Monitor(store=self.store, settings=self.settings, owner=self.owner)
            jobs.append(Job(name="alerts", step=monitor.look, seconds=SCHEDULE_SECONDS))
        return jobs

    def _has_caught_up(self) -> bool:
        return self._reconciler is None or self._reconciler.has_caught_up

    def send(self, stop: Event) -> None:
        """Delivers until stopped."""
        settings = self.settings
        dispatcher = Dispatcher(
            self.store,
            {
                name: Destination(endpoint=source.endpoint, token=source.token)
                for name, source in settings.sources.items()
                if not source.dry_run
            },
            owner=self.owner,
            threads=settings.sender_threads,
            per_hour=settings.rate_limit_per_hour,
            stop=stop,
        )
        _loop(lambda: _is_busy(dispatcher.run_round(datetime.now(UTC), clock.uptime())), stop)
        dispatcher.close()

    def settle(self, now: datetime, enrich: Enrich | None = None) -> int:
        """Settles one batch; returns how many streams. Streams of a batch that failed before are released first."""
        if self._has_abandoned_claims:
            # The store failed after the claim. Without this the streams would wait for their leases to expire.
            with self.store.transaction() as tx:
                streams.release_all(tx, self.owner)
            self._has_abandoned_claims = False
        try:
            return settle_due(self.store, self.settings, self.owner, now, enrich, self._translations)
        except BridgeError:
            self._has_abandoned_claims = True
            raise

    def heartbeat(self, now: datetime) -> None:
        """Records every ten seconds that this worker is alive, and rescues the claims of workers that are not."""
        # A last heartbeat in the future means that the clock was set back: then a new one is due at once.
        if self._last_heartbeat <= now < self._last_heartbeat + HEARTBEAT_INTERVAL:
            return
        with self.store.transaction() as tx:
            leases.heartbeat(tx, self.owner, now)
            _rescue_orphaned(tx, now)
        self._last_heartbeat = now

    def release(self) -> None:
        """Releases all leases of this worker and deletes its heartbeat, so that the next worker need not wait."""
        with suppress(BridgeError), self.store.transaction() as tx:
            _release_all(tx, self.owner)
            leases.delete_heartbeat(tx, self.owner)


def _rescue_orphaned(tx: Connection, now: datetime) -> None:
    """Releases the claims of killed workers of this machine, so that they continue at once, not when leases expire."""
    for owner, at in leases.heartbeats(tx).items():
        if not identity.has_ended(owner):
            continue
        if count := _release_all(tx, owner):
            log.info("rescued", owner=owner, count=count)
        # The heartbeat is kept until no lease of that worker can be left: PostgreSQL may commit a transaction that the
        # worker had begun after the worker itself is gone.
        if now - at > MAX_LEASE:
            leases.delete_heartbeat(tx, owner)


def _release_all(tx: Connection, owner: str) -> int:
    leases.release_all(tx, owner)
    return streams.release_all(tx, owner) + outbox.release_all(tx, owner)


def _repeat(step: Callable[[], int], full: int, stop: Event) -> int:
    """Repeats a step while it returns a full batch, at most for its share of the pass; returns the sum."""
    total, until = 0, time.monotonic() + SHARE_SECONDS
    while True:
        count = step()
        total += count
        if count < full or stop.is_set() or time.monotonic() >= until:
            return total


def _is_busy(report: RoundReport) -> bool:
    return report.claimed > 0 or report.sent > 0 or report.in_flight > 0


def _loop(step: Callable[[], bool], stop: Event) -> None:
    """Repeats a step until stopped: at once while it is busy, after a wait when it is idle or has failed."""
    while not stop.is_set():
        try:
            busy = step()
        except BridgeError as error:
            log.warning("worker_waits", reason=str(error))
            stop.wait(ERROR_SECONDS)
        except Exception:  # a bug must not end the worker: the other webhooks are to be processed
            log.exception("worker_failed")
            stop.wait(ERROR_SECONDS)
        else:
            if not busy:
                stop.wait(IDLE_SECONDS)
