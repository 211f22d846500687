"""What revenue events add up to, exactly, whatever their size."""

from __future__ import annotations

from decimal import Decimal

from bridge.store import Store, totals
from bridge.store.outbox import DeliveryStatus
from tests.bridge.store.builders import a_delivery, added


def test_sums_are_exact(store: Store) -> None:
    tenths = [a_delivery(f"k{n}", amount=Decimal("0.1"), mrr_impact=Decimal("-0.001")) for n in range(30)]
    huge = a_delivery("huge", amount=Decimal("99999999999999999999999999999999.99"), mrr_impact=None)
    added(store, *tenths, huge, a_delivery("yen", currency="JPY", amount=Decimal("4900"), event_type="churn"))

    with store.reading() as tx:
        found = {(one.currency, one.event_type): one for one in totals.sums(tx)}

    dollars, yen = found["USD", "renewal"], found["JPY", "churn"]
    assert (dollars.count, dollars.amount, dollars.mrr_impact) == (
        31,
        Decimal("100000000000000000000000000000002.99"),
        Decimal("-0.030"),
    )
    assert (yen.count, yen.amount, yen.status) == (1, Decimal(4900), DeliveryStatus.PENDING)
