"""The outbox's way out: claim, post, record. No transaction is open while a network is waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Connection

from bridge.sender.claims import Claimed, Plan, claim
from bridge.sender.client import Answer, Client
from bridge.sender.crew import Crew, Done, Job
from bridge.sender.destinations import Routes
from bridge.sender.rulings import Trial, told
from bridge.sender.schedule import Verdict, is_expected
from bridge.store import Store, budget, outbox, pauses
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.uptime import Uptime

log = structlog.get_logger()

# A turn waits so long for answers; what is still on its way then is looked at in the next.
TURN_SECONDS = 0.25
CLOSING_SECONDS = 20.0
# What is in hand when a process dies is sent again, so it is little. Eight times as much sends no faster (measured).
MOST_A_THREAD = 8

OnAnswer = Callable[[Delivery, Answer, Verdict], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What one turn did. `sent`: posted and recorded, and so `delivered`, `retried`, `dead` or `stopped` by a pause.

    `unfit`: dead without a post, for breaking the contract. `in_hand`: claimed and still on the way.
    `halted`: the destinations and origins that nothing goes to just now. `spent`: the origins whose budget is.
    """

    claimed: int
    sent: int
    delivered: int
    retried: int
    dead: int
    stopped: int
    unfit: int
    in_hand: int
    halted: tuple[str, ...]
    spent: tuple[str, ...]


