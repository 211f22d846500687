"""Sums of revenue events: delivered to Pulsora, pending, and not sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

from sqlalchemy import Connection, Row, func, select

from bridge.formatting import currency_order
from bridge.store.count_cache import cached
from bridge.store.outbox import UNSENT, DeliveryStatus
from bridge.store.schema import outbox
from processors.money import EXACT
from processors.values import Value

GROUP = (outbox.c.source, outbox.c.livemode, outbox.c.status, outbox.c.currency, outbox.c.event_type)
# Amounts are text, so the database cannot add them; equal amounts are grouped there and summed here, exactly.
SUMS = select(*GROUP, outbox.c.amount, outbox.c.mrr_impact, func.count().label("n")).group_by(
    *GROUP, outbox.c.amount, outbox.c.mrr_impact
)


class Sum(Value):
    """The sums of the events of one kind, in major units, exact."""

    source: str
    livemode: bool
    status: DeliveryStatus
    currency: str
    event_type: str
    count: int
    amount: Decimal
    mrr_impact: Decimal


class Total(Value):
    """The sums of one source's revenue events of one mode and currency, in major units, exact."""

    source: str
    mode: str
    currency: str
    revenue_delivered: Decimal = Decimal(0)
    mrr_delivered: Decimal = Decimal(0)
    revenue_pending: Decimal = Decimal(0)
    mrr_pending: Decimal = Decimal(0)
    revenue_not_sent: Decimal = Decimal(0)
    mrr_not_sent: Decimal = Decimal(0)


def sums(tx: Connection) -> list[Sum]:
    """Sums by source, mode, status, currency and event type. With a large outbox they may be some seconds old."""
    return cached(tx, "outbox.sums", lambda: _sums(tx), lambda found: sum(one.count for one in found))


def totals(parts: Iterable[Sum]) -> list[Total]:
    """Revenue and MRR by source, mode and currency, of which the one with the most events is first."""
    found: dict[tuple[str, str], dict[str, dict[str, Decimal]]] = {}
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in parts:
        key = (one.source, "live" if one.livemode else "test")
        counts[key][one.currency] += one.count
        own, group = found.setdefault(key, {}).setdefault(one.currency, {}), _group(one.status)
        own[f"revenue_{group}"] = own.get(f"revenue_{group}", Decimal(0)) + one.amount
        own[f"mrr_{group}"] = own.get(f"mrr_{group}", Decimal(0)) + one.mrr_impact
    return [
        Total(source=source, mode=mode, currency=currency, **found[source, mode][currency])
        for source, mode in sorted(found)
        for currency in currency_order(counts[source, mode])
    ]


def _group(status: DeliveryStatus) -> str:
    if status is DeliveryStatus.DELIVERED:
        return "delivered"
    return "pending" if status in UNSENT else "not_sent"


def _sums(tx: Connection) -> list[Sum]:
    groups: dict[tuple[object, ...], list[Row[*tuple[object, ...]]]] = defaultdict(list)
    for row in tx.execute(SUMS):
        groups[tuple(row[: len(GROUP)])].append(row)
    with localcontext(EXACT):
        return [_sum(rows) for rows in groups.values()]


def _sum(rows: Sequence[Row[*tuple[object, ...]]]) -> Sum:
    return Sum(
        source=rows[0].source,
        livemode=rows[0].livemode,
        status=DeliveryStatus(rows[0].status),
        currency=rows[0].currency,
        event_type=rows[0].event_type,
        count=sum(row.n for row in rows),
        amount=sum((row.amount * row.n for row in rows), Decimal()),
        mrr_impact=sum((row.mrr_impact * row.n for row in rows if row.mrr_impact is not None), Decimal()),
    )
