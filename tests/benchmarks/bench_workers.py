"""How routing, settling and sending scale with the number of worker processes on this machine.

    python tests/benchmarks/bench_workers.py [--postgres] [--events 4000] [--workers 1 2 4 8]

The rate, and also the processor time of the workers for one event; when the last webhook was routed, which one
worker at a time does; and on PostgreSQL the transactions for one event, and the share of the active connections that
wait for a lock, looked at every 20 ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from bench_pipeline import _await_arrivals, _await_heartbeat, _await_records, processor_seconds
from load import fake_pulsora, fill, postgres, running_worker
from sqlalchemy import text

from bridge.store import Store, inbox, open_store

WAITS = text(
    "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FROM pg_stat_activity "
    "WHERE application_name = 'pulsora-bridge' AND state <> 'idle' AND pid <> pg_backend_pid()"
)
COMMITS = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


@dataclass(slots=True)
class Sampled:
    """What a look every 20 ms found. `routed_after`: seconds until no webhook was left to be routed."""

    waiting: int = 0
    active: int = 0
    routed_after: float = 0.0


def main() -> None:
    """Measures each number of workers on a new database, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    sys.stdout.write("| workers | events/s | processor time | routed after | transactions | waiting for a lock |\n")
    sys.stdout.write("|---|---:|---:|---:|---:|---:|\n")
    for workers in options.workers:
        with _database(options.postgres) as url:
            sys.stdout.write(_measure(url, workers, options.events))
            sys.stdout.flush()


@contextmanager
def _database(is_postgres: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = stack.enter_context(postgres()) if is_postgres else f"sqlite:///{folder}/bridge.db"
        if url is None:
            raise SystemExit("no PostgreSQL server can run here")
        yield url


def _measure(url: str, workers: int, events: int) -> str:
    store = open_store(url)
    store.migrate()
    fill(store, events, "evt")
    commits = _commits(store)
    sampled, stop = Sampled(), threading.Event()
    with fake_pulsora() as (endpoint, arrived), ExitStack() as stack:
        processes = []
        for _ in range(workers):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            worker = stack.enter_context(running_worker(folder, DATABASE_URL=url, PULSORA_ENDPOINT=endpoint))
            processes.append(psutil.Process(worker.pid))
        _await_heartbeat(store)
        used = processor_seconds(processes)
        started = time.monotonic()
        sampler = threading.Thread(target=_sample, args=(store, sampled, started, stop))
        sampler.start()
        _await_arrivals(arrived, events)
        seconds = time.monotonic() - started
        stop.set()
        sampler.join()
        _await_records(store, events)
        used = processor_seconds(processes) - used
    per_event = (_commits(store) - commits) / events
    share = sampled.waiting / sampled.active if sampled.active else 0.0
    store.close()
    routed = f"{sampled.routed_after:.1f} of {seconds:.1f} s"
    milliseconds = f"{used / events * 1000:.2f} ms"
    return f"| {workers} | {events / seconds:,.0f} | {milliseconds} | {routed} | {per_event:.2f} | {share:.1%} |\n"


def _commits(store: Store) -> int:
    if store.dialect != "postgresql":
        return 0
    with store.reading() as tx:
        return int(tx.execute(COMMITS).scalar_one())


def _sample(store: Store, sampled: Sampled, started: float, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        with store.reading() as tx:
            if store.dialect == "postgresql":
                waiting, active = tx.execute(WAITS).one()
                sampled.waiting, sampled.active = sampled.waiting + waiting, sampled.active + active
            now = datetime.now(UTC)
            if inbox.routed_until(tx, now) < now:
                sampled.routed_after = time.monotonic() - started


if __name__ == "__main__":
    main()
