"""Cached results of queries that read every row, once a table is large."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from processors.values import Value

T = TypeVar("T")

# A million rows are counted in 0.1 s to 0.4 s: with these values counting takes at most 2 % of the time.
FEW_ROWS = 100_000  # up to here nothing is cached
ROWS_PER_SECOND = 50_000  # beyond, a result is valid for its number of rows divided by this, in seconds


class Entry(Value):
    """A result, valid until `expires_at` (monotonic clock)."""

    value: object
    expires_at: float


_entries: WeakKeyDictionary[Engine, dict[str, Entry]] = WeakKeyDictionary()


def cached(tx: Connection, query: str, run: Callable[[], T], row_count: Callable[[T], int]) -> T:
    """The result of a query by its name, from the cache or run now. `row_count`: the rows that a result is about."""
    entries = _entries.setdefault(tx.engine, {})
    entry = entries.get(query)
    if entry is not None and monotonic() < entry.expires_at:
        return cast(T, entry.value)
    value = run()
    count = row_count(value)
    if count > FEW_ROWS:
        entries[query] = Entry(value=value, expires_at=monotonic() + count / ROWS_PER_SECOND)
    return value
