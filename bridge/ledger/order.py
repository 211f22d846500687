"""In which order facts happened, whatever the order they arrived in.

Stripe's `created` counts whole seconds and Paddle's instants tie or invert, so equal moments are ordered by what the
facts themselves say: what begins comes first, each change follows the state it changed, what ends comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from processors.facts import Fact, Payment, Refund, Stage, Status, SubscriptionState, Terms

_STAGE: Mapping[Stage, int] = {Stage.IMPORTED: 0, Stage.CREATED: 1, Stage.CHANGED: 2}

# How far along its life a subscription is: of two states of one moment the further one is the later.
PROGRESS: Mapping[Status, int] = {
    Status.INCOMPLETE: 0,
    Status.TRIALING: 1,
    Status.PAUSED: 2,
    Status.ACTIVE: 3,
    Status.PAST_DUE: 4,
    Status.UNPAID: 5,
    Status.ENDED: 6,
}


def facts_in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The facts, each once, in the order in which they happened; those that tie in an order that is always the same."""
    found: dict[tuple[datetime, str, str, str], list[Fact]] = {}
    for fact in facts:
        same = found.setdefault(_moment_of_event(fact), [])
        if fact not in same:
            same.append(fact)
    return [fact for key in sorted(found) for fact in _untied(found[key])]


def moment(state: SubscriptionState) -> datetime:
    """When the subscription stood so: by the processor's clock of the object where it has one."""
    return state.changed_at or state.at


def states_in_order(states: Sequence[SubscriptionState], present: Terms | None) -> Iterator[SubscriptionState]:
    """One subscription's states as they followed each other, starting from its present terms."""
    for _, tied in groupby(sorted(states, key=_rank), key=moment):
        for state in _chained(list(tied), present):
            yield state
            present = state.now


def _untied(same: list[Fact]) -> list[Fact]:
    return sorted(same, key=repr) if len(same) > 1 else same


def _moment_of_event(fact: Fact) -> tuple[datetime, str, str, str]:
    own = fact.key if isinstance(fact, Payment | Refund) else ""
    return (fact.at, fact.processor_event_id, type(fact).__name__, own)


def _rank(state: SubscriptionState) -> tuple[object, ...]:
    return (moment(state), _STAGE[state.stage], state.at, PROGRESS[state.now.status], state.processor_event_id)


def _chained(tied: Sequence[SubscriptionState], present: Terms | None) -> Iterator[SubscriptionState]:
    """States of one moment: each after the one that it says it changed."""
    waiting = list(tied)
    while len(waiting) > 1:
        chosen = min(waiting, key=lambda state: (_held_back(state, waiting), _leap(state, present), _rank(state)))
        waiting.remove(chosen)
        present = chosen.now
        yield chosen
    yield from waiting


def _leap(state: SubscriptionState, present: Terms | None) -> bool:
    """Whether a state does not follow the present one; where none is known, what tells of before comes first."""
    return state.before is None if present is None else state.before != present


def _held_back(state: SubscriptionState, waiting: Sequence[SubscriptionState]) -> int:
    """2: the end waits for everything else. 1: a state that this one changed is still to come. 0: its turn."""
    if state.stage is not Stage.CHANGED:
        return 0
    if state.now.status is Status.ENDED:
        return 2 if any(other.now.status is not Status.ENDED for other in waiting) else 0
    follows = state.before is not None and any(_leads_to(other, state) for other in waiting if other is not state)
    return 1 if follows else 0


def _leads_to(other: SubscriptionState, state: SubscriptionState) -> bool:
    return other.now == state.before and other.before != state.before
