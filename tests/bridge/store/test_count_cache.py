"""Small stores are always counted exactly; counting a large one costs little."""

from __future__ import annotations

from collections.abc import Callable

from bridge.store import Store
from bridge.store.count_cache import FEW_ROWS, cached


def asked_twice(store: Store, answers: list[int]) -> list[int]:
    """The results of two readers, one after the other; a result is as large as its number of rows."""
    ask: Callable[[], int] = iter(answers).__next__
    results = []
    for _ in range(2):
        with store.reading() as tx:
            results.append(cached(tx, "how many", ask, lambda count: count))
    return results


def test_few_rows_are_counted_each_time(sqlite_store: Store) -> None:
    assert asked_twice(sqlite_store, [FEW_ROWS, FEW_ROWS + 1]) == [FEW_ROWS, FEW_ROWS + 1]


def test_the_count_of_many_rows_is_good_for_a_while(sqlite_store: Store) -> None:
    assert asked_twice(sqlite_store, [FEW_ROWS + 1, 0]) == [FEW_ROWS + 1, FEW_ROWS + 1]
