"""Runs the bridge with guards disabled, to prove that the tests detect it.

`DISABLED_GUARDS=no_inbox_unique+no_outbox_unique python disabled_guards.py serve`. The patches are applied at import,
so that processes spawned by multiprocessing have them too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from alembic import op
from sqlalchemy import UniqueConstraint

from bridge.ledger import EMPTY
from bridge.store import Store, copy, inbox, outbox, schema, streams
from bridge.store.inbox import NewWebhook
from bridge.store.statements import insert_per_dialect


def ack_before_commit() -> None:
    """Acknowledges before the commit."""
    accept = Store.accept

    def accept_later(store: Store, webhook: NewWebhook) -> None:
        time.sleep(0.2)
        accept(store, webhook)

    def accept_early(store: Store, webhook: NewWebhook) -> bool:
        threading.Thread(target=accept_later, args=(store, webhook), daemon=True).start()
        return True

    Store.accept = accept_early  # type: ignore[method-assign]


def no_fsync() -> None:
    """Commits without fsync."""
    from bridge.store import sqlite

    sqlite.PRAGMAS = ("PRAGMA synchronous = OFF", *sqlite.PRAGMAS[1:])


def truncated_body() -> None:
    """Stores the body without its last byte."""
    encode_row_whole = inbox.encode_row

    def shortened(webhook: NewWebhook) -> inbox.EncodedRow:
        return encode_row_whole(replace(webhook, body=webhook.body[:-1]))

    inbox.encode_row = shortened


def no_write_lock() -> None:
    """Writes each request in its own transaction, without the lock between processes."""
    from bridge.store.write_lock import WriteLock

    @contextmanager
    def hold(lock: WriteLock, seconds: float) -> Iterator[None]:
        yield

    def accept_alone(store: Store, webhook: NewWebhook) -> bool:
        with store.transaction() as tx:
            return inbox.insert_new(tx, [inbox.encode_row(webhook)])[0]

    WriteLock.hold = hold  # type: ignore[method-assign]
    Store.accept = accept_alone  # type: ignore[method-assign]


def no_inbox_unique() -> None:
    """Accepts every webhook as new, regardless of its event id."""
    inbox.SEEN += " AND false"
    _allow_twice("inbox")


def no_ledger_state() -> None:
    """Starts every settlement with an empty ledger."""
    from bridge.worker import batch

    batch.load = lambda text: EMPTY  # type: ignore[attr-defined]


def no_outbox_unique() -> None:
    """Allows several revenue events with one output key."""
    outbox.ADD = insert_per_dialect(lambda insert_into: insert_into(schema.outbox))
    _allow_twice("outbox")


def split_settlement() -> None:
    """Commits the ledger's state before the revenue events."""
    _commit_after(streams, "save")


def split_migration() -> None:
    """Commits after each table that a migration creates."""
    _commit_after(op, "create_table", lambda: op.get_bind())


def split_copy() -> None:
    """Commits after each table that is copied."""
    _commit_after(copy, "_copy_table", position=1)


def _commit_after(module: Any, name: str, connection: Callable[[], Any] | None = None, position: int = 0) -> None:
    """`position`: of the connection among the arguments."""
    original = getattr(module, name)

    def committed(*args: Any, **more: Any) -> Any:
        result = original(*args, **more)
        tx = connection() if connection is not None else args[position]
        tx.exec_driver_sql("COMMIT")
        tx.exec_driver_sql("BEGIN IMMEDIATE")
        return result

    setattr(module, name, committed)


def _allow_twice(table: str) -> None:
    """Creates the table without its unique constraints."""
    create_table = op.create_table

    def create_without_unique(name: str, *parts: Any, **more: Any) -> Any:
        kept = [part for part in parts if name != table or not isinstance(part, UniqueConstraint)]
        return create_table(name, *kept, **more)

    op.create_table = create_without_unique


PATCHES: tuple[Callable[[], None], ...] = (
    ack_before_commit,
    no_fsync,
    truncated_body,
    no_write_lock,
    no_inbox_unique,
    no_ledger_state,
    no_outbox_unique,
    split_settlement,
    split_migration,
    split_copy,
)

for patch in PATCHES:
    if patch.__name__ in os.environ["DISABLED_GUARDS"].split("+"):
        patch()

if __name__ == "__main__":
    from bridge.cli import main

    main()
