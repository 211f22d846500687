"""Claims due deliveries of destinations that are not paused, within the rate limit. In the caller's transaction.

Imported revenue events leave a share of each hour's requests to live ones: an import can take hours, and a sale that
happens meanwhile would otherwise wait until requests of the import are an hour old.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.clock import Uptime
from bridge.sender.destinations import Destinations
from bridge.sender.outcomes import Attempt, no_destination, unclaim
from bridge.sender.retry_policy import probe_delay
from bridge.store import leases, outbox, pauses, rate_limit
from bridge.store.pauses import Pause
from processors.values import Value

# Longer than a claimed event can take: it is sent within 10 s or unclaimed, and a POST with all its time-outs takes
# less than a minute. A shorter lease would let another worker send the same event while this one waits.
LEASE = timedelta(minutes=3)
RESERVED_FOR_LIVE = 5  # one in five requests of an hour


class ClaimPlan(Value):
    """Where events go, the owner of the claims, and the most requests an hour to an origin (0: no limit)."""

    destinations: Destinations
    owner: str
    per_hour: int

    def origins(self) -> list[str]:
        """Every origin that events go to."""
        return sorted({destination.origin for destination in self.destinations.values()})

    @property
    def per_hour_imported(self) -> int:
        """The requests of an hour after which only live events are sent."""
        return self.per_hour - self.per_hour // RESERVED_FOR_LIVE


class Allowance(Value):
    """The share of an origin now: `count` deliveries, down to `last_priority`, within `per_hour`."""

    count: int
    last_priority: int
    per_hour: int


@dataclass(slots=True, kw_only=True)
class Claimed:
    """A claim's result. `paused`: destinations and origins. `exhausted`: origins without rate limit left."""

    attempts: list[Attempt] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    exhausted: set[str] = field(default_factory=set)


def claim(
    tx: Connection,
    plan: ClaimPlan,
    now: datetime,
    capacity: Mapping[str, int],
    closed: Collection[str],
    uptime: Uptime | None = None,
) -> Claimed:
    """Claims due deliveries, at most `capacity` for each origin.

    `closed`: destinations and origins that were just found to refuse, before the store knows of the pause.
    """
    active = {pause.destination: pause for pause in pauses.active(tx, now)}
    paused = {name for name, pause in active.items() if pause.probing or pause.until > now}
    claimed = Claimed(paused=paused | set(closed))
    for origin in plan.origins():
        allowed = _allowance(tx, plan, origin, now, capacity[origin], uptime)
        if allowed.count == 0 < capacity[origin]:
            claimed.exhausted.add(origin)
        if allowed.count > 0 and origin not in claimed.paused:
            attempts = _probes(tx, plan, origin, now, active, closed)
            attempts += _unpaused(tx, plan, origin, now, allowed, len(attempts), claimed.paused)
            claimed.attempts += _reserved(tx, plan, origin, now, attempts, allowed.per_hour, uptime)
    return claimed


def _allowance(
    tx: Connection, plan: ClaimPlan, origin: str, now: datetime, capacity: int, uptime: Uptime | None
) -> Allowance:
    """At most `capacity`: of all deliveries while the import has a share left, else of live ones."""
    if not plan.per_hour:
        return Allowance(count=capacity, last_priority=outbox.IMPORTED, per_hour=0)
    used = rate_limit.used(tx, origin, now, uptime)
    for last_priority, per_hour in ((outbox.IMPORTED, plan.per_hour_imported), (outbox.LIVE, plan.per_hour)):
        if used < per_hour:
            return Allowance(count=min(capacity, per_hour - used), last_priority=last_priority, per_hour=per_hour)
    return Allowance(count=0, last_priority=outbox.LIVE, per_hour=plan.per_hour)


def _unpaused(
    tx: Connection,
    plan: ClaimPlan,
    origin: str,
    now: datetime,
    allowed: Allowance,
    probes: int,
    paused: Collection[str],
) -> list[Attempt]:
    """Due deliveries to the destinations at the origin that are not paused."""
    sources = [name for name, one in plan.destinations.items() if one.origin == origin and one.id not in paused]
    limit = allowed.count - probes
    return _claim_sources(tx, plan, now, limit, sources, allowed.last_priority) if sources and limit > 0 else []


def _probes(
    tx: Connection,
    plan: ClaimPlan,
    origin: str,
    now: datetime,
    active: Mapping[str, Pause],
    closed: Collection[str],
) -> list[Attempt]:
    """One delivery to each destination at the origin whose pause has ended. It stays paused until the response."""
    attempts: list[Attempt] = []
    for name in sorted({one.id for one in plan.destinations.values() if one.origin == origin} - set(closed)):
        pause = active.get(name)
        if pause is not None and pause.probing and pause.until <= now:
            attempts += _probe(tx, plan, now, pause)
    return attempts


def _probe(tx: Connection, plan: ClaimPlan, now: datetime, pause: Pause) -> list[Attempt]:
    # On PostgreSQL another worker may be here at the same moment: the lease lets one of them through.
    if not leases.acquire(tx, f"probe {pause.destination}", plan.owner, now, now + LEASE):
        return []
    sources = [source for source, one in plan.destinations.items() if one.id == pause.destination]
    probe = _claim_sources(tx, plan, now, 1, sources, refused_since=pause.since)
    if probe:
        # The pause is extended for as long as the probe may take: after a crash another probe follows.
        until = now + max(probe_delay(pause.since, now), LEASE)
        pauses.pause(tx, pause.destination, until, pause.reason, probing=True, now=now)
    return probe


def _claim_sources(
    tx: Connection,
    plan: ClaimPlan,
    now: datetime,
    limit: int,
    sources: Collection[str],
    last_priority: int = outbox.IMPORTED,
    refused_since: datetime | None = None,
) -> list[Attempt]:
    # The other configured sources are excluded, instead of these included, so that deliveries of sources that are not
    # configured any more are claimed too: they get an error that the operator can see.
    others = sorted(set(plan.destinations) - set(sources))
    deliveries = outbox.claim(tx, now, limit, plan.owner, now + LEASE, others, last_priority)
    unknown = [delivery for delivery in deliveries if delivery.source not in plan.destinations]
    if unknown:
        outbox.record(tx, [no_destination(delivery, now).outcome for delivery in unknown])
    return [
        Attempt(delivery=delivery, destination=plan.destinations[delivery.source], refused_since=refused_since)
        for delivery in deliveries
        if delivery.source in plan.destinations
    ]


def _reserved(
    tx: Connection,
    plan: ClaimPlan,
    origin: str,
    now: datetime,
    attempts: Sequence[Attempt],
    per_hour: int,
    uptime: Uptime | None,
) -> Sequence[Attempt]:
    """The attempts that the rate limit grants. The others are unclaimed."""
    if not attempts or not per_hour:
        return attempts
    # Another process may have reserved since `used` was read: only this call decides.
    granted = rate_limit.reserve(tx, origin, now, len(attempts), per_hour, uptime)
    if granted < len(attempts):
        outbox.record(tx, [unclaim(attempt.delivery, now).outcome for attempt in attempts[granted:]])
    return attempts[:granted]
