"""Plays one seed: webhooks arrive, processes work, faults happen, and in the end everything has to be right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, select

from bridge.store.schema import inbox, streams
from tests.simulation import checks
from tests.simulation.environment import Database
from tests.simulation.pulsora import InvariantBroken
from tests.simulation.world import World

MAX_TICKS = 20_000
NEW_BEHAVIOUR = 0.05  # the chance in each tick
NEW_TIME = 0.02
NEW_HOUR = 0.01
CALM = 0.1  # that there are no more faults, once every webhook has arrived
KILL = 0.3  # times the rate of faults
BEHAVIOURS = ("healthy",) * 5 + ("flaky",) * 3 + ("busy", "down", "refusing", "lossy")
LATENESS = (0.4, 0.4, 5.0, 40.0)  # seconds that all processes need to notice something; many webhooks arrive meanwhile
SOON = timedelta(seconds=100)  # a window: the next step of a lifecycle does not begin before
HORIZON = timedelta(days=800)
UNROUTED_OF_SOURCE = (
    select(inbox.c.id).where(inbox.c.source == bindparam("source"), inbox.c.status == "received").limit(1)
)
DUE_OF_SOURCE = (
    select(streams.c.stream_id)
    .where(streams.c.scope.like(bindparam("within")), streams.c.due_at <= bindparam("soon"))
    .limit(1)
)


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


def play(database: Database, seed: int, years: int = 0) -> Played:
    """Plays a seed to its end, or to the first invariant that does not hold."""
    database.faults.statements = 0
    with World(database=database, seed=seed, years=years) as world:
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
    for _ in range(MAX_TICKS * max(1, world.years)):
        if not world.incoming and not world.is_calm and world.chance.random() < CALM:
            _calm_down(world)
        if _tick(world) or _advance(world):
            continue
        if world.is_calm:
            break
        _calm_down(world)
    else:
        raise InvariantBroken("5: the work never ends")
    checks.acknowledged_is_stored(world)
    checks.nothing_vanishes(world)
    checks.movements_add_up(world)
    checks.levels_are_reported(world)
    checks.all_arrived(world)
    checks.result_is_expected(world)
    checks.mrr_is_the_merchants(world)


def _calm_down(world: World) -> None:
    """No more faults: from here on everything has to come to its end."""
    world.is_calm, world.pulsora.behaviour, world.clock.offset = True, "healthy", 0.0
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
    if chance.random() < NEW_BEHAVIOUR:
        world.pulsora.behaviour = chance.choice(BEHAVIOURS)
        world.note(f"Pulsora is {world.pulsora.behaviour}")
    if chance.random() < NEW_TIME:
        world.set_clock()
    if chance.random() < NEW_HOUR and all(_is_over(world, merchant.source) for merchant in world.merchants):
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
    return not (
        world.read(UNROUTED_OF_SOURCE, source=source) or world.read(DUE_OF_SOURCE, within=f"{source}|%", soon=soon)
    )


def _is_over(world: World, source: str) -> bool:
    """Whether the steps so far are settled, and none of their webhooks is to be sent again."""
    is_sent = all(world.begins_step(sent) for sent in world.incoming if sent.source == source)
    return is_sent and _is_settled(world, source)


def _advance(world: World) -> bool:
    """To the next time at which there is something to do. False: there is none."""
    pending = world.pending()
    is_blocked = world.can_process() or pending.is_ready
    if not is_blocked:
        checks.nothing_vanishes(world)
    now = world.clock.now()
    times = [world.seconds(at) for at in (pending.due, pending.ready) if at is not None and at - now < HORIZON]
    if world.incoming:
        times.append(max(world.incoming[0].at, world.clock.true))
    if is_blocked:
        times.append(world.clock.true + world.chance.choice((1, 10, 60, 600)))
        if pending.resumes is not None:
            times.append(world.seconds(pending.resumes))
    if not times:
        return False
    late = world.chance.uniform(0, world.chance.choice(LATENESS))
    world.clock.true = max(min(times), world.clock.true) + late
    return True
