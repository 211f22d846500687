"""Answers that cost a look at every row, kept for a while once there are many rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

T = TypeVar("T")

# A million rows are counted in 0.1 s to 0.4 s: with these, counting never takes more than 2 % of the time.
FEW_ROWS = 100_000  # up to here it is always counted anew
ROWS_A_SECOND = 50_000  # beyond, an answer is good for so many seconds as it has times this number of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question gave, until when it is good enough."""

    value: object
    good_until: float


_answers: WeakKeyDictionary[Engine, dict[str, Answer]] = WeakKeyDictionary()


def remembered(tx: Connection, question: str, ask: Callable[[], T], rows: Callable[[T], int]) -> T:
    """The answer to a question, asked now unless a dear one is still good. `rows`: how many rows an answer is about."""
    known = _answers.setdefault(tx.engine, {})
    answer = known.get(question)
    if answer is not None and monotonic() < answer.good_until:
        return cast(T, answer.value)
    value = ask()
    count = rows(value)
    if count > FEW_ROWS:
        known[question] = Answer(value=value, good_until=monotonic() + count / ROWS_A_SECOND)
    return value
