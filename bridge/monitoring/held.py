"""Revenue that waits for an attribution, by customer; and where the attributions of the rest come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from bridge.monitoring.customers import sums_by_currency
from bridge.monitoring.settlements import customer_of
from bridge.scope import Scope, StreamId
from bridge.store import search
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.store.search import DeliveryFilter
from processors.values import Value


class HeldCustomer(Value):
    """The held revenue events of one customer. `until`: when the first of them is sent without an attribution."""

    stream_id: str
    scope: Scope
    customer_id: str | None
    deliveries: Sequence[Delivery]

    @property
    def name(self) -> str:
        """The customer's id, or the reference of the payment."""
        return StreamId.parse(self.stream_id).key

    @property
    def until(self) -> datetime | None:
        """When the first of them is sent without an attribution."""
        return min((one.hold_until for one in self.deliveries if one.hold_until), default=None)

    @property
    def amounts(self) -> dict[str, Decimal]:
        """The held amounts by currency."""
        return sums_by_currency((one.currency, one.amount) for one in self.deliveries)


def held_by_customer(tx: Connection, limit: int) -> list[HeldCustomer]:
    """The customers with held revenue events, the most urgent first; of at most `limit` events."""
    rows = search.find_deliveries(tx, DeliveryFilter(status=DeliveryStatus.HELD), limit)
    return sorted(_grouped(rows), key=lambda one: (one.until is None, one.until, one.stream_id))


def _grouped(rows: Iterable[Delivery]) -> list[HeldCustomer]:
    groups: dict[str, list[Delivery]] = {}
    for one in rows:
        groups.setdefault(one.stream_id, []).append(one)
    return [
        HeldCustomer(
            stream_id=stream_id,
            scope=Scope.parse(own[0].scope),
            customer_id=customer_of(stream_id),
            deliveries=own[::-1],
        )
        for stream_id, own in groups.items()
    ]
