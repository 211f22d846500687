"""Every movement, payment or customer, row by row, for spreadsheets and other programs.

Read in chunks, each in a separate transaction: memory stays flat, and a slow reader of a long export keeps no
transaction open. What is stored while an export runs may be missing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, case, func, select

from bridge.scope import Scope, StreamId
from bridge.store.daily_sums import number_of
from bridge.store.schema import outbox, streams, subscriptions
from bridge.store.search import Readable
from bridge.store.statements import padded_chunks, unindexed
from processors.money import EXACT
from processors.values import Value

CHUNK = 2000

COMMON = (
    "id", "occurred_at", "source", "account", "livemode", "customer", "customer_id", "subscription_id",
    "transaction_id", "event_type",
)  # fmt: skip
LAST = ("plan", "attribution", "status", "delivered_at")
MOVEMENTS = (*COMMON, "movement", "currency", "mrr_impact", *LAST)
REVENUE = (*COMMON, "currency", "amount", *LAST)
CUSTOMERS = (
    "source", "account", "livemode", "customer", "customer_id", "currency", "mrr", "baseline", "subscriptions", "plan",
    "revenue", "revenue_events", "first_at", "last_at",
)  # fmt: skip

Record = Mapping[str, object]


class ExportFilter(Value):
    """The rows to export: live or test money, of one source or all, from `first` to `last` in UTC, both included."""

    livemode: bool = True
    source: str | None = None
    first: date | None = None
    last: date | None = None


# ---- Revenue events ----------------------------------------------------------------------------------------------

MOVES = outbox.c.movement.is_not(None)
HAS_AMOUNT = (outbox.c.amount_sum != 0) | outbox.c.amount_sum.is_(None)  # one too large to be added has no sum
LATEST = select(func.max(outbox.c.id))


def movements(store: Readable, wanted: ExportFilter) -> Iterator[Record]:
    """The revenue events that move MRR, the oldest first, with the columns MOVEMENTS."""
    return _events(store, wanted, MOVES, MOVEMENTS)


def revenue(store: Readable, wanted: ExportFilter) -> Iterator[Record]:
    """The revenue events with an amount: payments and refunds, the oldest first, with the columns REVENUE."""
    return _events(store, wanted, HAS_AMOUNT, REVENUE)


def _events(
    store: Readable, wanted: ExportFilter, chosen: ColumnElement[bool], columns: Iterable[str]
) -> Iterator[Record]:
    computed = {"account": None, "customer": None}
    names = [name for name in columns if name not in computed]
    query = (
        select(outbox.c.stream_id, *(outbox.c[name] for name in names))
        .where(outbox.c.id > bindparam("after"), outbox.c.id <= bindparam("until"), chosen, *_conditions(wanted))
        .order_by(outbox.c.id)
        .limit(CHUNK)
    )
    with store.reading() as tx:
        until = tx.execute(LATEST).scalar() or 0
    after = 0
    while rows := _read(store, query, {"after": after, "until": until}):
        for row in rows:
            yield {**row._mapping, **_of_customer(row.stream_id)}
        after = rows[-1].id


def _conditions(wanted: ExportFilter) -> Iterator[ColumnElement[bool]]:
    # An expression, so that the planner keeps to the order of the key.
    yield case((outbox.c.livemode, 1), else_=0) == int(wanted.livemode)
    if wanted.source is not None:
        yield unindexed(outbox.c.source) == wanted.source
    if wanted.first is not None:
        yield outbox.c.day >= number_of(wanted.first)
    if wanted.last is not None:
        yield outbox.c.day <= number_of(wanted.last)


def _read(store: Readable, query: Select[Any], values: Mapping[str, object]) -> list[Row[Any]]:
    with store.reading() as tx:
        return list(tx.execute(query, values))


def _of_customer(stream_id: str) -> dict[str, object]:
    """The processor's own id of the customer; None for a payment without one."""
    stream = StreamId.parse(stream_id)
    return {
        "account": Scope.parse(stream.scope).account,
        "customer": None if stream.is_provisional else stream.key,
    }


