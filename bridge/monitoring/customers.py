"""One customer: subscriptions, MRR over time, revenue, attribution, and what is held. And the latest customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from bridge.formatting import currency_order
from bridge.monitoring.mrr import exact
from bridge.monitoring.settlements import customer_of
from bridge.scope import Scope, StreamId
from bridge.store import outbox as deliveries
from bridge.store import search, streams, subscriptions
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.store.schema import outbox
from bridge.store.streams import StreamRow
from bridge.store.subscriptions import SubscriptionRow
from processors.money import EXACT
from processors.values import Value, replace

NO_VISIT = "none"
DAY = timedelta(days=1)


class Step(Value):
    """The customer's MRR after the last movement of a day, in major units."""

    day: date
    level: Decimal


class Visit(Value):
    """Where an attribution was found, and the visit that it names. `count`: deliveries that carry it."""

    place: str
    fingerprint: str
    session: str
    at: datetime
    count: int


class Customer(Value):
    """One stream: a customer of one ledger. `revenue`: by currency, in major units; `mrr`: by currency."""

    stream: StreamRow
    scope: Scope
    customer_id: str | None
    subscriptions: Sequence[SubscriptionRow]
    deliveries: Sequence[Delivery]
    visits: Sequence[Visit]

    @property
    def name(self) -> str:
        """The processor's customer id, or the reference of a stream whose customer is not known."""
        return StreamId.parse(self.stream.stream_id).key

    @property
    def held(self) -> list[Delivery]:
        """The deliveries that wait for an attribution."""
        return [one for one in self.deliveries if one.status is DeliveryStatus.HELD]

    @property
    def own_ids(self) -> list[str]:
        """Ids of the merchant's own, under which Pulsora knows the customer."""
        return sorted({one.customer_id for one in self.deliveries if one.customer_id} - {self.name})

    @property
    def revenue(self) -> dict[str, Decimal]:
        """The sum of all amounts by currency."""
        return sums_by_currency((one.currency, one.amount) for one in self.deliveries)

    @property
    def mrr(self) -> dict[str, Decimal]:
        """The present MRR by currency."""
        return sums_by_currency((one.currency, one.mrr) for one in self.subscriptions)

    def steps(self, currency: str) -> list[Step]:
        """The MRR in one currency after each day with a movement, counted back from the present one.

        The first step is the day before: the level then, 0 unless the customer is older than the bridge.
        """
        level = self.mrr.get(currency, Decimal())
        moves: dict[date, Decimal] = {}
        for one in self.deliveries:
            if one.currency == currency and one.mrr_impact:
                day = (one.occurred_at or one.created_at).date()
                moves[day] = EXACT.add(moves.get(day, Decimal()), one.mrr_impact)
        found = []
        for day in sorted(moves, reverse=True):
            found.append(Step(day=day, level=exact(level, currency)))
            level = EXACT.subtract(level, moves[day])
        if found:
            found.append(Step(day=min(moves) - DAY, level=exact(level, currency)))
        return found[::-1]


def read_customer(tx: Connection, stream_id: str) -> Customer | None:
    """Reads a customer. None: there is no such stream."""
    try:
        parsed = StreamId.parse(stream_id)
    except ValueError:
        return None
    stream = streams.find(tx, [stream_id]).get(stream_id)
    if stream is None:
        return None
    found = deliveries.of_stream(tx, stream_id)
    return Customer(
        stream=stream,
        scope=Scope.parse(parsed.scope),
        customer_id=customer_of(stream_id),
        subscriptions=[
            replace(one, mrr=exact(one.mrr, one.currency), baseline=exact(one.baseline, one.currency))
            for one in subscriptions.of_stream(tx, stream_id)
        ],
        deliveries=found,
        visits=_visits(found),
    )


