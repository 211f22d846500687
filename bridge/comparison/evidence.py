"""The stored webhooks and states behind a row that differs, read for those rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal

from sqlalchemy import Connection

from bridge.comparison.records import NOTHING_KNOWN, Coupon, Evidence
from bridge.ledger.catalog import load_entry
from bridge.ledger.state import State, load
from bridge.scope import Scope, StreamId
from bridge.store import Store, audits, streams
from bridge.store.inbox import UNSETTLED
from processors.facts import Coupon as StoredCoupon
from processors.money import iso_digits

UNSETTLED_STATUSES = frozenset(one.value for one in UNSETTLED)


@dataclass(kw_only=True)
class Archive:
    """The database of one ledger."""

    store: Store
    scope: Scope
    _coupons: Mapping[str, Coupon] | None = field(default=None, init=False)

    def of(self, key: str) -> Evidence:
        """About a customer or a subscription."""
        return self.of_refs((key,))

    def of_refs(self, refs: Sequence[str]) -> Evidence:
        """About whatever has one of these ids."""
        with self.store.reading() as tx:
            stream_id = self.stream_of(tx, refs)
            return NOTHING_KNOWN if stream_id is None else self._evidence(tx, stream_id)

    def stream_of(self, tx: Connection, refs: Sequence[str]) -> str | None:
        """The stream of an id; None: no stored webhook has it."""
        scope = str(self.scope)
        linked = streams.links(tx, scope, refs)
        found = next((linked[ref] for ref in refs if ref in linked), None)
        named = [str(StreamId(scope, ref)) for ref in refs]
        return found or next(iter(streams.find(tx, named)), None)

    def state_of(self, stream_id: str) -> State:
        """The ledger state of a stream."""
        with self.store.reading() as tx:
            return load(streams.state_of(tx, stream_id))

    def _evidence(self, tx: Connection, stream_id: str) -> Evidence:
        if self._coupons is None:
            self._coupons = coupons(tx, str(self.scope))
        webhooks = audits.webhooks_of(tx, stream_id)
        terms = [one.terms for one in load(streams.state_of(tx, stream_id)).subscriptions.values() if one.terms]
        return Evidence(
            webhook_days=frozenset(at.astimezone(UTC).date() for at, _ in webhooks),
            unsettled=sum(status in UNSETTLED_STATUSES for _, status in webhooks),
            ends_later=any(one.cancels_at is not None for one in terms),
            stopped_collecting=any(one.stopped_collecting for one in terms),
            coupons=self._coupons,
        )


def coupons(tx: Connection, scope: str) -> dict[str, Coupon]:
    """The coupons of a ledger, by id and by the name that `metadata.coupon` shows."""
    found: dict[str, Coupon] = {}
    for body in audits.catalog_of_kind(tx, scope, "coupon"):
        entry = load_entry("coupon", body)
        if isinstance(entry, StoredCoupon):
            coupon = Coupon(
                share=Decimal(0) if entry.percent is None else entry.percent / 100,
                amounts={code: Decimal(minor).scaleb(-iso_digits(code)) for code, minor in entry.amount_off.items()},
            )
            found |= {entry.id: coupon, **({} if entry.name is None else {entry.name: coupon})}
    return found
