"""How many revenue events per second one worker takes from the inbox to an endpoint on this machine, and its memory.

python tests/benchmarks/bench_pipeline.py [--events 10000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import psutil
from load import fake_pulsora, fill, postgres, running_worker
from table import Row, print_table

from bridge.store import Store, leases, open_store, outbox
from bridge.store.outbox import DeliveryStatus

PATIENCE_SECONDS = 600
ROUNDS = 3


def measure(events: int) -> list[Row]:
    """From a full inbox to the last arrival. Runs each alone, in turn, three times. Returns the median run of each."""
    rounds = [[found for way in (_sqlite, _postgresql) for found in way(events)] for _ in range(ROUNDS)]
    return [sorted(runs, key=lambda run: run.rate or 0)[ROUNDS // 2] for runs in zip(*rounds, strict=True)]


def _sqlite(events: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_row("SQLite", f"sqlite:///{name}/bridge.db", events)]


def _postgresql(events: int) -> list[Row]:
    with postgres() as url:
        return [_row("PostgreSQL", url, events)] if url else []


def _row(dialect: str, url: str, events: int) -> Row:
    store = open_store(url)
    store.migrate()
    fill(store, events, "evt")
    with tempfile.TemporaryDirectory() as name:
        rate, note = measure_delivery(store, url, Path(name), events)
    store.close()
    return Row(name=f"inbox to delivered, one worker: {dialect}", rate=rate, note=note)


def measure_delivery(store: Store, url: str, folder: Path, events: int) -> tuple[float, str]:
    """The rate at which a worker delivers the waiting events, and its memory halfway and at the end."""
    with store.reading() as tx:
        before = outbox.counts(tx).get(("stripe", DeliveryStatus.DELIVERED), 0)
    with (
        fake_pulsora() as (endpoint, arrived),
        running_worker(folder, DATABASE_URL=url, PULSORA_ENDPOINT=endpoint) as process,
    ):
        _await_heartbeat(store)
        start = time.monotonic()
        _await_arrivals(arrived, events // 2)
        halfway = psutil.Process(process.pid).memory_info().rss / 1e6
        _await_arrivals(arrived, events)
        seconds = time.monotonic() - start
        _await_records(store, before + events)
        at_end = psutil.Process(process.pid).memory_info().rss / 1e6
    return events / seconds, f"{halfway:.0f} MB halfway, {at_end:.0f} MB at the end"


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
