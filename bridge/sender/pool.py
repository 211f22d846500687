"""The threads that post: each takes a claimed event, sends it if it still may, and says what follows."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event, Thread

import structlog

from bridge.sender import contract
from bridge.sender.client import Answer, Client
from bridge.sender.rulings import Ruling, Trial, broken, handed_back, ruling

log = structlog.get_logger()

# Longer after its claim than this an event is handed back: its lease and its place in the budget are for now.
FRESH = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A claimed event. A gate that is set stops it; `gates` has those of its destination and its origin, by name."""

    trial: Trial
    gates: Mapping[str, Event]
    claimed_at: datetime
    claimed_clock: float  # of time.monotonic()

    def now(self) -> datetime:
        """The instant, by the clock that the claim was made by."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.claimed_clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job, what follows for it, and the answer that it got. None: it was not sent."""

    job: Job
    ruling: Ruling
    answer: Answer | None = None


class Crew:
    """So many posting threads. They are daemons: one that waits for a silent server does not keep the process alive."""

    def __init__(self, client: Client, threads: int, stop: Event) -> None:
        self._client = client
        self._stop = stop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: SimpleQueue[Done] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"sender-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def give(self, job: Job) -> None:
        """Have a job done when a thread is free."""
        self._jobs.put(job)

    def finished(self, wanted: int, seconds: float) -> list[Done]:
        """What has been done since: waits for so many, but no longer than that."""
        until = time.monotonic() + seconds
        done: list[Done] = []
        while True:
            try:
                if len(done) < wanted:
                    done.append(self._done.get(timeout=max(until - time.monotonic(), 0)))
                else:
                    done.append(self._done.get_nowait())
            except Empty:
                return done

    def dismiss(self) -> None:
        """Let every thread end after what it is doing."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._done.put(self._do(job))

    def _do(self, job: Job) -> Done:
        delivery = job.trial.delivery
        now = job.now()
        if self._stop.is_set() or now - job.claimed_at > FRESH or any(gate.is_set() for gate in job.gates.values()):
            return Done(job=job, ruling=handed_back(delivery, now))
        problems = contract.problems(contract.load(delivery.body))
        if problems:
            return Done(job=job, ruling=broken(delivery, problems, now))
        answer = self._post(job)
        follows = ruling(job.trial, answer, job.now(), random.random())
        if follows.halt:
            job.gates[follows.halt.name].set()
        return Done(job=job, ruling=follows, answer=answer)

    def _post(self, job: Job) -> Answer:
        destination = job.trial.destination
        try:
            body = contract.body(job.trial.delivery.body, destination.token)
            return self._client.post(destination.endpoint, destination.token, body)
        except Exception as error:  # a fault of ours must lose neither the claimed event nor the thread
            frames = "".join(traceback.format_tb(error.__traceback__))  # without the message, which may hold the token
            log.error("post_failed", delivery_id=job.trial.delivery.id, reason=type(error).__name__, frames=frames)
            return Answer(status=None, reason=f"unexpected {type(error).__name__}", took_ms=0)
