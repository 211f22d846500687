"""The subscriptions of the ledger states as a table, for lists and sums.

Written in the transaction that writes the state; the ledger never reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Insert, Row, bindparam, delete, func, select, tuple_

from bridge.store.schema import subscriptions
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect, padded_chunks
from processors.values import Value, asdict, replace


class SubscriptionRow(Value):
    """One subscription: its reported MRR, and the baseline in it that was never reported. In major units."""

    stream_id: str
    subscription_id: str
    source: str
    livemode: bool
    currency: str
    plan: str
    mrr: Decimal
    baseline: Decimal
    changed_at: datetime


class Level(Value):
    """The MRR of one source, currency and plan. `count`: subscriptions with MRR."""

    currency: str
    source: str
    plan: str
    mrr: Decimal
    baseline: Decimal
    count: int


KEY = ("stream_id", "subscription_id")


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(subscriptions)
    others = [column.name for column in subscriptions.c if column.name not in KEY]
    return insert.on_conflict_do_update(index_elements=list(KEY), set_={name: insert.excluded[name] for name in others})


UPSERT = insert_per_dialect(_upsert)
BY_PLAN = (subscriptions.c.currency, subscriptions.c.source, subscriptions.c.plan)
LEVELS = (
    select(
        *BY_PLAN,
        func.coalesce(func.sum(subscriptions.c.mrr), 0),
        func.coalesce(func.sum(subscriptions.c.baseline), 0),
        func.count().filter(subscriptions.c.mrr > 0),
    )
    .where(subscriptions.c.livemode == bindparam("livemode"))
    .group_by(*BY_PLAN)
    .order_by(*BY_PLAN)
)
WITH_BASELINE = (
    select(subscriptions)
    .where(subscriptions.c.livemode == bindparam("livemode"), subscriptions.c.source == bindparam("source"))
    .where(subscriptions.c.baseline > 0)
    .order_by(subscriptions.c.stream_id, subscriptions.c.subscription_id)
)
WITH_MRR = (
    select(subscriptions)
    .where(tuple_(*(subscriptions.c[name] for name in KEY)) > tuple_(bindparam("stream"), bindparam("subscription")))
    .where(subscriptions.c.livemode, subscriptions.c.source.in_(bindparam("sources", expanding=True)))
    .where(subscriptions.c.mrr > 0)
    .order_by(*(subscriptions.c[name] for name in KEY))
    .limit(bindparam("limit"))
)
OF_STREAM = (
    select(subscriptions)
    .where(subscriptions.c.stream_id == bindparam("stream_id"))
    .order_by(subscriptions.c.subscription_id)
)

DELETE_OF = delete(subscriptions).where(subscriptions.c.stream_id == bindparam("old"))


def save(tx: Connection, rows: Iterable[SubscriptionRow]) -> None:
    """Inserts or updates subscriptions. In the transaction that writes their ledger state."""
    ordered = sorted(rows, key=lambda row: (row.stream_id, row.subscription_id))  # one order of locks for all workers
    execute_many(tx, UPSERT[tx.dialect.name], [asdict(row) for row in ordered])


def move(tx: Connection, old_id: str, new_id: str) -> None:
    """Moves the subscriptions of a stream to another one that adopts its state.

    One that both have keeps its own baseline and has the MRR that both have reported, as in the united state.
    """
    old, new = of_stream(tx, old_id), {row.subscription_id: row for row in of_stream(tx, new_id)}
    tx.execute(DELETE_OF, {"old": old_id})
    rows = [replace(one, stream_id=new_id) for one in old]
    save(tx, [_added(one, new.get(one.subscription_id)) for one in rows])


def _added(one: SubscriptionRow, other: SubscriptionRow | None) -> SubscriptionRow:
    if other is None:
        return one
    return replace(other, mrr=other.mrr + one.mrr - one.baseline)


def levels(tx: Connection, livemode: bool) -> list[Level]:
    """The present MRR by currency, source and plan."""
    return [
        Level(currency=currency, source=source, plan=plan, mrr=Decimal(mrr), baseline=Decimal(baseline), count=count)
        for currency, source, plan, mrr, baseline, count in tx.execute(LEVELS, {"livemode": livemode})
    ]


def with_baseline(tx: Connection, source: str, livemode: bool) -> list[SubscriptionRow]:
    """The subscriptions of a source whose baseline was never reported."""
    rows = tx.execute(WITH_BASELINE, {"source": source, "livemode": livemode})
    return [_row(row) for row in rows]


def with_mrr(tx: Connection, sources: Iterable[str], after: tuple[str, str], limit: int) -> list[SubscriptionRow]:
    """The next live subscriptions of these sources that have MRR, by stream and id. `after`: the last one read."""
    chosen = {"sources": list(sources), "stream": after[0], "subscription": after[1], "limit": limit}
    return [_row(row) for row in tx.execute(WITH_MRR, chosen)]


def of_stream(tx: Connection, stream_id: str) -> list[SubscriptionRow]:
    """The subscriptions of one customer."""
    return [_row(row) for row in tx.execute(OF_STREAM, {"stream_id": stream_id})]


def _row(row: Row[Any]) -> SubscriptionRow:
    """A row as it is read. MRR above a trillion is stored as NULL: it counts as 0, as in every sum."""
    own = row._mapping
    return SubscriptionRow(**{**own, "mrr": own["mrr"] or Decimal(), "baseline": own["baseline"] or Decimal()})


def latest_plans(tx: Connection, stream_ids: Sequence[str]) -> dict[str, str]:
    """The plan of each stream, by stream: that of its subscription that changed last."""
    found: dict[str, str] = {}
    for chunk in padded_chunks(stream_ids):
        query = select(subscriptions.c.stream_id, subscriptions.c.plan).where(subscriptions.c.stream_id.in_(chunk))
        for stream_id, plan in tx.execute(query.order_by(subscriptions.c.changed_at)):
            if plan:
                found[stream_id] = plan
    return found
