"""Both sides' rows, written to the spool: our revenue events from the store, theirs from lists and exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from bridge.audit.records import NO_FLAGS, Flags, Sent
from bridge.ledger.events import EventType
from bridge.ledger.policy import MovementsBy
from bridge.scope import Scope, StreamId
from bridge.settings import Source
from bridge.store import Store, audits
from bridge.store.audit_spool import Spool
from bridge.store.daily_sums import number_of
from bridge.store.schema import EPOCH, LARGEST_SCALED, MICROSECOND
from processors.money import major
from processors.totals import Joined, MrrChange, RevenueItem

TEN_THOUSAND = 10_000
OPENING = -1  # the day of everything before the first
MARGIN = timedelta(days=15)  # a payment may be dated that much earlier by the processor: bank debits take days
WAITING = frozenset({"held", "pending", "failed", "dropped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days that are compared, both included, in a time zone."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def since(self) -> datetime:
        """The beginning of the first day."""
        return datetime.combine(self.first, datetime.min.time(), self.zone)

    @property
    def until(self) -> datetime:
        """The end of the last day."""
        return datetime.combine(self.last + timedelta(days=1), datetime.min.time(), self.zone)

    def day(self, at: datetime) -> date:
        """The day of a moment."""
        return at.astimezone(self.zone).date()


def scaled(amount: Decimal) -> int:
    """An amount in ten-thousandths of a major unit, as the spool adds it. One above a trillion is 0, as in all sums."""
    return int(amount * TEN_THOUSAND) if abs(amount) <= LARGEST_SCALED else 0


def unscaled(units: int) -> Decimal:
    """The inverse of `scaled`."""
    return Decimal(units) / TEN_THOUSAND


# ---- Ours ----------------------------------------------------------------------------------------------------------


def load_ours(
    store: Store, spool: Spool, source: Source, span: Span, by: MovementsBy, livemode: bool, count: Callable[[], None]
) -> None:
    """The revenue events of a source. MRR from before the first day becomes one opening row of each key."""
    for row in audits.revenue_events(store, str(Scope(source.name, None, livemode)), span.until + MARGIN):
        count()
        sent = _sent(row.status)
        if row.amount and not row.output_key.startswith("movement:") and row.occurred_at >= span.since - MARGIN:
            key = (row.transaction_id or "").partition(":")[0]
            amount = -abs(row.amount) if row.event_type == EventType.REFUND else row.amount
            moment = (row.occurred_at - EPOCH) // MICROSECOND
            spool.put("items", (key, row.currency, 1, moment, scaled(amount), sent, "", "", ""))
        if row.movement is not None and span.day(row.occurred_at) <= span.last:
            _put_movement(spool, row, span, by, sent)


def load_levels(store: Store, spool: Spool, source: Source, livemode: bool) -> dict[str, Decimal]:
    """The present MRR of every subscription. Returns the MRR from before the bridge, by currency."""
    baselines: dict[str, Decimal] = {}
    scope = str(Scope(source.name, None, livemode))
    for row in audits.levels(store, source.name, livemode):
        if StreamId.parse(row.stream_id).scope != scope:
            continue
        spool.put("levels", (row.subscription_id, row.stream_id, row.currency, scaled(row.mrr or Decimal())))
        if row.baseline:
            baselines[row.currency] = baselines.get(row.currency, Decimal()) + row.baseline
    return baselines


def _put_movement(spool: Spool, row: Any, span: Span, by: MovementsBy, sent: str) -> None:
    key = row.subscription_id if by is MovementsBy.SUBSCRIPTION else StreamId.parse(row.stream_id).key
    day = span.day(row.occurred_at)
    number = OPENING if day < span.first else number_of(day)
    flags = _flags(row.body, row.movement, row.subscription_id)
    spool.put("moves", (key or "", number, row.currency, 1, scaled(row.mrr_impact), row.movement, sent, flags))


def _flags(body: str, kind: str, subscription: str | None) -> str:
    metadata = json.loads(body).get("metadata") or {}
    found = {name: metadata.get(name) for name in ("coupon", "interval", "reason")}
    return json.dumps([kind, subscription, *found.values(), bool(metadata.get("mrr_estimated"))])


def read_flags(text: str) -> Flags:
    """The flags of one of our rows."""
    if not text:
        return NO_FLAGS
    kind, subscription, coupon, interval, reason, is_estimated = json.loads(text)
    return Flags(
        kinds=frozenset({kind}),
        subscriptions=_set(subscription),
        coupons=_set(coupon),
        intervals=_set(interval),
        reasons=_set(reason),
        is_estimated=is_estimated,
    )


def _set(value: str | None) -> frozenset[str]:
    return frozenset() if value is None else frozenset({str(value)})


def _sent(status: str) -> str:
    if status in WAITING:
        return Sent.WAITING.value
    return Sent.NOT_FORWARDED.value if status == "not_forwarded" else Sent.DELIVERED.value


# ---- Theirs --------------------------------------------------------------------------------------------------------


def load_revenue(spool: Spool, listed: Iterable[RevenueItem | Joined], count: Callable[[], None]) -> None:
    """The processor's lists. Which invoice a payment belongs to decides under which key both are compared."""
    for one in listed:
        count()
        if isinstance(one, Joined):
            spool.put("joined", (one.payment, one.invoice))
            continue
        amount = scaled(major(one.amount))
        moment = (one.at - EPOCH) // MICROSECOND
        refs = json.dumps([*dict.fromkeys((one.key, one.object_id, *one.refs))])
        about = (refs, one.object_id, one.customer_id or "")
        spool.put("items", (one.key, one.amount.currency.code, 0, moment, amount, "", *about))


def load_changes(
    spool: Spool, changes: Iterable[MrrChange], span: Span, by: MovementsBy, count: Callable[[], None]
) -> date | None:
    """The rows of an export. Returns its last day; None: it has none."""
    last: date | None = None
    for one in changes:
        count()
        day = span.day(one.at) if one.at is not None else one.local_day
        if day is None:
            continue
        last = day if last is None else max(last, day)
        if span.first <= day <= span.last:
            key = (one.subscription_id or "") if by is MovementsBy.SUBSCRIPTION else one.customer_id
            row = (key, number_of(day), one.amount.currency.code, 0, scaled(major(one.amount)), one.kind.value, "", "")
            spool.put("moves", row)
    return last
