"""Nothing that is done all day looks at every row: SQLite is asked how it would answer each question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event

from bridge.store import (
    Store,
    attempts,
    catalog,
    inbox,
    leases,
    outbox,
    ownership,
    pauses,
    queues,
    rate_limit,
    streams,
    subscriptions,
)
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.outbox.adding import HASTEN
from bridge.store.streams import Claim, SettledStream
from bridge.store.streams.settling import LATEST
from tests.bridge.store.builders import (
    ANNA,
    BERT,
    HOUR,
    NOON,
    SCOPE,
    a_delivery,
    a_subscription_row,
    a_webhook,
    an_attempt,
    an_outcome,
    an_update,
)

CLAIM = Claim(
    stream_id=ANNA, scope=SCOPE, state=None, version=1, first_at=NOON, has_customer=True, owner="w", leased_until=NOON
)
Question = Callable[[Connection], object]

ALL_DAY: dict[str, Question] = {
    "store": lambda tx: inbox.insert_new(tx, [inbox.encode_row(a_webhook(f"evt_{n}")) for n in range(20)]),
    "fresh": lambda tx: inbox.unrouted(tx, 400, NOON),
    "assign": lambda tx: inbox.assign(tx, [(1, ANNA), (2, BERT)]),
    "ignore": lambda tx: inbox.ignore(tx, [(1, "unwanted")], NOON),
    "fail": lambda tx: inbox.fail(tx, 1, "broken", NOON),
    "of_streams": lambda tx: inbox.of_streams(tx, [f"{SCOPE}|{n}" for n in range(100)]),
    "mark_settled": lambda tx: inbox.mark_settled(tx, [(1, 1, ())], NOON),
    "find": lambda tx: inbox.find(tx, "evt_1"),
    "replay": lambda tx: inbox.replay(tx, [1, 2, 3]),
    "overdue_since": lambda tx: queues.overdue_since(tx, NOON),
    "next_wait": lambda tx: queues.next_wait(tx, NOON),
    "list of everything": lambda tx: inbox.listing(tx, before_id=9),
    "list by status": lambda tx: inbox.listing(tx, status=InboxStatus.FAILED),
    "list by source": lambda tx: inbox.listing(tx, source="stripe"),
    "touch": lambda tx: streams.upsert(tx, [an_update(ANNA), an_update(BERT)]),
    "links": lambda tx: streams.links(tx, SCOPE, [f"pi_{n}" for n in range(100)]),
    "link": lambda tx: streams.link(tx, SCOPE, {"pi_1": ANNA}),
    "merge": lambda tx: _lost(lambda: streams.merge(tx, f"{SCOPE}|~pi_1", ANNA, NOON)),
    "lock": lambda tx: streams.lock(tx, [ANNA, BERT]),
    "owned elsewhere": lambda tx: ownership.owned_elsewhere(tx, [a_delivery("k1")]),
    "move": lambda tx: ownership.move(tx, f"{SCOPE}|~pi_1", ANNA),
    "conflicts": lambda tx: inbox.conflict_count(tx),
    "known": lambda tx: streams.find(tx, [ANNA, BERT]),
    "routed_until": lambda tx: inbox.routed_until(tx, NOON),
    "is_any_due": lambda tx: streams.is_any_due(tx, NOON),
    "claim_due": lambda tx: streams.claim_due(tx, NOON, 100, "w", NOON),
    "claim_due, those of late": lambda tx: tx.execute(LATEST, {"now": NOON, "due_by": NOON, "limit": 25}).all(),
    "save": lambda tx: _lost(lambda: streams.save(tx, [SettledStream(claim=CLAIM, state="{}")], NOON)),
    "postpone": lambda tx: _lost(lambda: streams.postpone(tx, CLAIM, NOON, "later")),
    "stream counts": lambda tx: streams.counts(tx, NOON),
    "add": lambda tx: outbox.add(tx, [a_delivery("k1"), a_delivery("k2", stream_id=BERT)]),
    "add, imported": lambda tx: tx.execute(HASTEN[tx.dialect.name], {"ids": [1, 2]}),
    "release": lambda tx: outbox.release(tx, SCOPE, {"k1": "{}"}),
    "claim": lambda tx: outbox.claim(tx, NOON, 50, "w", NOON + HOUR, ["second"]),
    "is_any_ready": lambda tx: outbox.is_any_ready(tx, NOON),
    "record": lambda tx: outbox.record(tx, [an_outcome(1), an_outcome(2, DeliveryStatus.FAILED)]),
    "retry": lambda tx: outbox.retry(tx, [1, 2], NOON),
    "backlog": lambda tx: outbox.backlog(tx),
    "deliveries by status": lambda tx: outbox.listing(tx, status=DeliveryStatus.FAILED),
    "deliveries by source": lambda tx: outbox.listing(tx, source="stripe"),
    "deliveries by both": lambda tx: outbox.listing(tx, source="stripe", status=DeliveryStatus.FAILED),
    "deliveries of a stream": lambda tx: outbox.of_stream(tx, ANNA),
    "take": lambda tx: rate_limit.reserve(tx, "pulsora", NOON, 5, 2000),
    "give_back": lambda tx: rate_limit.release(tx, "pulsora", NOON, 1),
    "pause": lambda tx: pauses.pause(tx, "pulsora", NOON, "429", now=NOON),
    "learn": lambda tx: catalog.upsert(tx, SCOPE, [("price", "x", "{}")]),
    "recall": lambda tx: catalog.lookup(tx, SCOPE, [("price", "x"), ("coupon", "y")]),
    "attempts": lambda tx: attempts.add(tx, [an_attempt(1)]),
    "attempts of a delivery": lambda tx: attempts.of_delivery(tx, 1),
    "subscriptions": lambda tx: subscriptions.save(tx, [a_subscription_row()]),
    "subscriptions of a stream": lambda tx: subscriptions.of_stream(tx, ANNA),
    "acquire": lambda tx: leases.acquire(tx, "router", "w", NOON, NOON + HOUR),
    "held elsewhere": lambda tx: leases.is_held_elsewhere(tx, "router", "w", NOON),
}


# Short indexes, and the newest rows from the end: read from one end until there is enough.
READ_IN_ORDER = {
    "SCAN inbox USING INDEX ix_inbox_fresh",
    "SCAN inbox USING COVERING INDEX ix_inbox_fresh",
    "SCAN outbox USING INDEX ix_outbox_next",
    "SCAN outbox USING COVERING INDEX ix_outbox_next",
    "SCAN inbox",
    "SCAN outbox",
    "SCAN CONSTANT ROW",
    "SCAN given VIRTUAL TABLE INDEX 1:",  # a list of ids
}


def _lost(save: Callable[[], None]) -> None:
    with pytest.raises(streams.LeaseLost):
        save()


@pytest.mark.parametrize("question", ALL_DAY)
def test_what_is_asked_all_day_is_answered_by_an_index(sqlite_store: Store, question: str) -> None:
    with sqlite_store.transaction() as tx, plans(tx) as steps:
        ALL_DAY[question](tx)

    assert steps
    assert [step for step in steps if _looks_at_every_row(step)] == []


def _looks_at_every_row(step: str) -> bool:
    """Whether a step reads a whole table, or sorts what it read."""
    return (step.startswith("SCAN") and step not in READ_IN_ORDER) or "TEMP B-TREE" in step


@contextmanager
def plans(tx: Connection) -> Iterator[list[str]]:
    """The steps by which SQLite answers each statement that is executed."""
    steps: list[str] = []

    def explain(_: object, cursor: object, statement: str, parameters: object, context: object, many: bool) -> None:
        first = parameters[0] if many else parameters  # type: ignore[index]
        explained = tx.connection.cursor()
        explained.execute(f"EXPLAIN QUERY PLAN {statement}", first)
        steps.extend(str(row[3]) for row in explained.fetchall())
        if statement.startswith("INSERT"):
            steps.append("INSERT")

    event.listen(tx, "before_cursor_execute", explain)
    yield steps
    event.remove(tx, "before_cursor_execute", explain)
