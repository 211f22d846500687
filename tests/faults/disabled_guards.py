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
from datetime import datetime, timedelta
from typing import Any

from alembic import op
from sqlalchemy import UniqueConstraint, bindparam, update

from bridge.errors import BridgeError
from bridge.ledger import EMPTY
from bridge.ledger.mrr import Mrr
from bridge.ledger.settle_window import Readiness
from bridge.ledger.state import Subscription
from bridge.sender import claiming, pool
from bridge.sender.dispatcher import Dispatcher
from bridge.sender.outcomes import Attempt
from bridge.store import Store, copy, inbox, rate_limit, schema, streams
from bridge.store.inbox import NewWebhook, purging
from bridge.store.inbox import adding as adding_webhooks
from bridge.store.outbox import adding
from bridge.store.statements import insert_per_dialect
from bridge.store.streams import settling
from bridge.worker.batch import StreamBatch
from processors.money import round_minor
from processors.values import replace


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
    adding_webhooks.SEEN += " AND false"
    _allow_twice("inbox")


def no_ledger_state() -> None:
    """Starts every settlement with an empty ledger."""
    from bridge.worker import batch

    batch.load = lambda text: EMPTY  # type: ignore[attr-defined]


def no_outbox_unique() -> None:
    """Allows several revenue events with one output key."""
    adding.ADD = insert_per_dialect(lambda insert_into: insert_into(schema.outbox))
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


def ack_despite_error() -> None:
    """Acknowledges what the database has refused to store."""
    accept = Store.accept

    def accept_anyway(store: Store, webhook: NewWebhook) -> bool:
        try:
            return accept(store, webhook)
        except BridgeError:
            return True

    Store.accept = accept_anyway  # type: ignore[method-assign]


def order_of_arrival() -> None:
    """Settles facts in the order in which they arrived."""
    from bridge.ledger import settlement, subscriptions

    settlement.facts_in_order = (
        lambda facts: [  # type: ignore[attr-defined]
            fact for at, fact in enumerate(facts) if fact not in facts[:at]
        ]
    )
    subscriptions.states_in_order = lambda states, present: iter(states)  # type: ignore[attr-defined]


def no_window() -> None:
    """Settles each webhook as soon as it is routed."""

    def all_rows(batch: StreamBatch, now: datetime) -> Readiness:
        return Readiness(ready=frozenset(row.id for row in batch.rows))

    StreamBatch.readiness = all_rows  # type: ignore[method-assign]


def drifting_mrr() -> None:
    """Reports round(new - old) as a movement, instead of round(new) - round(old)."""
    from bridge.ledger import movements, subscription_states, subscriptions

    move_to = movements.move_to

    def moved(known: Subscription, mrr: Mrr, cause: movements.Cause) -> movements.Step:
        step, delta = move_to(known, mrr, cause), round_minor(mrr.exact - known.mrr)
        return replace(step, movements=tuple(replace(one, delta=delta) for one in step.movements))

    for module in (movements, subscription_states, subscriptions):
        module.move_to = moved  # type: ignore[attr-defined]


def no_stream_version() -> None:
    """Clears a settled stream's time although webhooks joined it meanwhile."""
    settling.SAVE = settling.SAVE.values(due_at=bindparam("due", type_=schema.Instant))


def bodies_that_change() -> None:
    """Lets a late attribution rewrite what may have been sent already."""
    adding.RELEASE = (
        update(schema.outbox)
        .where(schema.outbox.c.scope == bindparam("ledger"), schema.outbox.c.output_key == bindparam("key"))
        .values(body=bindparam("text"), customer_id=bindparam("whose"), attribution=bindparam("place"))
    )


def numbered_attempts() -> None:
    """Puts the number of the attempt into the body."""
    post = pool.SenderPool._post

    def posted(senders: pool.SenderPool, attempt: Attempt) -> Any:
        body = attempt.delivery.body.replace('"metadata":{', f'"metadata":{{"attempts":{attempt.delivery.attempts},')
        return post(senders, replace(attempt, delivery=replace(attempt.delivery, body=body)))

    pool.SenderPool._post = posted  # type: ignore[method-assign]


def limit_of_each_process() -> None:
    """Lets each process count its own requests only."""
    run_round, counters, owners = Dispatcher.run_round, rate_limit._counters, [""]

    def run_own_round(sender: Dispatcher, *args: Any, **more: Any) -> Any:
        owners[0] = sender._plan.owner
        return run_round(sender, *args, **more)

    Dispatcher.run_round = run_own_round  # type: ignore[method-assign]
    rate_limit._counters = lambda origin, *times: counters(f"{origin} {owners[0]}", *times)


def limit_by_clock() -> None:
    """Counts requests by the machine's clock alone, which may be set."""
    rate_limit._counters = lambda origin, now, uptime: [(origin, now)]


def no_heads() -> None:
    """Sends each delivery as soon as it is ready, whatever its customer's earlier ones do."""
    values = adding._values
    adding._values = lambda one: (row := values(one)) | {"ready_at": row["next_at"]}


def no_sending_lease() -> None:
    """Claims deliveries without keeping other workers away."""
    claiming.LEASE = timedelta(0)


def split_erasure() -> None:
    """Commits after the rows of each stream are erased."""
    from bridge.privacy import erasing

    _commit_after(erasing, "erase_stream")


def split_purge() -> None:
    """Deletes the bodies of a batch newest first, each in a transaction of its own."""
    purge = inbox.purge

    def one_by_one(tx: Any, before: datetime, limit: int, after: int = 0) -> Any:
        rows = tx.execute(purging.NEXT_BY_AGE, {"after": after, "limit": limit}).all()
        for row in reversed(rows):
            tx.exec_driver_sql("DELETE FROM bodies WHERE inbox_id = ?", (row.id,))
            tx.exec_driver_sql("COMMIT")
            tx.exec_driver_sql("BEGIN IMMEDIATE")
        return purge(tx, before, limit, rows[-1].id if rows else after)

    inbox.purge = one_by_one


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
    ack_despite_error,
    order_of_arrival,
    no_window,
    drifting_mrr,
    no_stream_version,
    bodies_that_change,
    numbered_attempts,
    limit_of_each_process,
    limit_by_clock,
    no_heads,
    no_sending_lease,
    split_erasure,
    split_purge,
)

for patch in PATCHES:
    if patch.__name__ in os.environ["DISABLED_GUARDS"].split("+"):
        patch()

if __name__ == "__main__":
    from bridge.cli import main

    main()
