"""One life of a Paddle customer as the tables write it: what happened, how Paddle tells it, what must come of it.

A row reads: type, amount, movement of MRR (`-`: none is stated), currency unless USD, plan, interval, seats beyond one,
coupon, what it was before, why, and what is special. Amounts are in major units, computed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.ledger import Policy
from processors.facts import Fact
from processors.interface import Processor
from tests.lifecycles.harness import Told

DEFAULT = Policy()
START = datetime(2026, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)  # facts dated further ahead than this wait for their time


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life. `rows`: the events when all webhooks are settled in one window; `live`: as they come."""

    what: str
    webhooks: Callable[[], tuple[bytes, ...]]
    rows: tuple[str, ...]
    live: tuple[str, ...]
    policy: Policy
    options: Mapping[str, str]


def a_life(
    what: str,
    webhooks: Callable[[], tuple[bytes, ...]],
    expected: Iterable[str],
    live: Iterable[str] | None,
    policy: Policy,
    options: Mapping[str, str] | None = None,
) -> Life:
    """An entry of a table."""
    rows = tuple(expected)
    return Life(
        what=what,
        webhooks=webhooks,
        rows=_written(rows),
        live=_written(rows if live is None else live),
        policy=policy,
        options=options or {},
    )


def translated(life: Life, processor: Processor) -> tuple[Told, ...]:
    """The webhooks that say anything, in the order in which they were sent.

    What one says of a later day comes once more on that day, with all that it says: so the worker leaves it lying.
    """
    found: list[Told] = []
    for body in life.webhooks():
        signed = processor.sign(body, processor.demo_secret, START)
        event = processor.verify(signed.body, signed.headers, [processor.demo_secret], START, AHEAD)
        said = processor.translate(signed.body, life.options)
        for at in sorted({max(fact.at, event.created_at) for fact in said.facts if _waits(fact, event.created_at)}):
            found.append(Told(at=at, facts=said.facts, known=said.catalog))
        if said.facts or said.catalog:
            soon = tuple(fact for fact in said.facts if not _waits(fact, event.created_at))
            found.append(Told(at=event.created_at, facts=soon, known=said.catalog))
    return tuple(sorted((one for one in found if one.facts or one.known), key=lambda one: one.at))


def _waits(fact: Fact, told_at: datetime) -> bool:
    return fact.at > told_at + AHEAD


def _written(rows: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(row.split()) for row in rows)
