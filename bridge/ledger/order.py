"""In which order facts happened, whatever the order they arrived in.

Stripe's `created` counts whole seconds and Paddle's instants tie or invert, so equal moments are ordered by what the
facts themselves say: what begins comes first, each change follows the state it changed, what ends comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from processors.facts import Fact, Refund, RefundStatus, Stage, Status, SubscriptionState, Terms

_STAGE: Mapping[Stage, int] = {Stage.IMPORTED: 0, Stage.CREATED: 1, Stage.CHANGED: 2}
_REFUND: Mapping[RefundStatus, int] = {RefundStatus.PENDING: 0, RefundStatus.SUCCEEDED: 1, RefundStatus.FAILED: 2}

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


def moment(state: SubscriptionState) -> datetime:
    """When the subscription stood so: by the processor's clock of the object where it has one."""
    return state.changed_at or state.at


def by_time(facts: Iterable[Fact]) -> list[Fact]:
    """The facts in the order in which they happened; equal instants by event, so that the order is always the same."""
    return sorted(facts, key=lambda fact: (fact.at, fact.processor_event_id, type(fact).__name__, repr(fact.ids)))


def distinct(facts: Iterable[Fact]) -> list[Fact]:
    """The facts without repetitions of one event."""
    kept: list[Fact] = []
    seen: set[str] = set()
    for fact in facts:
        mark = repr(fact)
        if mark not in seen:
            seen.add(mark)
            kept.append(fact)
    return kept


def refunds_in_order(refunds: Iterable[Refund]) -> list[Refund]:
    """Refunds by time; of one moment a refund's statuses go pending, succeeded, failed."""
    return sorted(
        refunds, key=lambda refund: (refund.at, _REFUND[refund.status], refund.key, refund.processor_event_id)
    )


def states_in_order(states: Iterable[SubscriptionState], present: Terms | None) -> list[SubscriptionState]:
    """One subscription's states as they followed each other, starting from its present terms."""
    ordered: list[SubscriptionState] = []
    for _, tied in groupby(sorted(states, key=_rank), key=moment):
        for state in _chained(list(tied), present):
            ordered.append(state)
            present = state.now
    return ordered


def _rank(state: SubscriptionState) -> tuple[object, ...]:
    return (moment(state), _STAGE[state.stage], state.at, PROGRESS[state.now.status], state.processor_event_id)


def _chained(tied: Sequence[SubscriptionState], present: Terms | None) -> Iterable[SubscriptionState]:
    """States of one moment: each after the one that it says it changed."""
    waiting = list(tied)
    while waiting:
        chosen = min(waiting, key=lambda state: (_held_back(state, waiting), state.before != present, _rank(state)))
        waiting.remove(chosen)
        present = chosen.now
        yield chosen


def _held_back(state: SubscriptionState, waiting: Sequence[SubscriptionState]) -> int:
    """2: the end waits for everything else. 1: a state that this one changed is still to come. 0: its turn."""
    if state.stage is not Stage.CHANGED:
        return 0
    others = [other for other in waiting if other is not state]
    if state.now.status is Status.ENDED:
        return 2 if any(other.now.status is not Status.ENDED for other in others) else 0
    follows = state.before is not None and any(other.now == state.before != other.before for other in others)
    return 1 if follows else 0
