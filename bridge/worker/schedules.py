"""Work of the worker on schedule, each in its own thread, so that a slow API or mail server never delays settling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

import structlog

from bridge.errors import BridgeError

log = structlog.get_logger()

JOIN_SECONDS = 5.0
ERROR_SECONDS = 30.0  # before the next look after an error, so that a lasting one does not fill the log


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`step(now)` looks whether something is due, and does it; `seconds` between two looks."""

    name: str
    step: Callable[[datetime], object]
    seconds: float


class Schedules:
    """The threads of some jobs, until stopped."""

    def __init__(self, jobs: list[Job], stop: Event) -> None:
        self._stop = stop
        self._threads = [Thread(target=self._repeat, args=(job,), name=job.name, daemon=True) for job in jobs]

    def start(self) -> None:
        """Starts them."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until they have ended, at most some seconds each: a request to another system may be under way."""
        for thread in self._threads:
            thread.join(timeout=JOIN_SECONDS)

    def _repeat(self, job: Job) -> None:
        while not self._stop.is_set():
            is_done = run_step(job)
            self._stop.wait(job.seconds if is_done else max(job.seconds, ERROR_SECONDS))


def run_step(job: Job) -> bool:
    """One look; returns whether it succeeded. An error does not end the schedule."""
    try:
        job.step(datetime.now(UTC))
    except BridgeError as error:
        log.warning("schedule_waits", schedule=job.name, reason=str(error))
    except Exception:
        log.exception("schedule_failed", schedule=job.name)
    else:
        return True
    return False
