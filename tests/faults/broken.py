"""The bridge without one of its guards, to show that the harness notices: `BROKEN_GUARD=early python broken.py serve`.

Several may be taken out at once: `BROKEN_GUARD=unseen+key`.
The patch is made while this module loads, so the processes that multiprocessing spawns have it too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from alembic import op
from sqlalchemy import UniqueConstraint, false

from bridge.ledger import EMPTY
from bridge.store import Store, inbox, outbox, schema
from bridge.store.inbox import NewWebhook
from bridge.store.statements import each


def early() -> None:
    """Acknowledges before the commit."""
    accept = Store.accept

    def later(store: Store, arrival: NewWebhook) -> None:
        time.sleep(0.2)
        accept(store, arrival)

    def accept_early(store: Store, arrival: NewWebhook) -> bool:
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

    def shortened(arrival: NewWebhook) -> inbox.Ready:
        return ready(replace(arrival, body=arrival.body[:-1]))

    inbox.ready = shortened


def lane() -> None:
    """Lets everybody write at once: each request by itself, and no process waits for another."""
    from bridge.store.write_lock import Lane

    @contextmanager
    def turn(lane: Lane, seconds: float) -> Iterator[None]:
        yield

    def accept_alone(store: Store, arrival: NewWebhook) -> bool:
        with store.transaction() as tx:
            return inbox.store(tx, [inbox.ready(arrival)])[0]

    Lane.turn = turn  # type: ignore[method-assign]
    Store.accept = accept_alone  # type: ignore[method-assign]


def unseen() -> None:
    """Takes every webhook for a new one, whatever its event's id."""
    inbox.SEEN = inbox.SEEN.where(false())
    _allow_twice("inbox")


def forgotten() -> None:
    """Remembers nothing of a customer from one settlement to the next."""
    from bridge.worker import settle

    settle.load = lambda text: EMPTY  # type: ignore[attr-defined]


def key() -> None:
    """Sends a revenue event whose output key was sent before."""
    outbox.ADD = each(lambda insert_into: insert_into(schema.outbox))
    _allow_twice("outbox")


def _allow_twice(table: str) -> None:
    """The table is made without what must be unique in it."""
    create_table = op.create_table

    def create_loosely(name: str, *parts: Any, **more: Any) -> Any:
        kept = [part for part in parts if name != table or not isinstance(part, UniqueConstraint)]
        return create_table(name, *kept, **more)

    op.create_table = create_loosely


GUARDS: Mapping[str, Callable[[], None]] = {
    "early": early,
    "unsynced": unsynced,
    "forgetful": forgetful,
    "lane": lane,
    "unseen": unseen,
    "forgotten": forgotten,
    "key": key,
}

for name in os.environ["BROKEN_GUARD"].split("+"):
    GUARDS[name]()

if __name__ == "__main__":
    from bridge.cli import main

    main()