class Drain:
    """Delivers the outbox of a store, as one of any number of processes. For one calling thread.

    `routes`: the destination of each source. `per_hour`: the most requests to an origin in any hour, 0 for no bound.
    `on_answer` is called, by the calling thread, after an answer is on disk.
    """

    def __init__(
        self,
        store: Store,
        routes: Routes,
        *,
        owner: str,
        threads: int = 8,
        per_hour: int = 2000,
        client: Client | None = None,
        stop: Event | None = None,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self._store = store
        self._plan = Plan(routes=dict(routes), owner=owner, per_hour=per_hour)
        self._client = client or Client()
        self._stop = stop or Event()
        self._on_answer = on_answer
        self._crew = Crew(self._client, threads, self._stop)
        self._gates: dict[str, Event] = {}
        self._done: list[Done] = []  # not on disk yet
        self._in_hand: Counter[str] = Counter()  # by origin
        self._least, self._most = threads * 2, threads * MOST_A_THREAD
        self._reach = threads * 4
        self._clock = (datetime.min.replace(tzinfo=UTC), time.monotonic())  # the caller's, and ours beside it
        self._uptime: Uptime | None = None

    def drain_once(self, now: datetime, uptime: Uptime | None = None) -> DrainReport:
        """Claims, posts for a quarter of a second, and records. To be called again and again.

        With the machine's `uptime` the budget holds although a clock is set.

        When the store fails it raises what the store raises; what was answered is then recorded by a later call.
        """
        self._clock = (now, time.monotonic())
        self._uptime = uptime
        self._done += self._crew.finished(0, 0)
        with self._store.transaction() as tx:
            self._record(tx, now)
            claimed = claim(tx, self._plan, now, self._room(), self._shut(), uptime)
        recorded = self._recorded()
        self._give(claimed.trials, now)
        self._done += self._crew.finished(self._wanted(claimed), TURN_SECONDS)
        recorded += self._record_alone()
        self._adapt(recorded)
        return _report(claimed, recorded, self._in_hand.total())

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Stops sending, waits for what is on its way, and records it. What is not answered by then is sent again."""
        self._stop.set()
        self._done += self._crew.finished(self._in_hand.total() - len(self._done), seconds)
        self._crew.dismiss()
        self._client.close()
        self._record_alone()

    def _record_alone(self) -> list[Done]:
        if not self._done:
            return []
        now, since = self._clock
        with self._store.transaction() as tx:
            self._record(tx, now + timedelta(seconds=time.monotonic() - since))
        return self._recorded()

    def _record(self, tx: Connection, now: datetime) -> None:
        """Writes down what was answered, which destinations stop or go on, and the requests that were not needed."""
        outbox.record(tx, [done.ruling.outcome for done in self._done])
        for done in self._done:
            if done.ruling.halt:
                halt = done.ruling.halt
                pauses.pause(tx, halt.name, halt.until, halt.reason, probing=halt.probing, now=now)
            if done.ruling.resumes:
                pauses.resume(tx, done.job.trial.destination.id)
        unused = Counter(done.job.trial.destination.origin for done in self._done if done.answer is None)
        for origin, count in unused.items():
            if self._plan.per_hour:
                budget.give_back(tx, origin, now, count, self._uptime)

    def _recorded(self) -> list[Done]:
        """What the transaction that just ended has put on disk: no longer in hand, and told."""
        recorded, self._done = self._done, []
        self._in_hand.subtract(done.job.trial.destination.origin for done in recorded)
        for done in recorded:
            halt = done.ruling.halt
            if halt and self._gates.pop(halt.name, None):  # from here on the pause on disk holds
                say = log.error if halt.probing else log.warning
                say("paused", destination=halt.name, until=halt.until.isoformat(), reason=halt.reason)
            self._tell(done)
        return recorded

    def _tell(self, done: Done) -> None:
        _log(done)
        if done.answer and done.ruling.verdict and self._on_answer:
            self._on_answer(done.job.trial.delivery, done.answer, done.ruling.verdict)

    def _give(self, trials: Sequence[Trial], now: datetime) -> None:
        clock = time.monotonic()
        for trial in trials:
            names = (trial.destination.id, trial.destination.origin)
            gates = {name: self._gates.setdefault(name, Event()) for name in names}
            self._in_hand[trial.destination.origin] += 1
            self._crew.give(Job(trial=trial, gates=gates, claimed_at=now, claimed_clock=clock))

    def _shut(self) -> list[str]:
        return [name for name, gate in self._gates.items() if gate.is_set()]

    def _room(self) -> dict[str, int]:
        return {origin: max(0, self._reach - self._in_hand[origin]) for origin in self._plan.origins()}

    def _wanted(self, claimed: Claimed) -> int:
        """How many answers to wait for: as many as were claimed, or half of all when there is probably more to claim.

        Never for all in hand: one of them may be waiting for a server that says nothing.
        """
        in_hand, new = self._in_hand.total(), len(claimed.trials)
        return min(in_hand, max(1, new)) if new < self._reach // 2 else in_hand // 2

    def _adapt(self, recorded: Sequence[Done]) -> None:
        """Reach as far ahead as is sent in a second: enough to keep every thread busy, little enough to stay fresh."""
        posted = sum(done.answer is not None for done in recorded)
        if not posted and not self._in_hand.total():
            return
        pace = posted / max(time.monotonic() - self._clock[1], 0.001)
        self._reach = min(max(int(pace), self._least), self._most)


def _report(claimed: Claimed, recorded: Sequence[Done], in_hand: int) -> DrainReport:
    statuses = Counter(done.ruling.outcome.status for done in recorded if done.answer)
    stopped = sum(done.ruling.halt is not None for done in recorded)
    return DrainReport(
        claimed=len(claimed.trials),
        sent=statuses.total(),
        delivered=statuses[DeliveryStatus.DELIVERED],
        retried=statuses[DeliveryStatus.PENDING] - stopped,
        dead=statuses[DeliveryStatus.DEAD],
        stopped=stopped,
        unfit=sum(not done.answer and done.ruling.outcome.status is DeliveryStatus.DEAD for done in recorded),
        in_hand=in_hand,
        halted=tuple(sorted(claimed.halted)),
        spent=tuple(sorted(claimed.spent)),
    )


def _log(done: Done) -> None:
    delivery, outcome, answer = done.job.trial.delivery, done.ruling.outcome, done.answer
    about = log.bind(source=delivery.source, stream=delivery.stream_id, delivery_id=delivery.id)
    if done.ruling.resumes:
        log.info("resumed", destination=done.job.trial.destination.id)
    if answer:
        about = about.bind(attempt=outcome.attempts, took_ms=answer.took_ms)
    if outcome.status is DeliveryStatus.DEAD:
        about.error("dead", reason=outcome.last_error)
    elif answer and outcome.status is DeliveryStatus.DELIVERED:
        about.info("delivered") if is_expected(answer.status) else about.warning("delivered", reason=told(answer))
    elif answer and not done.ruling.halt:
        about.warning(
            "not_delivered", reason=outcome.last_error, next_at=outcome.next_at and outcome.next_at.isoformat()
        )
