"""Answers that cost a look at every row, kept for a while once they have become expensive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

T = TypeVar("T")

CHEAP_SECONDS = 0.05  # what takes less is asked anew each time
SHARE = 50  # what takes longer is asked again after so many times the time it took: never above 2 % of the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question gave, until when it is good enough."""

    value: object
    good_until: float


_answers: WeakKeyDictionary[Engine, dict[str, Answer]] = WeakKeyDictionary()


def remembered(tx: Connection, question: str, ask: Callable[[], T]) -> T:
    """The answer to a question, asked now unless a dear one is still fresh. Small tables are always counted exactly."""
    known = _answers.setdefault(tx.engine, {})
    answer = known.get(question)
    started = monotonic()
    if answer is not None and started < answer.good_until:
        return cast(T, answer.value)
    value = ask()
    took = monotonic() - started
    if took > CHEAP_SECONDS:
        known[question] = Answer(value=value, good_until=monotonic() + SHARE * took)
    return value
