"""Attempts, refused webhooks, subscriptions and the searchable columns of deliveries, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from bridge.store import Store, attempts, outbox, refusals, rejected_visits, subscriptions
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals, RefusalSum
from bridge.store.rejected_visits import RejectedVisits
from bridge.store.schema import outbox as table
from bridge.store.subscriptions import Level
from processors.values import replace
from tests.bridge.store.builders import (
    ANNA,
    HOUR,
    MINUTE,
    NOON,
    SCOPE,
    a_delivery,
    a_subscription_row,
    added,
    an_attempt,
)

BODY = {
    "customer_id": "user_7",
    "customer_subscription_id": "sub_1",
    "transaction_id": "in_1",
    "metadata": {"plan": "Pro", "attribution": "checkout", "occurred_at": "2026-02-28T23:59:59Z"},
}


def a_refusal(count: int = 1, hour: datetime = NOON, **changes: object) -> Refusals:
    values = {"source": "stripe", "cause": "signature_mismatch", "hour": hour, "count": count, "last_at": hour}
    return Refusals(**{**values, **changes})  # type: ignore[arg-type]


def test_each_attempt_is_kept_with_its_response(store: Store) -> None:
    (delivery_id,) = added(store, a_delivery())
    with store.transaction() as tx:
        attempts.add(tx, [an_attempt(delivery_id, status=503, response="503: busy", result=DeliveryStatus.PENDING)])
        attempts.add(tx, [an_attempt(delivery_id, at=NOON + MINUTE, took_ms=12), an_attempt(delivery_id + 1)])

    with store.reading() as tx:
        found = attempts.of_delivery(tx, delivery_id)

    assert [(one.at, one.status, one.response, one.took_ms, one.result) for one in found] == [
        (NOON, 503, "503: busy", 40, DeliveryStatus.PENDING),
        (NOON + MINUTE, 202, "202", 12, DeliveryStatus.DELIVERED),
    ]


def test_old_attempts_are_purged_a_few_at_a_time(store: Store) -> None:
    (delivery_id,) = added(store, a_delivery())
    with store.transaction() as tx:
        attempts.add(tx, [an_attempt(delivery_id, at=NOON + number * MINUTE) for number in range(5)])
        counts = [attempts.purge(tx, NOON + 3 * MINUTE, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    with store.reading() as tx:
        assert [one.at for one in attempts.of_delivery(tx, delivery_id)] == [NOON + 3 * MINUTE, NOON + 4 * MINUTE]


def test_a_long_response_is_cut_and_every_character_can_be_stored(store: Store) -> None:
    with store.transaction() as tx:
        attempts.add(tx, [an_attempt(1, response="\x00" + "x" * 900)])

    with store.reading() as tx:
        assert attempts.of_delivery(tx, 1)[0].response == "\ufffd" + "x" * 499


def test_refused_webhooks_of_one_hour_are_one_row(store: Store) -> None:
    with store.transaction() as tx:
        refusals.add(tx, [a_refusal(30)], NOON)
        refusals.add(tx, [a_refusal(4, last_at=NOON + MINUTE), a_refusal(1, cause="unreadable")], NOON)

    with store.reading() as tx:
        found = refusals.since(tx, NOON + MINUTE)
    assert found == [
        RefusalSum(source="stripe", cause="signature_mismatch", count=34, last_at=NOON + MINUTE),
        RefusalSum(source="stripe", cause="unreadable", count=1, last_at=NOON),
    ]


def test_refused_webhooks_are_forgotten_after_30_days(store: Store) -> None:
    with store.transaction() as tx:
        refusals.add(tx, [a_refusal(), a_refusal(hour=NOON + HOUR)], NOON)
        refusals.add(tx, [], NOON + timedelta(days=30, hours=1))

    with store.reading() as tx:
        assert [one.count for one in refusals.since(tx, NOON - HOUR)] == [1]


def test_rejected_visits_of_one_cause_are_one_row_with_the_latest_webhook(store: Store) -> None:
    first = RejectedVisits(source="stripe", cause="session_id is null", count=2, last_at=NOON, event_id="evt_1")
    with store.transaction() as tx:
        rejected_visits.add(tx, [first])
        rejected_visits.add(tx, [replace(first, count=3, last_at=NOON + HOUR, event_id="evt_9")])
        rejected_visits.add(tx, [replace(first, source="paddle")])

    with store.reading() as tx:
        assert rejected_visits.listed(tx) == [
            replace(first, count=5, last_at=NOON + HOUR, event_id="evt_9"),  # 2 + 3
            replace(first, source="paddle"),
        ]


def test_a_subscription_has_one_row_with_its_present_mrr(store: Store) -> None:
    with store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(), a_subscription_row("sub_2", plan="Team", mrr=Decimal("99.50"))])
        subscriptions.save(tx, [a_subscription_row(mrr=Decimal(98), baseline=Decimal(49))])
        subscriptions.save(tx, [a_subscription_row("sub_3", livemode=False)])

    with store.reading() as tx:
        assert subscriptions.levels(tx, livemode=True) == [
            Level(currency="USD", source="stripe", plan="Pro", mrr=Decimal(98), baseline=Decimal(49), count=1),
            Level(currency="USD", source="stripe", plan="Team", mrr=Decimal("99.5"), baseline=Decimal(0), count=1),
        ]


def test_an_adopted_stream_brings_its_subscriptions(store: Store) -> None:
    with store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row("sub_1", stream_id="old"), a_subscription_row("sub_2")])
        subscriptions.save(tx, [a_subscription_row("sub_2", stream_id="old", mrr=Decimal(11), baseline=Decimal(10))])
        subscriptions.move(tx, "old", ANNA)

        moved = [(row.subscription_id, row.mrr, row.baseline) for row in subscriptions.of_stream(tx, ANNA)]
        assert subscriptions.of_stream(tx, "old") == []

    assert moved == [("sub_1", Decimal(49), Decimal(0)), ("sub_2", Decimal(50), Decimal(0))]  # 49 + (11 - 10)


def test_a_delivery_can_be_found_by_what_its_body_says(store: Store) -> None:
    added(store, a_delivery(body=json.dumps(BODY), received_at=NOON - HOUR))

    with store.reading() as tx:
        (one,) = outbox.listing(tx)
        day = tx.execute(select(table.c.day)).scalar()

    assert (one.customer_id, one.subscription_id, one.transaction_id) == ("user_7", "sub_1", "in_1")
    assert (one.plan, one.attribution, one.received_at) == ("Pro", "checkout", NOON - HOUR)
    assert one.occurred_at == datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert day == 20512  # 56 years of 365 days, 14 leap days since 1970, and 58 days of 2026


@pytest.mark.parametrize(
    ("event_type", "mrr", "metadata", "movement"),
    [
        ("subscription", "49", {}, "new"),
        ("subscription", "49", {"reactivation": True}, "reactivation"),
        ("upgrade", "50", {}, "upgrade"),
        ("downgrade", "-50", {}, "downgrade"),
        ("churn", "-49", {}, "churn"),
        ("renewal", "0.00", {}, None),
        ("purchase", None, {}, None),
    ],
)
def test_a_delivery_names_its_movement(
    store: Store, event_type: str, mrr: str | None, metadata: dict[str, object], movement: str | None
) -> None:
    impact = None if mrr is None else Decimal(mrr)
    added(store, a_delivery(event_type=event_type, mrr_impact=impact, body=json.dumps({"metadata": metadata})))

    with store.reading() as tx:
        assert outbox.listing(tx)[0].movement == movement


def test_a_released_delivery_has_the_attribution_that_was_found(store: Store) -> None:
    held = json.dumps({**BODY, "metadata": {"attribution": "none"}})
    added(store, a_delivery("k", body=held, status=DeliveryStatus.HELD, hold_until=NOON + HOUR))

    with store.transaction() as tx:
        outbox.release(tx, SCOPE, {"k": json.dumps(BODY)})

    with store.reading() as tx:
        (one,) = outbox.listing(tx)
    assert (one.attribution, one.customer_id) == ("checkout", "user_7")


def test_an_unreadable_body_happened_when_it_was_created(store: Store) -> None:
    bodies = ["{", "[]", '{"metadata": 1, "customer_id": 2}', '{"customer_id": "\\u0000\\ud800"}']
    added(store, *(a_delivery(f"k{n}", body=body) for n, body in enumerate(bodies)))

    with store.reading() as tx:
        rows = outbox.listing(tx)
    assert [row.occurred_at for row in rows] == [NOON] * 4
    assert [row.customer_id for row in rows] == ["\ufffd?", None, None, None]


def test_the_database_adds_amounts_exactly(store: Store) -> None:
    added(store, *(a_delivery(f"k{n}", amount=Decimal("0.1"), mrr_impact=Decimal("-0.001")) for n in range(30)))

    with store.reading() as tx:
        sums = tx.execute(select(func.sum(table.c.amount_sum), func.sum(table.c.mrr_sum))).one()
    assert sums == (Decimal("3.0"), Decimal("-0.03"))  # 30 x 0.1, 30 x 0.001


def test_the_total_of_refused_webhooks_never_falls(store: Store) -> None:
    with store.transaction() as tx:
        refusals.add(tx, [a_refusal(34), a_refusal(2, cause="unreadable")], NOON)
        refusals.add(tx, [a_refusal(5, hour=NOON + HOUR)], NOON)
    much_later = NOON + timedelta(days=40)
    with store.transaction() as tx:
        refusals.add(tx, [a_refusal(1, hour=much_later)], much_later)
        refusals.add(tx, [a_refusal(1, hour=much_later + 900 * HOUR)], much_later + 900 * HOUR)

    with store.reading() as tx:
        assert refusals.totals(tx) == [("stripe", "signature_mismatch", 41), ("stripe", "unreadable", 2)]  # 34+5+1+1
        assert [one.count for one in refusals.since(tx, NOON)] == [1]
