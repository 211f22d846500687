"""Watches in a web process whether a worker is alive, and sends the alerts while none is: a dead worker cannot."""

from __future__ import annotations

import os
import socket
import threading
from datetime import UTC, datetime
from weakref import WeakSet

import structlog

from bridge.alerts import delivery
from bridge.alerts.monitor import Monitor, Send
from bridge.errors import BridgeError
from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.settings import Settings
from bridge.store import Store

log = structlog.get_logger()

SECONDS = 5.0  # between two looks


class WorkerWatch:
    """A thread of a web process. It reads one small table while a worker is alive, and does nothing else."""

    def __init__(self, store: Store, settings: Settings, send: Send = delivery.send) -> None:
        self._store = store
        self._settings = settings
        self._send = send
        self._gone_since: datetime | None = None
        _watches.add(self)

    def start(self) -> None:
        """Starts the thread, in this process."""
        threading.Thread(target=self._repeat, name="worker watch", daemon=True).start()

    def look(self, now: datetime) -> int:
        """One look; returns how many messages were sent."""
        with self._store.reading() as tx:
            is_alive = is_worker_alive(latest_heartbeat(tx), now)
        if is_alive:
            self._gone_since = None
            return 0
        # A worker that stops gracefully deletes its heartbeat: since when it is gone, only this process knows.
        self._gone_since = self._gone_since or now
        owner = f"web:{socket.gethostname()}:{os.getpid()}"
        monitor = Monitor(store=self._store, settings=self._settings, owner=owner, send=self._send)
        return monitor.look(now, self._gone_since)

    def _repeat(self) -> None:
        wait = threading.Event()
        while not wait.wait(SECONDS):
            try:
                self.look(datetime.now(UTC))
            except BridgeError as error:
                log.warning("worker_not_watched", reason=str(error))
            except Exception:
                log.exception("worker_watch_failed")


_watches: WeakSet[WorkerWatch] = WeakSet()


def _forked() -> None:
    for watch in _watches:
        watch.start()


os.register_at_fork(after_in_child=_forked)  # a thread does not survive a fork, and some servers load before it
