"""What may go out now: due events of open destinations, within the rate_limit. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.sender.destinations import Routes
from bridge.sender.outcomes import Trial, handed_back, unrouted
from bridge.sender.retry_policy import next_probe
from bridge.store import leases, outbox, pauses, rate_limit
from bridge.store.pauses import Pause
from bridge.clock import Uptime

# Longer than a claimed event can take: it stays fresh for 10 s, and a post with all its waits takes less than a minute.
LEASE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where events go, in whose name they are claimed, and the most requests an hour to an origin (0: any number)."""

    routes: Routes
    owner: str
    per_hour: int

    def origins(self) -> list[str]:
        """Every origin that events go to."""
        return sorted({destination.origin for destination in self.routes.values()})


@dataclass(slots=True, kw_only=True)
class Claimed:
    """What a claim found. `halted`: the names that nothing goes to just now. `spent`: the origins without rate_limit."""

    trials: list[Trial] = field(default_factory=list)
    halted: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)


def claim(
    tx: Connection,
    plan: Plan,
    now: datetime,
    room: Mapping[str, int],
    shut: Collection[str],
    uptime: Uptime | None = None,
) -> Claimed:
    """Claim what may go out, at most `room` events for each origin.

    `shut`: destinations and origins that have just been found closed, before the store knows.
    """
    standing = {pause.destination: pause for pause in pauses.active(tx, now)}
    halted = {name for name, pause in standing.items() if pause.probing or pause.until > now}
    found = Claimed(halted=halted | set(shut))
    for origin in plan.origins():
        left = _left(tx, plan, origin, now, room[origin], uptime)
        if left == 0 < room[origin]:
            found.spent.add(origin)
        if left > 0 and origin not in found.halted:
            trials = _probes(tx, plan, origin, now, standing, shut)
            trials += _open(tx, plan, origin, now, left - len(trials), found.halted)
            found.trials += _granted(tx, plan, origin, now, trials, uptime)
    return found


def _left(tx: Connection, plan: Plan, origin: str, now: datetime, room: int, uptime: Uptime | None) -> int:
    """How many requests the origin's budget leaves of those there is room for."""
    if not plan.per_hour:
        return room
    return max(0, min(room, plan.per_hour - rate_limit.used(tx, origin, now, uptime)))


def _open(tx: Connection, plan: Plan, origin: str, now: datetime, limit: int, halted: Collection[str]) -> list[Trial]:
    """Due events of the destinations at the origin that are not halted."""
    sources = [name for name, place in plan.routes.items() if place.origin == origin and place.id not in halted]
    return _claimed(tx, plan, now, limit, sources) if sources and limit > 0 else []


def _probes(
    tx: Connection, plan: Plan, origin: str, now: datetime, standing: Mapping[str, Pause], shut: Collection[str]
) -> list[Trial]:
    """One event for each destination at the origin whose pause is over. Until it is answered the pause goes on."""
    trials: list[Trial] = []
    for name in sorted({place.id for place in plan.routes.values() if place.origin == origin} - set(shut)):
        pause = standing.get(name)
        if pause is not None and pause.probing and pause.until <= now:
            trials += _probe(tx, plan, now, pause)
    return trials


def _probe(tx: Connection, plan: Plan, now: datetime, pause: Pause) -> list[Trial]:
    # On PostgreSQL another worker may be here at the same moment: the lease lets one of them through.
    if not leases.acquire(tx, f"probe {pause.destination}", plan.owner, now, now + LEASE):
        return []
    sources = [source for source, place in plan.routes.items() if place.id == pause.destination]
    probe = _claimed(tx, plan, now, 1, sources, refused_since=pause.since)
    if probe:
        until = now + max(next_probe(pause.since, now), LEASE)
        pauses.pause(tx, pause.destination, until, pause.reason, probing=True, now=now)
    return probe


def _claimed(
    tx: Connection,
    plan: Plan,
    now: datetime,
    limit: int,
    sources: Collection[str],
    refused_since: datetime | None = None,
) -> list[Trial]:
    others = sorted(set(plan.routes) - set(sources))
    deliveries = outbox.claim(tx, now, limit, plan.owner, now + LEASE, others)
    strangers = [delivery for delivery in deliveries if delivery.source not in plan.routes]
    if strangers:
        outbox.record(tx, [unrouted(delivery, now).outcome for delivery in strangers])
    return [
        Trial(delivery=delivery, destination=plan.routes[delivery.source], refused_since=refused_since)
        for delivery in deliveries
        if delivery.source in plan.routes
    ]


def _granted(
    tx: Connection, plan: Plan, origin: str, now: datetime, trials: Sequence[Trial], uptime: Uptime | None
) -> Sequence[Trial]:
    """As many as the budget grants; the others, when another process was quicker, are put back."""
    if not trials or not plan.per_hour:
        return trials
    granted = rate_limit.reserve(tx, origin, now, len(trials), plan.per_hour, uptime)
    if granted < len(trials):
        outbox.record(tx, [handed_back(trial.delivery, now).outcome for trial in trials[granted:]])
    return trials[:granted]