def _visits(found: Iterable[Delivery]) -> list[Visit]:
    from bridge.sender import payload  # with marshmallow

    visits: dict[tuple[str, str, str], Visit] = {}
    for one in found:
        data: Any = payload.load(one.body)
        if one.attribution in (None, NO_VISIT) or not isinstance(data, dict):
            continue
        key = (str(one.attribution), str(data.get("visitor_fingerprint")), str(data.get("session_id")))
        count = visits[key].count if key in visits else 0
        visits[key] = Visit(
            place=key[0], fingerprint=key[1], session=key[2], at=one.occurred_at or one.created_at, count=count + 1
        )
    return sorted(visits.values(), key=lambda visit: visit.at, reverse=True)


def sums_by_currency(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """The sum of the amounts of each currency, with its decimals. `pairs`: currency and amount in major units.

    The currency with the most amounts is first.
    """
    found: dict[str, Decimal] = {}
    counts = Counter[str]()
    for currency, value in pairs:
        found[currency] = EXACT.add(found.get(currency, Decimal()), value)
        counts[currency] += 1
    return {currency: exact(found[currency], currency) for currency in currency_order(counts)}


# ---- Lists -----------------------------------------------------------------------------------------------------


class Summary(Value):
    """A customer in a list. `last_at`: when the latest revenue event was created; None: there is none."""

    stream_id: str
    scope: Scope
    name: str
    plan: str | None
    mrr: dict[str, Decimal]
    subscriptions: int
    last_at: datetime | None


LATEST = (
    select(outbox.c.id, outbox.c.stream_id, outbox.c.created_at)
    .where(outbox.c.id < bindparam("before"))
    .order_by(outbox.c.id.desc())
    .limit(bindparam("limit"))
)
LARGEST = 2**63 - 1
ROWS_PER_CUSTOMER = 20


def latest_customers(tx: Connection, limit: int, before: int | None = None) -> tuple[list[Summary], int | None]:
    """The customers with the latest revenue events, and where the next page begins.

    A customer is on the page of its latest event; the pages are read from the events, so they cost the same whatever
    number of customers there is.
    """
    found: dict[str, datetime] = {}
    rows = tx.execute(LATEST, {"before": before or LARGEST, "limit": limit * ROWS_PER_CUSTOMER}).all()
    last: int | None = None
    for row in rows:
        if row.stream_id not in found and len(found) == limit:
            break
        found.setdefault(row.stream_id, row.created_at)
        last = row.id
    has_more = bool(rows) and (last != rows[-1].id or len(rows) == limit * ROWS_PER_CUSTOMER)
    newer = {} if before is None else _with_newer(tx, list(found), before)
    shown = {stream_id: at for stream_id, at in found.items() if stream_id not in newer}
    return _summaries(tx, shown), last if has_more else None


def found_customers(tx: Connection, text: str) -> list[Summary]:
    """The customers that an id belongs to."""
    return _summaries(tx, dict.fromkeys(search.streams_of(tx, text.strip())))


def _with_newer(tx: Connection, stream_ids: Sequence[str], before: int) -> set[str]:
    query = select(outbox.c.stream_id).where(outbox.c.stream_id.in_(stream_ids), outbox.c.id >= before).distinct()
    return set(tx.execute(query).scalars())


def _summaries(tx: Connection, found: Mapping[str, datetime | None]) -> list[Summary]:
    plans = subscriptions.latest_plans(tx, list(found))
    latest = select(func.max(outbox.c.created_at)).where(outbox.c.stream_id == bindparam("id"))
    return [
        Summary(
            stream_id=stream_id,
            scope=Scope.parse(StreamId.parse(stream_id).scope),
            name=StreamId.parse(stream_id).key,
            plan=plans.get(stream_id),
            mrr=sums_by_currency((one.currency, one.mrr) for one in own if one.mrr),
            subscriptions=len(own),
            last_at=at or tx.execute(latest, {"id": stream_id}).scalar(),
        )
        for stream_id, at in found.items()
        for own in [subscriptions.of_stream(tx, stream_id)]
    ]
