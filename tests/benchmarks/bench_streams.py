"""How many webhooks one process routes, and how many streams it settles, by processor time. Nothing is sent.

    python tests/benchmarks/bench_streams.py [--streams 4000] [--rounds 5]

Each stream has one webhook of 7 kB and one revenue event. Log lines are formatted as JSON and written to a file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from load import SETTINGS, fill, postgres
from table import Row, print_table

from bridge import log
from bridge.settings import Settings, load
from bridge.store import Store, open_store
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from bridge.worker.translation import Translations

OWNER = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds for one webhook or stream: processor time, and time by the clock."""

    used: float
    passed: float


def main() -> None:
    """Measures both databases in turn, and prints the medians with their range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    _log_to_a_file()
    found: dict[str, list[Cost]] = {}
    for _ in range(options.rounds):
        for dialect in ("SQLite", "PostgreSQL"):
            with _database(dialect) as url:
                for step, cost in _costs(url, options.streams).items() if url else ():
                    found.setdefault(f"{step}, {dialect}", []).append(cost)
    print_table([_row(name, costs) for name, costs in found.items()])


@contextmanager
def _database(dialect: str) -> Iterator[str | None]:
    with tempfile.TemporaryDirectory() as folder:
        if dialect == "SQLite":
            yield f"sqlite:///{folder}/bridge.db"
            return
        with postgres() as url:
            yield url


def _costs(url: str, streams: int) -> dict[str, Cost]:
    settings = load({**SETTINGS, "DATABASE_URL": url, "PULSORA_ENDPOINT": "http://127.0.0.1:9/"})
    store = open_store(url)
    store.migrate()
    fill(store, streams, "evt")
    translations = Translations(settings)
    costs = {
        "routing a webhook": _timed(lambda: _route(store, settings, translations), streams),
        "settling a stream": _timed(lambda: _settle(store, settings, translations), streams),
    }
    store.close()
    return costs


def _log_to_a_file() -> None:
    stderr, sys.stderr = sys.stderr, Path(os.devnull).open("w")  # noqa: SIM115
    log.configure("json")
    sys.stderr = stderr


def _route(store: Store, settings: Settings, translations: Translations) -> int:
    return route(store, settings, OWNER, datetime.now(UTC), translations=translations)


def _settle(store: Store, settings: Settings, translations: Translations) -> int:
    return settle_due(store, settings, OWNER, datetime.now(UTC), translations=translations)


def _timed(step: Callable[[], int], expected: int) -> Cost:
    used, passed = time.process_time(), time.perf_counter()
    count = 0
    while done := step():
        count += done
    assert count == expected, f"{count} of {expected}"
    return Cost(used=(time.process_time() - used) / count, passed=(time.perf_counter() - passed) / count)


def _row(name: str, costs: list[Cost]) -> Row:
    used = sorted(one.used for one in costs)
    median, passed = used[len(used) // 2], sorted(one.passed for one in costs)[len(costs) // 2]
    note = f"{median * 1e3:.3f} ms ({used[0] * 1e3:.3f} to {used[-1] * 1e3:.3f}); by the clock {1 / passed:,.0f}/s"
    return Row(name=name, rate=1 / median, note=note)


if __name__ == "__main__":
    main()
