"""The dispatcher of the outbox: claim, send, record. No transaction is open while it waits for the network."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Connection

from bridge import telemetry
from bridge.clock import Uptime
from bridge.sender.claiming import Claimed, ClaimPlan, claim
from bridge.sender.destinations import Destinations
from bridge.sender.http_client import HttpClient
from bridge.sender.outcomes import Attempt, describe
from bridge.sender.pool import Job, Result, SenderPool, attempt_of
from bridge.sender.retry_policy import is_expected
from bridge.store import Store, attempts, outbox, pauses, rate_limit
from bridge.store.outbox import DeliveryStatus
from bridge.telemetry import Span
from processors.values import Value

log = structlog.get_logger()

ROUND_SECONDS = 0.25  # a round waits this long for responses; later ones belong to the next round
CLOSE_SECONDS = 20.0
# Deliveries in flight when a process is killed are sent again, so they are kept few. Eight times as many was not
# faster (measured).
MAX_IN_FLIGHT_PER_THREAD = 8


class RoundReport(Value):
    """The result of one round. `sent`: sent and recorded, so one of `delivered`, `retried`, `failed` or `paused`.

    `invalid`: failed without being sent. `in_flight`: claimed and not recorded yet. `paused_targets`: destinations and
    origins that are paused. `exhausted`: origins whose rate limit is used up.
    """

    claimed: int
    sent: int
    delivered: int
    retried: int
    failed: int
    paused: int
    invalid: int
    in_flight: int
    paused_targets: tuple[str, ...]
    exhausted: tuple[str, ...]


class Dispatcher:
    """Delivers the outbox of a store, as one of any number of processes. For one calling thread.

    `destinations`: by source. `per_hour`: the most requests to an origin in any hour, 0 for no limit.
    """

    def __init__(
        self,
        store: Store,
        destinations: Destinations,
        *,
        owner: str,
        threads: int = 8,
        per_hour: int = 2000,
        client: HttpClient | None = None,
        stop: Event | None = None,
    ) -> None:
        self._store = store
        self._plan = ClaimPlan(destinations=dict(destinations), owner=owner, per_hour=per_hour)
        self._client = client or HttpClient()
        self._stop = stop or Event()
        self._pool = SenderPool(self._client, threads, self._stop)
        self._closed: dict[str, Event] = {}  # by destination and origin: set while a pause is not on disk yet
        self._results: list[Result] = []  # not on disk yet
        self._in_flight: Counter[str] = Counter()  # by origin
        self._min_capacity, self._max_capacity = threads * 2, threads * MAX_IN_FLIGHT_PER_THREAD
        self._capacity = threads * 4
        self._clock = (
            datetime.min.replace(tzinfo=UTC),
            time.monotonic(),
        )  # the caller's time, and ours at that instant
        self._uptime: Uptime | None = None

    def run_round(self, now: datetime, uptime: Uptime | None = None) -> RoundReport:
        """Claims, sends for a quarter of a second, and records. To be called repeatedly.

        With the machine's `uptime` the rate limit holds although the clock is set. Raises what the store raises;
        responses that could not be recorded are recorded by a later call.
        """
        self._clock = (now, time.monotonic())
        self._uptime = uptime
        arrived = self._pool.results(0, 0)
        self._results += arrived
        if self._is_idle(now):
            return _report(Claimed(), [], 0)
        with self._store.transaction() as tx:
            # Recorded first: a finished delivery makes the next of its customer the head of the stream, which is then
            # claimed in the same transaction. Only heads are claimed, so that order holds over all workers.
            self._record(tx, now)
            claimed = claim(tx, self._plan, now, self._free_capacity(), self._closed_targets(), uptime)
        recorded = self._take_recorded()
        self._submit(claimed.attempts, now)
        has_more = len(claimed.attempts) >= self._capacity // 2
        responses = self._pool.results(self._results_to_wait_for(len(claimed.attempts), has_more), ROUND_SECONDS)
        self._results += responses
        if not has_more:  # else the next round, which follows at once, records them in the transaction of its claim
            recorded += self._record_rest()
        self._adapt_capacity(arrived + responses)
        return _report(claimed, recorded, self._in_flight.total())

    def _is_idle(self, now: datetime) -> bool:
        """Whether nothing is on its way and nothing is ready: one statement, without a lock."""
        if self._results or self._in_flight.total():
            return False
        with self._store.reading() as tx:
            return not outbox.is_any_ready(tx, now)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Stops sending, waits for responses, and records them. What has no response by then is sent again."""
        self._stop.set()
        self._results += self._pool.results(self._in_flight.total() - len(self._results), seconds)
        self._pool.shut_down()
        self._client.close()
        self._record_rest()

    # ---- Record ------------------------------------------------------------------------------------------------

    def _record_rest(self) -> list[Result]:
        if not self._results:
            return []
        now, since = self._clock
        with self._store.transaction() as tx:
            self._record(tx, now + timedelta(seconds=time.monotonic() - since))
        return self._take_recorded()

    def _record(self, tx: Connection, now: datetime) -> None:
        """Records outcomes and pauses, and releases the rate limit of what was not sent."""
        outbox.record(tx, [result.decision.outcome for result in self._results])
        attempts.add(tx, [attempt_of(result) for result in self._results if result.response is not None])
        for result in self._results:
            if pause := result.decision.pause:
                pauses.pause(tx, pause.target, pause.until, pause.reason, probing=pause.probing, now=now)
            if result.decision.resumes:
                pauses.resume(tx, result.attempt.destination.id)
            elif result.is_probe_without_answer:
                pauses.probe_next(tx, result.attempt.destination.id, now)
        unsent = Counter(result.attempt.origin for result in self._results if result.response is None)
        for origin, count in unsent.items():
            if self._plan.per_hour:
                rate_limit.release(tx, origin, now, count, self._uptime)

    def _take_recorded(self) -> list[Result]:
        """The results that the last transaction put on disk. They are logged, and no longer in flight."""
        recorded, self._results = self._results, []
        self._in_flight.subtract(result.attempt.origin for result in recorded)
        for result in recorded:
            pause = result.decision.pause
            if pause and self._closed.pop(pause.target, None):  # from here on the pause on disk holds
                write = log.error if pause.probing else log.warning
                write("paused", destination=pause.target, until=pause.until.isoformat(), reason=pause.reason)
            _log(result)
            _trace(result)
        return recorded

    # ---- Send --------------------------------------------------------------------------------------------------

    def _submit(self, attempts: Sequence[Attempt], now: datetime) -> None:
        clock = time.monotonic()
        for attempt in attempts:
            names = (attempt.destination.id, attempt.origin)
            closed = {name: self._closed.setdefault(name, Event()) for name in names}
            self._in_flight[attempt.origin] += 1
            self._pool.submit(Job(attempt=attempt, closed=closed, claimed_at=now, claimed_clock=clock))

    def _closed_targets(self) -> list[str]:
        return [name for name, event in self._closed.items() if event.is_set()]

    def _free_capacity(self) -> dict[str, int]:
        done = Counter(result.attempt.origin for result in self._results)
        busy = self._in_flight - done
        return {origin: max(0, self._capacity - busy[origin]) for origin in self._plan.origins()}

    def _results_to_wait_for(self, claimed: int, has_more: bool) -> int:
        """As many as were claimed, or half of those in flight when there is probably more to claim.

        Never all in flight: one of them may be waiting for a server that does not respond.
        """
        in_flight = self._in_flight.total()
        return in_flight // 2 if has_more else min(in_flight, max(1, claimed))

    def _adapt_capacity(self, arrived: Sequence[Result]) -> None:
        """Claims ahead what is sent in a second: enough to keep every thread busy, not so much that it waits long."""
        sent = sum(result.response is not None for result in arrived)
        if not sent and not self._in_flight.total():
            return
        per_second = sent / max(time.monotonic() - self._clock[1], 0.001)
        self._capacity = min(max(int(per_second), self._min_capacity), self._max_capacity)


