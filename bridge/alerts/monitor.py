"""Looks at the causes, and sends what is due: one sender at a time over all processes, by a lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.alerts import delivery
from bridge.alerts.causes import Found, current
from bridge.alerts.delivery import Sent
from bridge.alerts.lifecycle import Message, Step, decide, failed
from bridge.alerts.reading import LONG_AGO, observe
from bridge.settings import Settings
from bridge.store import Store, alerts, leases
from bridge.store.alerts import AlertState

log = structlog.get_logger()

LEASE_NAME = "alerts"
LEASE = timedelta(minutes=2)  # for one message, longer than the addresses take to time out

Send = Callable[[Sequence[str], Message], Sequence[Sent]]


@dataclass(kw_only=True)
class Monitor:
    """The alerts of one process."""

    store: Store
    settings: Settings
    owner: str
    send: Send = delivery.send

    def look(self, now: datetime, worker_gone_since: datetime = LONG_AGO) -> int:
        """Sends and records what is due; returns how many messages were sent. Writes nothing while nothing changes."""
        if not self._steps(now, worker_gone_since) or not self._acquire(now):
            return 0
        count = 0
        try:
            for step in self._steps(now, worker_gone_since):  # again: another process may have sent before the lease
                if not self._acquire(datetime.now(UTC)):
                    break
                state, is_sent = self._deliver(step, now)
                count += is_sent
                with self.store.transaction() as tx:
                    alerts.save(tx, [] if state is None else [state], [step.cause.value] if state is None else [])
        finally:
            with self.store.transaction() as tx:
                leases.release(tx, LEASE_NAME)
        return count

    def _steps(self, now: datetime, worker_gone_since: datetime) -> list[Step]:
        with self.store.reading() as tx:
            found = current(observe(tx, self.settings, now, worker_gone_since))
            states = alerts.all_states(tx)
        return decide(states, found, now, console_of(self.settings))

    def _acquire(self, now: datetime) -> bool:
        with self.store.transaction() as tx:
            return leases.acquire(tx, LEASE_NAME, self.owner, now, now + LEASE)

    def _deliver(self, step: Step, now: datetime) -> tuple[AlertState | None, bool]:
        """The state to write, and whether a message was sent: one address that accepts it is enough."""
        if step.message is None:
            return step.state, False
        results = self.send(self.settings.alert_urls, step.message)
        for one in results:
            if one.problem is not None:
                log.warning("alert_not_sent", address=one.name, cause=step.cause.value, reason=one.problem)
        problems = [f"{one.name}: {one.problem}" for one in results if one.problem is not None]
        if len(problems) == len(results):
            return failed(step, "; ".join(problems), now), False
        log.info("alert_sent", cause=step.cause.value, kind=step.message.kind.value, addresses=len(results))
        return step.sent, True


def read_found(store: Store, settings: Settings, now: datetime) -> list[Found]:
    """The causes that hold now, for the pages and the command line."""
    with store.reading() as tx:
        return current(observe(tx, settings, now))


def console_of(settings: Settings) -> str | None:
    """The address of the console for links; None: it is not known, or the console is disabled."""
    return settings.public_url if settings.admin_token else None
