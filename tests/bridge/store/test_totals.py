"""What revenue events add up to, exactly, whatever their size."""

from __future__ import annotations

from decimal import Decimal

from bridge.store import Store, totals
from bridge.store.outbox import DeliveryStatus
from bridge.store.totals import Sum, Total
from processors.values import replace
from tests.bridge.store.builders import a_delivery, added


def a_sum(status: DeliveryStatus, amount: str, mrr: str, event_type: str = "renewal") -> Sum:
    return Sum(
        source="stripe", livemode=True, status=status, currency="USD", event_type=event_type, count=1,
        amount=Decimal(amount), mrr_impact=Decimal(mrr),
    )  # fmt: skip


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


def test_of_each_source_and_mode_the_currency_with_the_most_events_is_first() -> None:
    one = a_sum(DeliveryStatus.DELIVERED, "49.00", "0.00")
    sums = [
        replace(one, currency="AED", count=2),
        replace(one, currency="USD", count=2),
        replace(one, currency="USD", count=1, status=DeliveryStatus.HELD),
        replace(one, currency="EUR", count=9, source="paddle"),
        replace(one, currency="USD", count=8, source="paddle"),
        replace(one, currency="AED", count=9, livemode=False),
    ]

    assert [(one.source, one.mode, one.currency) for one in totals.totals(sums)] == [
        ("paddle", "live", "EUR"),
        ("paddle", "live", "USD"),
        ("stripe", "live", "USD"),
        ("stripe", "live", "AED"),
        ("stripe", "test", "AED"),
    ]


def test_totals_separate_what_was_delivered_what_is_pending_and_what_is_never_sent() -> None:
    sums = [
        a_sum(DeliveryStatus.DELIVERED, "49.00", "49.00", "subscription"),
        a_sum(DeliveryStatus.DELIVERED, "49.00", "0.00"),
        a_sum(DeliveryStatus.HELD, "10.00", "1.00"),
        a_sum(DeliveryStatus.PENDING, "10.00", "1.00"),
        a_sum(DeliveryStatus.FAILED, "5.00", "0.50"),
        a_sum(DeliveryStatus.NOT_FORWARDED, "5.00", "0.50"),
        a_sum(DeliveryStatus.DROPPED, "5.00", "0.50"),
    ]

    assert totals.totals(sums) == [
        Total(
            source="stripe", mode="live", currency="USD", revenue_delivered=Decimal("98.00"),
            mrr_delivered=Decimal("49.00"), revenue_pending=Decimal("20.00"), mrr_pending=Decimal("2.00"),
            revenue_not_sent=Decimal("15.00"), mrr_not_sent=Decimal("1.50"),
        )
    ]  # fmt: skip
