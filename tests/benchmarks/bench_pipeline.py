"""How many revenue events a second one worker brings from the inbox to an ingest on this machine, and in what memory.

python tests/benchmarks/bench_pipeline.py [--events 5000] [--url postgresql://…]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import Queue

import psutil
from load import TOKEN, fill, started_worker

from bridge.sender.standin import StandIn
from bridge.store import Store, leases, open_store, outbox
from bridge.store.outbox import DeliveryStatus

PATIENCE_SECONDS = 600


def main() -> None:
    """Fills an inbox, starts a worker, and looks on until everything has arrived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--url", help="a DATABASE_URL of an empty database; default: SQLite in a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _ingest() as (endpoint, arrived):
        url = asked.url or f"sqlite:///{name}/bridge.db"
        store = open_store(url)
        store.migrate()
        fill(store, asked.events, "evt")
        with started_worker(Path(name), DATABASE_URL=url, PULSORA_ENDPOINT=endpoint) as process:
            seconds = _timed(store, arrived, asked.events)
            _await_records(store, asked.events)
            worker = psutil.Process(process.pid)
            megabytes, spent = worker.memory_info().rss / 1e6, sum(worker.cpu_times()[:2])
        store.close()
    sys.stdout.write(
        f"inbox to delivered   {asked.events / seconds:8.0f} revenue events/s\n"
        f"worker's processor   {spent / asked.events * 1000:8.2f} ms an event, its start included\n"
        f"worker               {megabytes:8.0f} MB resident\n"
    )


def _timed(store: Store, arrived: Synchronized[int], events: int) -> float:
    """Seconds from the worker's first sign of life to the last arrival."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not _has_beaten(store) and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic()
    while arrived.value < events and time.monotonic() < until:
        time.sleep(0.01)
    assert arrived.value == events, f"{arrived.value} of {events} arrived"
    return time.monotonic() - began


def _has_beaten(store: Store) -> bool:
    with store.reading() as tx:
        return bool(leases.beats(tx))


def _await_records(store: Store, events: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with store.reading() as tx:
            if outbox.counts(tx) == {("stripe", DeliveryStatus.DELIVERED): events}:
                return
        time.sleep(0.2)
    raise AssertionError("not every arrival was recorded, or something else came out")


@contextmanager
def _ingest() -> Iterator[tuple[str, Synchronized[int]]]:
    """A stand-in for Pulsora in a process of its own: its endpoint, and how many events it has taken."""
    context = get_context("spawn")
    arrived = context.Value("i", 0)
    told: Queue[str] = context.Queue()  # type: ignore[assignment]  # the two queues are used alike
    process = context.Process(target=_serve, args=(told, arrived), daemon=True)
    process.start()
    try:
        yield told.get(timeout=30), arrived  # type: ignore[misc]  # typeshed has no name for it
    finally:
        process.kill()
        process.join()


def _serve(told: Queue[str], arrived: Synchronized[int]) -> None:
    with StandIn(TOKEN) as pulsora:
        told.put(pulsora.endpoint)
        while True:
            arrived.value = len(pulsora._received)  # its property copies all of them
            time.sleep(0.02)


if __name__ == "__main__":
    main()