# ---- Customers ---------------------------------------------------------------------------------------------------

NEXT_STREAMS = select(streams.c.stream_id).where(streams.c.stream_id > bindparam("after")).order_by(streams.c.stream_id)
# Amounts are text, so equal ones are grouped by the database and added here, exactly.
OF_EVENTS = (outbox.c.stream_id, outbox.c.currency, outbox.c.customer_id, outbox.c.amount)


@dataclass(slots=True, kw_only=True)
class _Account:
    """The sums of one customer in one currency."""

    mrr: Decimal = Decimal()
    baseline: Decimal = Decimal()
    subscriptions: int = 0
    plan: str | None = None
    revenue: Decimal = Decimal()
    revenue_events: int = 0
    customer_id: str | None = None
    last_id: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


def customers(store: Readable, wanted: ExportFilter) -> Iterator[Record]:
    """One row per customer and currency, by stream, with the columns CUSTOMERS.

    `mrr`, `baseline` and `subscriptions` are the present ones; `revenue` to `last_at` are of the period, and with a
    period only customers with a revenue event in it are read. A payment without a customer has a row without an id.
    """
    after = ""
    while rows := _read(store, NEXT_STREAMS.limit(CHUNK), {"after": after}):
        chosen = [row.stream_id for row in rows if _is_wanted(row.stream_id, wanted)]
        for stream_ids in padded_chunks(chosen):
            with store.reading() as tx, localcontext(EXACT):
                accounts = _accounts(tx, stream_ids, wanted)
            for (stream_id, currency), one in sorted(accounts.items()):
                yield _record(stream_id, currency, one)
        after = rows[-1].stream_id


def _is_wanted(stream_id: str, wanted: ExportFilter) -> bool:
    scope = Scope.parse(StreamId.parse(stream_id).scope)
    return scope.livemode is wanted.livemode and wanted.source in (None, scope.source)


def _accounts(tx: Connection, stream_ids: list[str], wanted: ExportFilter) -> dict[tuple[str, str], _Account]:
    found: dict[tuple[str, str], _Account] = {}
    events = select(
        *OF_EVENTS,
        func.count().label("n"),
        func.max(outbox.c.id).label("last_id"),
        func.min(outbox.c.occurred_at).label("first_at"),
        func.max(outbox.c.occurred_at).label("last_at"),
    )
    for row in tx.execute(events.where(outbox.c.stream_id.in_(stream_ids), *_conditions(wanted)).group_by(*OF_EVENTS)):
        _add_events(found.setdefault((row.stream_id, row.currency), _Account()), row)
    own = select(subscriptions).where(subscriptions.c.stream_id.in_(stream_ids)).order_by(subscriptions.c.changed_at)
    is_limited = wanted.first is not None or wanted.last is not None
    active = {stream_id for stream_id, _ in found}
    for row in tx.execute(own):
        if not is_limited or row.stream_id in active:
            _add_subscription(found.setdefault((row.stream_id, row.currency), _Account()), row)
    return found


def _add_events(one: _Account, row: Row[Any]) -> None:
    one.revenue += row.amount * row.n
    one.revenue_events += row.n
    one.first_at = min(row.first_at, one.first_at or row.first_at)
    one.last_at = max(row.last_at, one.last_at or row.last_at)
    if row.last_id > one.last_id:
        one.last_id, one.customer_id = row.last_id, row.customer_id


def _add_subscription(one: _Account, row: Row[Any]) -> None:
    one.mrr += row.mrr or 0
    one.baseline += row.baseline or 0
    one.subscriptions += bool(row.mrr)
    one.plan = row.plan or one.plan


def _record(stream_id: str, currency: str, one: _Account) -> Record:
    scope = Scope.parse(StreamId.parse(stream_id).scope)
    sums = {name: getattr(one, name) for name in CUSTOMERS if hasattr(one, name)}
    return {
        **sums,
        **_of_customer(stream_id),
        "source": scope.source,
        "livemode": scope.livemode,
        "currency": currency,
    }
