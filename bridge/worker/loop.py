"""The worker's loop: route, settle, send, tidy up; wait when there is nothing to do; stop when told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import structlog
from sqlalchemy import Connection

from bridge import uptime
from bridge.errors import BridgeError
from bridge.sender.destinations import Destination
from bridge.sender.drain import Drain, DrainReport
from bridge.settings import Settings
from bridge.store import Store, leases, open_store, outbox, streams
from bridge.worker import owners
from bridge.worker.hydrate import connected, hydrator
from bridge.worker.route import BATCH as ROUTED
from bridge.worker.route import route
from bridge.worker.settle import BATCH as SETTLED
from bridge.worker.settle import Hydrate, settle_due
from bridge.worker.thin import complete
from bridge.worker.upkeep import Upkeep

log = structlog.get_logger()

IDLE_SECONDS = 0.25
AFTER_ERROR_SECONDS = 2.0
SHARE_SECONDS = 1.0  # of a turn, for routing and for settling each: a flood of the one never starves the other
BEAT = timedelta(seconds=10)
LONGEST_LEASE = timedelta(minutes=5)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def run(settings: Settings, stop: Event, store: Store | None = None) -> None:
    """Works until `stop` is set. Sending has a thread of its own, so that a slow ingest never delays settling."""
    own = store if store is not None else open_store(settings.database_url)
    worker = Worker(store=own, settings=settings, owner=owners.this())
    sender = Thread(target=worker.send, args=(stop,), name="sender", daemon=True)
    log.info("worker_started", owner=worker.owner, sources=sorted(settings.sources))
    with suppress(BridgeError):  # known before anything is claimed in its name
        worker.beat(datetime.now(UTC))
    sender.start()
    worker.fold(stop)
    sender.join(timeout=30)
    if not sender.is_alive():
        worker.leave()
    if store is None:
        own.close()
    log.info("worker_stopped", owner=worker.owner)


@dataclass(kw_only=True)
class Worker:
    """A worker process's two loops over one store."""

    store: Store
    settings: Settings
    owner: str
    _last_beat: datetime = field(default=LONG_AGO, init=False)
    _broke_off: bool = field(default=False, init=False)

    def fold(self, stop: Event) -> None:
        """Routes and settles until stopped."""
        apis = connected(self.settings)
        hydrate = hydrator(self.store, apis)
        upkeep = Upkeep(store=self.store, settings=self.settings)

        def turn() -> bool:
            now = datetime.now(UTC)
            self.beat(now)
            busy = complete(self.store, self.settings, apis, now)
            busy += _for_a_while(lambda: route(self.store, self.settings, self.owner, datetime.now(UTC)), ROUTED, stop)
            busy += _for_a_while(lambda: self.settle(datetime.now(UTC), hydrate), SETTLED, stop)
            upkeep.run(now)
            return busy > 0

        _keep_turning(turn, stop)

    def send(self, stop: Event) -> None:
        """Delivers until stopped."""
        settings = self.settings
        drain = Drain(
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
        _keep_turning(lambda: _is_busy(drain.drain_once(datetime.now(UTC), uptime.read())), stop)
        drain.close()

    def leave(self) -> None:
        """Gives back what is still under lease, so that whoever comes next need not wait for it."""
        with suppress(BridgeError), self.store.transaction() as tx:
            _release(tx, self.owner)
            leases.forget(tx, self.owner)

    def settle(self, now: datetime, hydrate: Hydrate | None = None) -> int:
        """Settles one batch; how many streams. Those that a failing store left in hand go back first, and are due."""
        if self._broke_off:
            with self.store.transaction() as tx:
                streams.release_all(tx, self.owner)
            self._broke_off = False
        try:
            return settle_due(self.store, self.settings, self.owner, now, hydrate)
        except BridgeError:
            self._broke_off = True
            raise

    def beat(self, now: datetime) -> None:
        """Says every ten seconds that this worker is alive, and takes over from those that are not."""
        if not self._last_beat <= now < self._last_beat + BEAT:  # also when the clock was put back
            with self.store.transaction() as tx:
                leases.beat(tx, self.owner, now)
                _inherit(tx, now)
            self._last_beat = now


def _inherit(tx: Connection, now: datetime) -> None:
    """What a worker of this machine had in hand when it was killed goes on at once, not when its leases run out.

    Looked at again until no lease of its can be left: a database may end what it began after it is gone.
    """
    for owner, at in leases.beats(tx).items():
        if not owners.has_ended(owner):
            continue
        if count := _release(tx, owner):
            log.info("took_over", owner=owner, count=count)
        if now - at > LONGEST_LEASE:
            leases.forget(tx, owner)


def _release(tx: Connection, owner: str) -> int:
    leases.give_up_all(tx, owner)
    return streams.release_all(tx, owner) + outbox.release_all(tx, owner)


def _for_a_while(step: Callable[[], int], full: int, stop: Event) -> int:
    """Takes steps while they find as much as one can hold, for its share of the turn; what they did in all."""
    total, until = 0, time.monotonic() + SHARE_SECONDS
    while True:
        done = step()
        total += done
        if done < full or stop.is_set() or time.monotonic() >= until:
            return total


def _is_busy(report: DrainReport) -> bool:
    return report.claimed > 0 or report.sent > 0 or report.in_hand > 0


def _keep_turning(turn: Callable[[], bool], stop: Event) -> None:
    """Turns at once while there is work, waits where there is none, and survives whatever the store or network does."""
    while not stop.is_set():
        try:
            busy = turn()
        except BridgeError as error:
            log.warning("worker_waits", reason=str(error))
            stop.wait(AFTER_ERROR_SECONDS)
        except Exception:
            log.exception("worker_failed")
            stop.wait(AFTER_ERROR_SECONDS)
        else:
            if not busy:
                stop.wait(IDLE_SECONDS)
