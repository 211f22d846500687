"""The processor time that routing and settling take, without sending: of a backlog of customers with one charge each.

    PYTHONPATH=. python tests/benchmarks/bench_backlog.py [--events 3000] [--postgres] [--profile] 2>/dev/null

`--profile` prints where the time goes. The log goes to standard error.
Only this process's time counts, not the server's of PostgreSQL.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from load import SETTINGS, fill, postgres

from bridge import log
from bridge.settings import Settings, load
from bridge.store import Store, open_store, outbox
from bridge.worker.routing import route
from bridge.worker.settling import settle_due

WARM = 500


def main() -> None:
    """Measures and prints both."""
    options = _options()
    settings = load({**SETTINGS, "HOLD_HOURS": "0"})
    log.configure(settings.log_format, settings.log_level)
    with _database(postgresql=options.postgres) as url:
        store = open_store(url)
        store.migrate()
        _run(store, settings, WARM, "warm", profile=False)
        _run(store, settings, options.events, "evt", profile=options.profile)
        with store.reading() as tx:
            assert outbox.backlog(tx).count == WARM + options.events
        store.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


@contextmanager
def _database(*, postgresql: bool) -> Iterator[str]:
    if postgresql:
        with postgres() as url:
            assert url is not None
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/bench.db"


def _run(store: Store, settings: Settings, events: int, tag: str, *, profile: bool) -> None:
    fill(store, events, tag)
    now = datetime.now(UTC) + timedelta(minutes=4)
    for name, step in (
        ("routed", lambda: route(store, settings, "bench", now)),
        ("settled", lambda: settle_due(store, settings, "bench", now)),
    ):
        measured = cProfile.Profile() if profile else None
        seconds, cpu = _timed(step, measured)
        if tag != "warm":
            print(f"{name}: {cpu / events * 1000:.3f} ms of processor time each, {events / seconds:.0f} a second")
        if measured is not None:
            text = io.StringIO()
            stats = pstats.Stats(measured, stream=text)
            stats.sort_stats("tottime").print_stats(45)
            stats.sort_stats("cumtime").print_stats(70)
            print(text.getvalue())


def _timed(step: Callable[[], int], profile: cProfile.Profile | None) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    if profile is not None:
        profile.enable()
    while step():
        pass
    if profile is not None:
        profile.disable()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
