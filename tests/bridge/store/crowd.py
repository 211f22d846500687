"""A process of a crowd that works on one store: run as a program, by the tests that need several processes.

python crowd.py accept URL NAME THREADS COUNT    stores COUNT events a thread, prints each id once it is acknowledged
python crowd.py work URL NAME THREADS COUNT      COUNT transactions a thread that move rows on and count them
python crowd.py budget URL NAME THREADS COUNT    asks COUNT times a thread for three tokens, prints what it got
python crowd.py migrate URL NAME THREADS COUNT   migrates once in each thread
python crowd.py hold URL NAME THREADS COUNT      COUNT transactions that keep the lane for 20 ms each, without a pause
python crowd.py fork URL NAME THREADS COUNT      uses the store, forks, and uses it in both
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from bridge.store import Store, budget, inbox, leases, open_store
from bridge.store.inbox import Arrival

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BODY = bytes(range(256)) * 16


def accept(store: Store, name: str, count: int) -> None:
    for number in range(count):
        event_id = f"evt_{name}_{number}"
        store.accept(_arrival(event_id))
        print(event_id, flush=True)


def work(store: Store, name: str, count: int) -> None:
    for _ in range(count):
        with store.transaction() as tx:
            rows = inbox.fresh(tx, 5, NOON)
            inbox.assign(tx, [(row.id, name) for row in rows])
            leases.beat(tx, name, NOON)
        with store.reading() as tx:
            inbox.counts(tx)
    print(name, flush=True)


def take(store: Store, name: str, count: int) -> None:
    for number in range(count):
        with store.transaction() as tx:
            print(budget.take(tx, "pulsora", NOON + number * timedelta(seconds=1), 3, 50).granted, flush=True)


def migrate(store: Store, name: str, count: int) -> None:
    store.migrate()
    print(store.schema_fits(), flush=True)


def hold(store: Store, name: str, count: int) -> None:
    for number in range(count):
        with store.transaction() as tx:
            leases.beat(tx, name, NOON)
            if number == 0:
                print("holding", flush=True)
            time.sleep(0.02)


def fork(store: Store, name: str, count: int) -> None:
    store.accept(_arrival("evt_parent"))
    child = os.fork()
    if child == 0:
        store.accept(_arrival("evt_child"))
        with store.transaction() as tx:
            leases.beat(tx, "child", NOON)
        os._exit(0)
    os.waitpid(child, 0)
    store.accept(_arrival("evt_parent_again"))
    with store.reading() as tx:
        print(sorted(row.event_id for row in inbox.listing(tx)), leases.beats(tx) == {"child": NOON}, flush=True)


def _arrival(event_id: str) -> Arrival:
    return Arrival(
        source="stripe",
        account=None,
        livemode=True,
        event_id=event_id,
        type="invoice.paid",
        created_at=NOON,
        received_at=NOON,
        body=BODY,
    )


DEEDS: Mapping[str, Callable[[Store, str, int], None]] = {
    "accept": accept,
    "work": work,
    "budget": take,
    "migrate": migrate,
    "hold": hold,
    "fork": fork,
}


def main(deed: str, url: str, name: str, threads: str, count: str) -> None:
    store = open_store(url)
    crowd = [
        threading.Thread(target=DEEDS[deed], args=(store, f"{name}.{thread}", int(count)))
        for thread in range(int(threads))
    ]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
