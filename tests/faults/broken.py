"""The bridge without one of its guards, to show that the harness notices: `BROKEN_GUARD=early python broken.py serve`.

The patch is made while this module loads, so the processes that multiprocessing spawns have it too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from bridge.store import Store, inbox
from bridge.store.inbox import Arrival


def early() -> None:
    """Acknowledges before the commit."""
    accept = Store.accept

    def later(store: Store, arrival: Arrival) -> None:
        time.sleep(0.2)
        accept(store, arrival)

    def accept_early(store: Store, arrival: Arrival) -> bool:
        threading.Thread(target=later, args=(store, arrival), daemon=True).start()
        return True

    Store.accept = accept_early  # type: ignore[method-assign]


def unsynced() -> None:
    """Leaves it to the operating system when a commit reaches the disk."""
    from bridge.store import sqlite

    sqlite.PRAGMAS = ("PRAGMA synchronous = OFF", *sqlite.PRAGMAS[1:])


def forgetful() -> None:
    """Stores other bytes than came."""
    ready = inbox.ready

    def shortened(arrival: Arrival) -> inbox.Ready:
        return ready(replace(arrival, body=arrival.body[:-1]))

    inbox.ready = shortened


def lane() -> None:
    """Lets everybody write at once: each request by itself, and no process waits for another."""
    from bridge.store.lane import Lane

    @contextmanager
    def turn(lane: Lane, seconds: float) -> Iterator[None]:
        yield

    def accept_alone(store: Store, arrival: Arrival) -> bool:
        with store.transaction() as tx:
            return inbox.store(tx, [inbox.ready(arrival)])[0]

    Lane.turn = turn  # type: ignore[method-assign]
    Store.accept = accept_alone  # type: ignore[method-assign]


GUARDS: Mapping[str, Callable[[], None]] = {
    "early": early,
    "unsynced": unsynced,
    "forgetful": forgetful,
    "lane": lane,
}

GUARDS[os.environ["BROKEN_GUARD"]]()

if __name__ == "__main__":
    from bridge.cli import main

    main()
