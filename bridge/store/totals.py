"""What revenue events add up to, for those who look: told to Pulsora, still on the way there, and never to be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from sqlalchemy import Connection, Row, func, select

from bridge.store.outbox import DeliveryStatus
from bridge.store.count_cache import remembered
from bridge.store.schema import outbox

ON_ITS_WAY = (DeliveryStatus.HELD, DeliveryStatus.PENDING)
GROUP = (outbox.c.source, outbox.c.livemode, outbox.c.status, outbox.c.currency, outbox.c.event_type)
# Prices repeat: the database groups equal amounts, and the few groups are added up here, exactly.
SUMS = select(*GROUP, outbox.c.amount, outbox.c.mrr_impact, func.count().label("n")).group_by(
    *GROUP, outbox.c.amount, outbox.c.mrr_impact
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What the events of one kind add up to, in major units, exact."""

    source: str
    livemode: bool
    status: DeliveryStatus
    currency: str
    event_type: str
    count: int
    amount: Decimal
    mrr_impact: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What one source's revenue events of one mode and currency add up to, in major units, exact."""

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
    """What came out, by source, mode, status, currency and event type. Over a large outbox some seconds old."""
    return remembered(tx, "outbox.sums", lambda: _sums(tx), lambda found: sum(one.count for one in found))


def totals(parts: Iterable[Sum]) -> list[Total]:
    """Revenue and MRR by source, mode and currency."""
    found: dict[tuple[str, str, str], dict[str, Decimal]] = {}
    for one in parts:
        key = (one.source, "live" if one.livemode else "test", one.currency)
        own, fate = found.setdefault(key, {}), _fate(one.status)
        own[f"revenue_{fate}"] = own.get(f"revenue_{fate}", Decimal(0)) + one.amount
        own[f"mrr_{fate}"] = own.get(f"mrr_{fate}", Decimal(0)) + one.mrr_impact
    return [
        Total(source=source, mode=mode, currency=currency, **own)
        for (source, mode, currency), own in sorted(found.items())
    ]


def _fate(state: DeliveryStatus) -> str:
    if state is DeliveryStatus.DELIVERED:
        return "told"
    return "to_come" if state in ON_ITS_WAY else "not_told"


def _sums(tx: Connection) -> list[Sum]:
    groups: dict[tuple[object, ...], list[Row[*tuple[object, ...]]]] = defaultdict(list)
    for row in tx.execute(SUMS):
        groups[tuple(row[: len(GROUP)])].append(row)
    with localcontext(prec=60):
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
