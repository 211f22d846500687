"""The sender threads: each takes a claimed delivery, sends it if that is still allowed, and decides the outcome."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Mapping
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event, Thread

import structlog

from bridge.sender import payload
from bridge.sender.http_client import HttpClient, Response
from bridge.sender.outcomes import Attempt, Decision, decide, describe, invalid, unclaim
from bridge.sender.retry_policy import Verdict
from bridge.store.attempts import NewAttempt
from processors.values import Value

log = structlog.get_logger()

# A delivery that waited longer than this for a thread is unclaimed: its lease and its rate limit reservation are for
# now, and a POST that starts late could outlive the lease.
MAX_WAIT = timedelta(seconds=10)


class Job(Value):
    """An attempt to be made. `closed`: by destination and origin, set by the first thread that finds it refusing."""

    attempt: Attempt
    closed: Mapping[str, Event]
    claimed_at: datetime
    claimed_clock: float  # time.monotonic() at the same instant

    def now(self) -> datetime:
        """The time, by the clock of the claim."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.claimed_clock)


class Result(Value):
    """An attempt and the decision on it. `response` None: nothing was sent."""

    attempt: Attempt
    decision: Decision
    response: Response | None = None

    @property
    def is_probe_without_answer(self) -> bool:
        """Whether it is a probe that says nothing about its destination: not sent, or rejected for its own content."""
        is_about_event = self.response is None or self.decision.verdict is Verdict.GIVE_UP
        return self.attempt.refused_since is not None and is_about_event


def attempt_of(result: Result) -> NewAttempt:
    """The record of an attempt that was made. Without the response's text a 2xx is only its status."""
    outcome, response = result.decision.outcome, result.response
    return NewAttempt(
        delivery_id=outcome.id,
        at=outcome.at,
        status=response.status if response else None,
        response=describe(response) if response else "",
        took_ms=response.took_ms if response else 0,
        result=outcome.status,
    )


class SenderPool:
    """A fixed number of sender threads. Daemons: a server that never responds does not keep the process alive."""

    def __init__(self, client: HttpClient, threads: int, stop: Event) -> None:
        self._client = client
        self._stop = stop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._results: SimpleQueue[Result] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"sender-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job for the next free thread."""
        self._jobs.put(job)

    def results(self, wanted: int, seconds: float) -> list[Result]:
        """The results since the last call. Waits until there are `wanted`, at most that long."""
        deadline = time.monotonic() + seconds
        results: list[Result] = []
        while True:
            try:
                if len(results) < wanted:
                    results.append(self._results.get(timeout=max(deadline - time.monotonic(), 0)))
                else:
                    results.append(self._results.get_nowait())
            except Empty:
                return results

    def shut_down(self) -> None:
        """Lets every thread end after its present job."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._results.put(self._run(job))

    def _run(self, job: Job) -> Result:
        attempt, now = job.attempt, job.now()
        is_closed = self._stop.is_set() or any(event.is_set() for event in job.closed.values())
        if is_closed or now - job.claimed_at > MAX_WAIT:
            return Result(attempt=attempt, decision=unclaim(attempt.delivery, now))
        problems = payload.problems(payload.load(attempt.delivery.body))
        if problems:
            return Result(attempt=attempt, decision=invalid(attempt.delivery, problems, now))
        response = self._post(attempt)
        decision = decide(attempt, response, job.now(), random.random())
        if decision.pause:
            # Before the pause is on disk: the other threads must not send the rest of the batch into a refusal.
            job.closed[decision.pause.target].set()
        return Result(attempt=attempt, decision=decision, response=response)

    def _post(self, attempt: Attempt) -> Response:
        token = attempt.destination.token
        try:
            body = payload.body(attempt.delivery.body, token)
            return self._client.post(attempt.destination.endpoint, token, body)
        except Exception as error:  # a bug must lose neither the claimed delivery nor the thread
            frames = "".join(traceback.format_tb(error.__traceback__))  # without the message, which may hold the token
            log.error("post_failed", delivery_id=attempt.delivery.id, reason=type(error).__name__, frames=frames)
            return Response(status=None, reason=f"unexpected {type(error).__name__}", took_ms=0)
