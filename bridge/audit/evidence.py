"""The stored webhooks and states behind a row that differs, read for those rows only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection

from bridge.audit.records import NOTHING_KNOWN, Coupon, Evidence
from bridge.ledger.catalog import load_entry
from bridge.ledger.policy import MrrDiscounts, Policy
from bridge.ledger.state import State, load
from bridge.scope import Scope, StreamId
from bridge.store import Store, audits, streams
from bridge.store.inbox import UNSETTLED
from processors.facts import Coupon as StoredCoupon
from processors.facts import Duration
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
        return self.of_keys((key,))[0]

    def of_keys(self, keys: Sequence[str]) -> list[Evidence]:
        """About each of several customers or subscriptions."""
        return self.of_refs([(key,) for key in keys])

    def of_refs(self, wanted: Sequence[Sequence[str]]) -> list[Evidence]:
        """About the customer who has one of these ids, for each list of them."""
        with self.store.reading() as tx:
            if self._coupons is None:
                self._coupons = coupons(tx, str(self.scope))
            found = self._streams_of(tx, wanted)
            known = {stream_id for stream_id in found if stream_id is not None}
            webhooks, states = audits.webhooks_of(tx, known), audits.states_of(tx, known)
        about = {one: _evidence(webhooks.get(one, ()), states.get(one), self._coupons) for one in known}
        return [NOTHING_KNOWN if stream_id is None else about[stream_id] for stream_id in found]

    def coupons(self, policy: Policy) -> Mapping[str, Coupon]:
        """The coupons that lower MRR under these rules, by id and by name."""
        counting = {
            MrrDiscounts.FOREVER: {Duration.FOREVER},
            MrrDiscounts.RECURRING: {Duration.FOREVER, Duration.REPEATING},
            MrrDiscounts.NONE: set[Duration](),
        }[policy.mrr_discounts]
        with self.store.reading() as tx:
            found = coupons(tx, str(self.scope))
        return {name: one for name, one in found.items() if one.duration in counting}

    def stream_of(self, tx: Connection, refs: Sequence[str]) -> str | None:
        """The stream of an id; None: no stored webhook has it."""
        return self._streams_of(tx, [refs])[0]

    def _streams_of(self, tx: Connection, wanted: Sequence[Sequence[str]]) -> list[str | None]:
        scope = str(self.scope)
        linked = streams.links(tx, scope, [ref for refs in wanted for ref in refs])
        own = {ref: str(StreamId(scope, ref)) for refs in wanted if not linked.keys() & set(refs) for ref in refs}
        existing = streams.find(tx, own.values()) if own else {}
        named = linked | {ref: stream_id for ref, stream_id in own.items() if stream_id in existing}
        return [next((named[ref] for ref in refs if ref in named), None) for refs in wanted]

    def state_of(self, stream_id: str) -> State:
        """The ledger state of a stream."""
        with self.store.reading() as tx:
            return load(streams.state_of(tx, stream_id))

    def level_of(self, key: str, currency: str) -> Decimal:
        """The MRR of a subscription in a currency at this moment."""
        with self.store.reading() as tx:
            stream_id = self.stream_of(tx, (key,))
            found = None if stream_id is None else audits.level_of(tx, stream_id, key)
        return found[1] if found is not None and found[0] == currency else Decimal()


def _evidence(
    webhooks: Sequence[tuple[datetime, str]], stored: str | None, known_coupons: Mapping[str, Coupon]
) -> Evidence:
    state = load(stored)
    terms = [one.terms for one in state.subscriptions.values() if one.terms]
    return Evidence(
        webhook_days=frozenset(at.astimezone(UTC).date() for at, _ in webhooks),
        unsettled=sum(status in UNSETTLED_STATUSES for _, status in webhooks),
        ends_later=any(one.cancels_at is not None for one in terms),
        stopped_collecting=any(one.stopped_collecting for one in terms),
        money=frozenset(_money(state)),
        coupons=known_coupons,
    )


def _money(state: State) -> Iterator[str]:
    for one in state.receivables.values():
        yield from (one.id, *one.payments) if one.paid else ()
        yield from one.refunds


def coupons(tx: Connection, scope: str) -> dict[str, Coupon]:
    """The coupons of a ledger, by id and by the name that `metadata.coupon` shows."""
    found: dict[str, Coupon] = {}
    for body in audits.catalog_of_kind(tx, scope, "coupon"):
        entry = load_entry("coupon", body)
        if isinstance(entry, StoredCoupon):
            coupon = Coupon(
                duration=entry.duration,
                share=Decimal(0) if entry.percent is None else entry.percent / 100,
                amounts={code: Decimal(minor).scaleb(-iso_digits(code)) for code, minor in entry.amount_off.items()},
            )
            found |= {entry.id: coupon, **({} if entry.name is None else {entry.name: coupon})}
    return found
