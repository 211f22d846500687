"""Plays one seed: webhooks arrive, processes work, faults happen, and in the end everything has to be right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from bridge.store.schema import inbox, outbox, pauses, streams
from tests.simulation import checks
from tests.simulation.environment import Database
from tests.simulation.pulsora import InvariantBroken
from tests.simulation.world import World

MAX_TICKS = 20_000
NEW_MOOD = 0.05  # the chance in each tick
NEW_TIME = 0.02
NEW_HOUR = 0.01
KILL = 0.3  # times the rate of faults
MOODS = ("healthy",) * 5 + ("flaky",) * 3 + ("busy", "down", "refusing", "lossy")
SOON = timedelta(seconds=100)  # a window: the next step of a lifecycle does not begin before
HORIZON = timedelta(days=800)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The result of a seed. `digest`: of the trace, equal for every run of the seed."""

    seed: int
    broken: str | None
    trace: tuple[str, ...]
    webhooks: int
    statements: int
    faults: int
    requests: int
    days: float

    @property
    def digest(self) -> str:
        return hashlib.blake2s("\n".join(self.trace).encode()).hexdigest()


def play(database: Database, seed: int) -> Played:
    """Plays a seed to its end, or to the first invariant that does not hold."""
    database.faults.statements = 0
    with World(database=database, seed=seed) as world:
        try:
            _play(world)
            broken = None
        except InvariantBroken as error:
            broken = str(error)
            world.note(f"BROKEN {broken}")
        return Played(
            seed=seed,
            broken=broken,
            trace=tuple(world.trace),
            webhooks=len(world.acknowledged),
            statements=database.faults.statements,
            faults=sum("fault:" in line or "is killed" in line for line in world.trace),
            requests=sum(world.pulsora.counts.values()),
            days=world.clock.true / 86400,
        )


def _play(world: World) -> None:
    for _ in range(MAX_TICKS):
        if not world.incoming and not world.is_calm:
            _calm_down(world)
        busy = _tick(world)
        if not busy and not _advance(world):
            break
    else:
        raise InvariantBroken("5: the work never ends")
    checks.acknowledged_is_stored(world)
    checks.nothing_vanishes(world)
    checks.books_balance(world)
    checks.levels_are_reported(world)
    checks.all_arrived(world)
    checks.result_is_expected(world)


def _calm_down(world: World) -> None:
    """No more faults: from here on everything has to come to its end."""
    world.is_calm, world.pulsora.mood, world.clock.offset = True, "healthy", 0.0
    world.note("no more faults")


def _tick(world: World) -> bool:
    """A little of everything, in a random order; whether there was anything to do."""
    chance = world.chance
    if not world.is_calm:
        _mishaps(world)
    busy = _receive(world)
    places = list(range(len(world.processes)))
    chance.shuffle(places)
    for place in places:
        if world.is_calm or chance.random() < 0.8:
            busy |= world.process_webhooks(place)
        if world.is_calm or chance.random() < 0.8:
            busy |= world.send(place)
    if busy:
        world.clock.true += chance.uniform(0, 0.3)
    return busy


def _mishaps(world: World) -> None:
    """Perhaps Pulsora responds otherwise from now on, the clock jumps, or a process is killed."""
    chance = world.chance
    if chance.random() < NEW_MOOD:
        world.pulsora.mood = chance.choice(MOODS)
        world.note(f"Pulsora is {world.pulsora.mood}")
    if chance.random() < NEW_TIME:
        world.set_clock()
    if chance.random() < NEW_HOUR and all(_is_settled(world, merchant.source) for merchant in world.merchants):
        world.set_clock_forward()  # while webhooks wait, their windows would end at once
    if chance.random() < KILL * world.fault_rate:
        world.kill(chance.randrange(len(world.processes)))


def _receive(world: World) -> bool:
    """The webhooks whose time has come. Those that were not acknowledged are sent again some seconds later."""
    any_due = False
    while world.incoming and world.incoming[0].at <= world.clock.true:
        any_due = True
        sent = world.incoming.pop(0)
        if world.begins_step(sent) and not _is_settled(world, sent.source):
            world.postpone_source(sent, seconds=20.0)
            break
        world.receive(sent)
    return any_due


def _is_settled(world: World, source: str) -> bool:
    """Whether the steps so far are settled: steps that share a window may give other types of events."""
    soon = world.clock.now() + SOON
    with checks.reading(world) as tx:
        unrouted = tx.execute(
            select(inbox.c.id).where(inbox.c.source == source, inbox.c.status == "received").limit(1)
        ).first()
        is_own = streams.c.scope.like(f"{source}|%")
        waiting = tx.execute(select(streams.c.stream_id).where(is_own, streams.c.due_at <= soon).limit(1)).first()
    return unrouted is None and waiting is None


def _advance(world: World) -> bool:
    """To the next time at which there is something to do. False: there is none."""
    now = world.clock.now()
    with checks.reading(world) as tx:
        due = tx.execute(select(func.min(streams.c.due_at)).where(streams.c.due_at > now)).scalar()
        ready = tx.execute(select(func.min(outbox.c.ready_at)).where(outbox.c.ready_at > now)).scalar()
        resumes = tx.execute(select(func.min(pauses.c.until)).where(pauses.c.until > now)).scalar()
        is_blocked = tx.execute(select(streams.c.stream_id).where(streams.c.due_at <= now).limit(1)).first()
        is_blocked = is_blocked or tx.execute(select(outbox.c.id).where(outbox.c.ready_at <= now).limit(1)).first()
        is_blocked = is_blocked or tx.execute(select(inbox.c.id).where(inbox.c.status == "received").limit(1)).first()
    if not is_blocked:
        checks.nothing_vanishes(world)
    times = [_seconds(world, at) for at in (due, ready) if at is not None and at - now < HORIZON]
    if world.incoming:
        times.append(max(world.incoming[0].at, world.clock.true))
    if is_blocked:
        times.append(world.clock.true + world.chance.choice((1, 10, 60, 600)))
        if resumes is not None:
            times.append(_seconds(world, resumes))
    if not times:
        return False
    world.clock.true = max(min(times), world.clock.true) + world.chance.uniform(0, 0.4)
    return True


def _seconds(world: World, at: datetime) -> float:
    return (at - world.clock.begin).total_seconds() - world.clock.offset