def _report(claimed: Claimed, recorded: Sequence[Result], in_flight: int) -> RoundReport:
    statuses = Counter(result.decision.outcome.status for result in recorded if result.response)
    paused = sum(result.decision.pause is not None for result in recorded)
    unsent = Counter(result.decision.outcome.status for result in recorded if not result.response)
    return RoundReport(
        claimed=len(claimed.attempts),
        sent=statuses.total(),
        delivered=statuses[DeliveryStatus.DELIVERED],
        retried=statuses[DeliveryStatus.PENDING] - paused,
        failed=statuses[DeliveryStatus.FAILED],
        paused=paused,
        invalid=unsent[DeliveryStatus.FAILED],
        in_flight=in_flight,
        paused_targets=tuple(sorted(claimed.paused)),
        exhausted=tuple(sorted(claimed.exhausted)),
    )


def _trace(result: Result) -> None:
    """A span in the trace of the first webhook that caused the delivery, linked to the others."""
    delivery, outcome, response = result.attempt.delivery, result.decision.outcome, result.response
    if not telemetry.is_on() or response is None or not delivery.event_ids:
        return
    is_delivered = outcome.status is DeliveryStatus.DELIVERED
    telemetry.record(
        Span(
            name="deliver",
            keys=[(delivery.source, event_id) for event_id in delivery.event_ids],
            began_at=outcome.at - timedelta(milliseconds=response.took_ms),
            ended_at=outcome.at,
            attributes={
                "source": delivery.source,
                "type": delivery.event_type,
                "delivery_id": delivery.id,
                "attempt": outcome.attempts,
                "status": response.status or 0,
            },
            is_request=True,
            problem=None if is_delivered else outcome.last_error or "not delivered",
        )
    )


def _log(result: Result) -> None:
    delivery, outcome, response = result.attempt.delivery, result.decision.outcome, result.response
    facts: dict[str, object] = {
        "source": delivery.source,
        "type": delivery.event_type,
        "event_ids": list(delivery.event_ids),
        "stream": delivery.stream_id,
        "delivery_id": delivery.id,
    }
    if result.decision.resumes:
        log.info("resumed", destination=result.attempt.destination.id)
    if response:
        facts |= {"attempt": outcome.attempts, "took_ms": response.took_ms}
    if outcome.status is DeliveryStatus.FAILED:
        log.error("delivery_failed", **facts, reason=outcome.last_error)
    elif response and outcome.status is DeliveryStatus.DELIVERED:
        if is_expected(response.status):
            log.info("delivered", **facts)
        else:
            log.warning("delivered", **facts, reason=describe(response))
    elif response and not result.decision.pause:
        next_at = outcome.next_at and outcome.next_at.isoformat()
        log.warning("not_delivered", **facts, reason=outcome.last_error, next_at=next_at)
