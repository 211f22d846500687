"""How many revenue events per second one and two workers take from the inbox to an endpoint, and what they need.

    python tests/benchmarks/bench_pipeline.py [--events 10000]

Two workers are those of `serve` with WORKER_PROCESSES=2. The endpoint and PostgreSQL use the same machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import psutil
from load import fake_pulsora, fill, postgres, running_worker
from table import Row, print_table

from bridge.store import Store, leases, open_store, outbox
from bridge.store.outbox import DeliveryStatus

PATIENCE_SECONDS = 600
ROUNDS = 3
WORKERS = (1, 2)
NUMBERS = {1: "one worker", 2: "two workers"}


def measure(events: int) -> list[Row]:
    """From a full inbox to the last arrival. Runs each alone, in turn, three times. Returns the median run of each."""
    ways = [(way, workers) for way in (_sqlite, _postgresql) for workers in WORKERS]
    rounds = [[found for way, workers in ways for found in way(events, workers)] for _ in range(ROUNDS)]
    return [_median(runs) for runs in zip(*rounds, strict=True)]


def _median(runs: Sequence[Row]) -> Row:
    ordered = sorted(runs, key=lambda run: run.rate or 0)
    chosen = ordered[len(ordered) // 2]
    return replace(chosen, note=f"{ordered[0].rate:,.0f} to {ordered[-1].rate:,.0f}/s, {chosen.note}")


def _sqlite(events: int, workers: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_row("SQLite", f"sqlite:///{name}/bridge.db", events, workers)]


def _postgresql(events: int, workers: int) -> list[Row]:
    with postgres() as url:
        return [_row("PostgreSQL", url, events, workers)] if url else []


def _row(dialect: str, url: str, events: int, workers: int) -> Row:
    store = open_store(url)
    store.migrate()
    fill(store, events, "evt")
    with tempfile.TemporaryDirectory() as name:
        rate, note = measure_delivery(store, url, Path(name), events, workers)
    store.close()
    return Row(name=f"inbox to delivered, {NUMBERS[workers]}: {dialect}", rate=rate, note=note)


def measure_delivery(store: Store, url: str, folder: Path, events: int, workers: int = 1) -> tuple[float, str]:
    """The rate at which workers deliver the waiting events, their processor time for one, and the memory of each."""
    with store.reading() as tx:
        before = outbox.counts(tx).get(("stripe", DeliveryStatus.DELIVERED), 0)
    with fake_pulsora() as (endpoint, arrived), ExitStack() as stack:
        started = [
            stack.enter_context(running_worker(folder, DATABASE_URL=url, PULSORA_ENDPOINT=endpoint))
            for _ in range(workers)
        ]
        _await_heartbeat(store)
        processes = [psutil.Process(one.pid) for one in started]
        start, used = time.monotonic(), processor_seconds(processes)
        _await_arrivals(arrived, events)
        seconds = time.monotonic() - start
        _await_records(store, before + events)
        used = processor_seconds(processes) - used
        megabytes = max(one.memory_info().rss for one in processes) / 1e6
    return events / seconds, f"{used / events * 1e6:,.0f} µs, {megabytes:.0f} MB per process"


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    """The processor time of these processes so far."""
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def _await_heartbeat(store: Store) -> None:
    """Waits for the worker's first heartbeat."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with store.reading() as tx:
            if leases.heartbeats(tx):
                return
        time.sleep(0.01)


def _await_arrivals(arrived: Synchronized[int], events: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while arrived.value < events and time.monotonic() < until:
        time.sleep(0.01)
    assert arrived.value >= events, f"{arrived.value} of {events} arrived"


def _await_records(store: Store, events: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with store.reading() as tx:
            found = outbox.counts(tx)
        if found.get(("stripe", DeliveryStatus.DELIVERED)) == events:
            return
        time.sleep(0.2)
    raise AssertionError(f"{events} deliveries expected, found {found}")


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    print_table(measure(parser.parse_args(args).events))


if __name__ == "__main__":
    main(sys.argv[1:])
