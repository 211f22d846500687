"""The world of one seed: web process, workers and senders over the real store, one clock, one source of chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event
from typing import Any
from unittest.mock import patch

import structlog
from sqlalchemy import BindParameter, Select, bindparam, exists, func, select

from bridge.errors import BridgeError
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.sender.pool import Job, Result, SenderPool
from bridge.store import Store
from bridge.store.schema import Instant, inbox, outbox, pauses, streams
from bridge.worker import identity
from bridge.worker.loop import Worker
from bridge.worker.routing import route
from processors import processors
from tests.simulation import checks, merchants
from tests.simulation.environment import BEGIN, FAULTS, Clock, Database, Killed
from tests.simulation.merchants import SOURCES, SentWebhook
from tests.simulation.pulsora import InvariantBroken, VirtualPulsora

JUMP = 3700.0
THREADS = 2
IDLE = 0.1  # the chance that a process looks for work though there is none: nearly all of a real one's time
RETRIES = 2  # of a webhook, until no more faults hit it
STATEMENTS = (5, 15, 45)  # of storing one webhook, a round of a sender, a pass of a worker: where a fault may be
SILENT = 50  # only critical ones, of which there are none


NOW: BindParameter[datetime] = bindparam("now", type_=Instant())
PENDING = select(
    exists().where(inbox.c.status == "received").label("is_unrouted"),
    exists().where(streams.c.due_at <= NOW).label("is_due"),
    exists().where(outbox.c.ready_at <= NOW).label("is_ready"),
    select(func.min(streams.c.due_at)).where(streams.c.due_at > NOW).scalar_subquery().label("due"),
    select(func.min(outbox.c.ready_at)).where(outbox.c.ready_at > NOW).scalar_subquery().label("ready"),
    select(func.min(pauses.c.until)).where(pauses.c.until > NOW).scalar_subquery().label("resumes"),
)  # whether there is something to do, and when the next settling, sending, and end of a pause begin


class InlinePool(SenderPool):
    """Sends in the calling thread: what is queued is sent when results are waited for."""

    def results(self, wanted: int, seconds: float) -> list[Result]:
        """As many as are wanted; what is left in the queue is sent, or given back, in a later round."""
        found: list[Result] = []
        while len(found) < wanted and not self._jobs.empty():
            job: Job | None = self._jobs.get()
            if job is not None:
                found.append(self._run(job))
        return found


@dataclass(kw_only=True)
class Process:
    """One worker process: what is in its memory."""

    owner: str
    worker: Worker
    dispatcher: Dispatcher
    is_new: bool = True


@dataclass(kw_only=True)
class World:
    """Everything of one seed. `years`: of one merchant with many customers; 0: a few months of some.

    `acknowledged`: body by source and event id. `trace`: what happened, a line each.
    """

    database: Database
    seed: int
    years: int = 0
    chance: random.Random = field(init=False)
    clock: Clock = field(init=False)
    pulsora: VirtualPulsora = field(init=False)
    acknowledged: dict[tuple[str, str], bytes] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    is_calm: bool = False  # no more faults
    is_nested: bool = False
    hours: int = 0  # that the clock was put forward

    def __post_init__(self) -> None:
        chance = self.chance = random.Random(self.seed)
        self.clock = Clock(begin=BEGIN)
        self.per_hour = chance.choice((0, 2, 5, 2000))
        self.settings = merchants.settings(chance.choice(("0", "1", "1")), self.per_hour)
        self.merchants = merchants.some_merchants(chance, self.years)
        self.incoming = merchants.schedule(self.merchants, BEGIN, chance)
        self.pulsora = VirtualPulsora(clock=self.clock, chance=chance, per_hour=self.per_hour)
        self.pulsora.trace, self.pulsora.between = self.note, self._on_request
        self.step_of = {merchant.source: -1 for merchant in self.merchants}
        self.attempts: Counter[bytes] = Counter()
        self.has_one_machine = chance.random() < 0.7  # else the claims of a killed worker have to expire
        self.fault_rate = chance.choice((0.0, 0.05, 0.15, 0.4))
        self.serial = 0
        self._pending: Any = None
        self._pending_when: tuple[int, datetime] | None = None
        self.stack = ExitStack()

    def __enter__(self) -> World:
        self.database.empty()
        self.database.faults.on_fault = self._on_fault
        self.stack.enter_context(self.clock.installed(self.chance))
        self.stack.callback(structlog.configure, **structlog.get_config())
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(SILENT))
        self.stack.enter_context(patch.object(identity, "has_ended", self._has_ended))
        self.web = self.database.web(self.settings)
        self.processes = [self._begin_process() for _ in range(self.chance.choice((1, 1, 2)))]
        for merchant in self.merchants:
            self.note(f"{merchant.source}: {merchant.title}, {sum(map(len, merchant.steps))} webhooks")
        self.note(f"{len(self.processes)} workers, {self.per_hour} requests an hour, faults {self.fault_rate}")
        return self

    def __exit__(self, *_: object) -> None:
        self.database.faults.disarm()
        self.stack.close()

    @property
    def store(self) -> Store:
        """The store that all processes share."""
        return self.database.store

    def read(self, statement: Select[Any], **parameters: object) -> Sequence[Any]:
        """What is committed."""
        return self.database.reader.rows(statement, **parameters)

    def pending(self) -> Any:
        """What there is to do."""
        when = (self.database.faults.statements, self.clock.now())
        if self._pending_when != when:  # else nothing was written, and no time has passed
            (row,) = self.read(PENDING, now=when[1])
            self._pending_when, self._pending = when, row
        return self._pending

    def can_process(self) -> bool:
        """Whether there is something to route or to settle."""
        return bool(self.pending().is_unrouted or self.pending().is_due)

    def seconds(self, at: datetime) -> float:
        """The seconds since the beginning at which the machine's clock shows this time."""
        return (at - self.clock.begin).total_seconds() - self.clock.offset

    def note(self, line: str) -> None:
        """Adds a line to the trace."""
        self.trace.append(f"{self.clock.now():%Y-%m-%d %H:%M:%S}.{self.clock.now().microsecond // 1000:03} {line}")

    def _on_fault(self, fault: str) -> None:
        self.pulsora.mishaps += 1
        self.note(f"  fault: {fault}")

    # ---- Processes ---------------------------------------------------------------------------------------------

    def _begin_process(self) -> Process:
        self.serial += 1
        owner, stop = f"worker {self.serial}", Event()
        destinations = {
            name: Destination(endpoint="https://pulsora.invalid/api/ingest", token=merchants.token(name))
            for name in SOURCES
        }
        dispatcher = Dispatcher(
            self.store, destinations, owner=owner, threads=0, per_hour=self.per_hour, client=self.pulsora, stop=stop
        )
        dispatcher._pool = InlinePool(self.pulsora, 0, stop)
        dispatcher._min_capacity, dispatcher._max_capacity, dispatcher._capacity = 2 * THREADS, 8 * THREADS, 4 * THREADS
        worker = Worker(store=self.store, settings=self.settings, owner=owner)
        return Process(owner=owner, worker=worker, dispatcher=dispatcher)

    def _has_ended(self, owner: str) -> bool:
        return owner in self.ended and self.has_one_machine

    def kill(self, place: int) -> None:
        """kill -9 of a process between two actions."""
        process = self.processes[place]
        self.note(f"{process.owner} is killed")
        self.pulsora.mishaps += 1
        self.ended.add(process.owner)
        self.processes[place] = self._begin_process()
        checks.acknowledged_is_stored(self)

    # ---- Actions -----------------------------------------------------------------------------------------------

    def _act(self, place: int, what: str, action: Callable[[Process], Any]) -> bool:
        """One action of a process; whether there was something to do. A kill replaces the process."""
        process = self.processes[place]
        self._arm()
        try:
            done = action(process)
        except BridgeError as error:
            self.note(f"{process.owner} cannot {what}: {error}")
            self.clock.true += 2
            return True
        except Killed:
            self.kill(place)
            return True
        finally:
            self.database.faults.disarm()
        if done:
            self.note(f"{process.owner} {what}: {done}")
        return bool(done)

    def _arm(self) -> None:
        if not self.is_calm and not self.is_nested and self.chance.random() < self.fault_rate:
            within = self.chance.choice(STATEMENTS)
            self.database.faults.arm(self.chance.choice(FAULTS), self.chance.randint(1, within))

    def process_webhooks(self, place: int) -> bool:
        """One pass of a worker: heartbeat, routing, settling. Mostly only when there is something to do."""
        if not self._is_worth_it(self.processes[place].is_new or self.can_process()):
            return False
        self.processes[place].is_new = False

        def run(process: Process) -> int:
            now = self.clock.now()
            process.worker.heartbeat(now)
            routed = route(self.store, self.settings, process.owner, now)
            self._arm()
            return routed + process.worker.settle(now, lambda _: self.interleave())

        busy = self._act(place, "process webhooks", run)
        if busy:
            checks.movements_add_up(self)
        return busy

    def send(self, place: int) -> bool:
        """One round of a sender. Mostly only when there is something to do."""
        dispatcher = self.processes[place].dispatcher
        if not self._is_worth_it(bool(dispatcher._results or dispatcher._in_flight.total()) or self.pending().is_ready):
            return False

        def run(process: Process) -> int:
            report = process.dispatcher.run_round(self.clock.now(), self.clock.uptime())
            return report.claimed + report.sent + report.in_flight

        return self._act(place, "send", run)

    def _is_worth_it(self, has_work: bool) -> bool:
        return has_work or self.chance.random() < IDLE

    def _on_request(self, token: str, data: dict[str, Any]) -> None:
        checks.order_is_kept(self, token, data)
        self.interleave()

    def interleave(self) -> None:
        """At a place where the acting process waits for a network, a webhook may arrive and another process act."""
        faults = self.database.faults
        if self.is_calm or self.is_nested or self.chance.random() > 0.1 or len(self.processes) < 2:
            return
        self.is_nested, armed = True, (faults.fault, faults.countdown)
        faults.disarm()
        if self.incoming and not self.begins_step(self.incoming[0]):
            self.receive(self.incoming.pop(0))
        self.chance.choice((self.process_webhooks, self.send))(self.chance.randrange(len(self.processes)))
        self.is_nested = False
        faults.fault, faults.countdown = armed

    def receive(self, sent: SentWebhook) -> None:
        """One webhook over the real route. If it is not acknowledged, the processor sends it again."""
        if not self._is_acknowledged(sent):
            self._insert(replace(sent, at=self.clock.true + self.chance.uniform(0.5, 4)))

    def _is_acknowledged(self, sent: SentWebhook) -> bool:
        processor = processors()[SOURCES[sent.source]]
        signed = processor.sign(sent.body, merchants.SECRETS[SOURCES[sent.source]], self.clock.now())
        if self.attempts[sent.body] < RETRIES:
            self._arm()
        self.attempts[sent.body] += 1
        try:
            status = self.web.post(f"/webhooks/{sent.source}", signed.body, dict(signed.headers))
        except Killed:
            status = 0
        finally:
            self.database.faults.disarm()
        self.step_of[sent.source] = max(self.step_of[sent.source], sent.step)
        event_id = processor.envelope(sent.body, {}).id
        self.note(f"web: {sent.source} {event_id}: {status or 'killed'}")
        if status == 200:
            self.acknowledged[sent.source, event_id] = sent.body
            checks.is_stored(self, sent.source, event_id)
        elif status not in (0, 503):
            raise InvariantBroken(f"1: a webhook that could not be stored got {status} instead of 503")
        return status == 200

    def begins_step(self, sent: SentWebhook) -> bool:
        """Whether it is the first webhook of another step of its lifecycle."""
        return sent.step > self.step_of[sent.source]

    def postpone_source(self, sent: SentWebhook, seconds: float) -> None:
        """What is still to come of this source comes so much later, this webhook included."""
        later = (replace(one, at=one.at + seconds) if one.source == sent.source else one for one in self.incoming)
        self.incoming = sorted([replace(sent, at=sent.at + seconds), *later], key=lambda one: one.at)

    def _insert(self, sent: SentWebhook) -> None:
        self.incoming.append(sent)
        self.incoming.sort(key=lambda one: one.at)

    def set_clock(self) -> None:
        """The machine's clock is corrected, as by NTP."""
        self._set_clock(self.hours * JUMP + self.chance.choice((-2.0, -0.5, 0.0, 0.5, 2.0)))

    def set_clock_forward(self) -> None:
        """The machine's clock is put forward by more than an hour, as when it was wrong since the start."""
        self.hours += 1
        self.pulsora.mishaps += 1
        self._set_clock(self.hours * JUMP)

    def _set_clock(self, offset: float) -> None:
        self.note(f"the clock is set by {offset - self.clock.offset:+} s")
        self.clock.offset = offset
