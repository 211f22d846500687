"""The order in which facts happened, whatever the order in which they arrived.

Timestamps do not decide it alone: Stripe's `created` has whole seconds, and Paddle's times tie or invert. Facts of the
same moment are ordered by their content: a start first, each change after the state that it changed, an end last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from processors.facts import Fact, Payment, Refund, Stage, Status, SubscriptionState, Terms

SAME_MOMENT = timedelta(seconds=5)  # the webhooks of one change are dated this far apart at most
_STAGE: Mapping[Stage, int] = {Stage.IMPORTED: 0, Stage.CREATED: 1, Stage.CHANGED: 2}

# The usual course of a subscription: of two states of one moment, the one further along is the later.
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
    """The facts without duplicates, in the order in which they happened. The same facts always give the same list."""
    found: dict[tuple[datetime, str, str, str], list[Fact]] = {}
    for fact in facts:
        same = found.setdefault(_sort_key(fact), [])
        if fact not in same:
            same.append(fact)
    return [fact for key in sorted(found) for fact in _ordered_ties(found[key])]


def moment(state: SubscriptionState) -> datetime:
    """When the state was true: by the processor's clock of the object if it has one."""
    return state.changed_at or state.at


def states_in_order(states: Sequence[SubscriptionState], present: Terms | None) -> Iterator[SubscriptionState]:
    """One subscription's states in the order in which they followed each other, starting from its present terms."""
    for _, tied in groupby(sorted(states, key=_rank), key=moment):
        for state in _chained(list(tied), present):
            yield state
            present = state.now


def _sort_key(fact: Fact) -> tuple[datetime, str, str, str]:
    key = fact.key if isinstance(fact, Payment | Refund) else ""
    return (fact.at, fact.processor_event_id, type(fact).__name__, key)


def _ordered_ties(same: list[Fact]) -> list[Fact]:
    # Facts of one event that differ in content only: any order will do, as long as it does not depend on arrival.
    return sorted(same, key=repr) if len(same) > 1 else same


def _rank(state: SubscriptionState) -> tuple[object, ...]:
    return (
        moment(state),
        _STAGE[state.stage],
        not state.is_primary,
        state.at,
        PROGRESS[state.now.status],
        state.processor_event_id,
    )


def _chained(tied: Sequence[SubscriptionState], present: Terms | None) -> Iterator[SubscriptionState]:
    """States of one moment, each after the state whose terms it names as `before`.

    Two changes within one second would otherwise be applied by event id, which is random: the older terms would win
    half of the time. At each step the next state is the one that no other has to precede, that continues the present
    terms, and that ranks first.
    """
    waiting = list(tied)
    while len(waiting) > 1:
        chosen = min(waiting, key=lambda state: (_must_wait(state, waiting), _is_leap(state, present), _rank(state)))
        waiting.remove(chosen)
        present = chosen.now
        yield chosen
    yield from waiting


def _is_leap(state: SubscriptionState, present: Terms | None) -> bool:
    """Whether a state does not continue the present terms. Without present terms, states with `before` come first."""
    return state.before is None if present is None else state.before != present


def _must_wait(state: SubscriptionState, waiting: Sequence[SubscriptionState]) -> int:
    """2: an end, while other states wait. 1: a change, while the state that it changed waits. 0: it may be next."""
    if state.stage is not Stage.CHANGED:
        return 0
    if state.now.status is Status.ENDED:
        return 2 if any(other.now.status is not Status.ENDED for other in waiting) else 0
    follows = state.before is not None and any(_leads_to(other, state) for other in waiting if other is not state)
    return 1 if follows else 0


def _leads_to(other: SubscriptionState, state: SubscriptionState) -> bool:
    return other.now == state.before and other.before != state.before
