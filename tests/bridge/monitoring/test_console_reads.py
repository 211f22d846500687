"""What the console reads, on both databases."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from bridge.inspection.import_plan import sums
from bridge.monitoring.customers import found_customers, latest_customers, read_customer, sums_by_currency
from bridge.monitoring.held import held_by_customer
from bridge.monitoring.settlements import read_page
from bridge.monitoring.source_health import source_health
from bridge.store import Store, inbox, outbox, refusals, streams, subscriptions
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from bridge.store.search import WebhookFilter
from tests.bridge.store.builders import (
    ANNA,
    BERT,
    HOUR,
    NOON,
    SCOPE,
    a_delivery,
    a_subscription_row,
    accepted,
    an_update,
    stored,
)


def settle(store: Store) -> None:
    """Anna's evt_1 and evt_2, settled together with a subscription of 49.00; Bert's purchase, held."""
    ids = stored(store, "evt_1", "evt_2")
    with store.transaction() as tx:
        streams.upsert(tx, [an_update(ANNA), an_update(BERT)])
        streams.link(tx, SCOPE, {"sub_1": ANNA})
        inbox.assign(tx, [(row_id, ANNA) for row_id in ids])
        inbox.mark_settled(tx, [(row_id, 1, ["reported"]) for row_id in ids], NOON)
        subscriptions.save(tx, [a_subscription_row()])
        outbox.add(tx, [a_delivery(event_type="subscription", mrr_impact=Decimal(49), event_ids=("evt_1",))])
        held = a_delivery("payment:pi_9", stream_id=BERT, status=DeliveryStatus.HELD, hold_until=NOON + HOUR)
        outbox.add(tx, [held])


def test_a_line_has_the_webhooks_and_revenue_events_of_one_settlement(store: Store) -> None:
    settle(store)

    with store.reading() as tx:
        page = read_page(tx, WebhookFilter(), 50)

    assert [row.event_id for row in page.lines[0].rows] == ["evt_2", "evt_1"]
    assert [one.event_type for one in page.lines[0].deliveries] == ["subscription"]
    assert (page.lines[0].customer, page.lines[0].plan, page.before) == ("cus_anna", "Pro", None)


def test_a_customer_has_mrr_steps_that_begin_the_day_before(store: Store) -> None:
    settle(store)

    with store.reading() as tx:
        anna = read_customer(tx, ANNA)
        nobody = read_customer(tx, f"{SCOPE}|cus_nobody"), read_customer(tx, "no stream")

    assert anna is not None
    assert [(step.day, step.level) for step in anna.steps("USD")] == [
        ((NOON - timedelta(days=1)).date(), Decimal(0)),
        (NOON.date(), Decimal(49)),
    ]
    assert anna.revenue == {"USD": Decimal(49)}
    assert nobody == (None, None)


def test_customers_are_listed_once_by_their_latest_event_and_found_by_any_id(store: Store) -> None:
    settle(store)

    with store.reading() as tx:
        latest, following = latest_customers(tx, 1)
        older, end = latest_customers(tx, 1, following)
        found = found_customers(tx, "sub_1")

    assert [one.name for one in (*latest, *older)] == ["cus_bert", "cus_anna"]
    assert end is None
    assert [(one.name, one.mrr) for one in found] == [("cus_anna", {"USD": Decimal(49)})]


def test_held_revenue_is_grouped_by_customer(store: Store) -> None:
    settle(store)

    with store.reading() as tx:
        held = held_by_customer(tx, 100)

    assert [(one.name, one.amounts, one.until) for one in held] == [("cus_bert", {"USD": Decimal(49)}, NOON + HOUR)]


def test_of_sums_the_currency_with_the_most_amounts_is_first() -> None:
    pairs = [("AED", Decimal(900)), ("USD", Decimal(1)), ("USD", Decimal(2)), ("JPY", Decimal(5))]

    assert list(sums_by_currency(pairs).items()) == [("USD", Decimal(3)), ("AED", Decimal(900)), ("JPY", Decimal(5))]
    assert list(sums(pairs).items()) == [("USD", Decimal(3)), ("AED", Decimal(900)), ("JPY", Decimal(5))]


def test_a_source_that_only_refuses_fails_and_one_that_receives_again_does_not(store: Store) -> None:
    accepted(store)
    refused = [
        Refusals(source=name, cause="signature_mismatch", hour=refusals.hour_of(NOON), count=2, last_at=NOON - HOUR)
        for name in ("stripe", "paddle")
    ]
    with store.transaction() as tx:
        refusals.add(tx, refused, NOON)

    with store.reading() as tx:
        found = {one.name: one for one in source_health(tx, ("stripe", "paddle", "shop"), NOON)}

    assert {name: one.is_failing for name, one in found.items()} == {"stripe": False, "paddle": True, "shop": False}
    assert (found["stripe"].last_at, found["paddle"].refused_count) == (NOON, 2)


@pytest.mark.parametrize(
    ("cause", "counts", "is_failing"),
    [
        ("signature_mismatch", [2], False),  # fewer than 3
        ("signature_mismatch", [1, 1, 1], True),
        ("signature_missing", [19], False),  # anybody's requests
        ("signature_missing", [20], True),
        ("signature_missing", [2, 2, 2, 2, 2, 2, 2, 2, 2, 2], False),  # a port scanner, through a day
    ],
)
def test_a_source_fails_by_what_was_refused_since_its_last_webhook(
    store: Store, cause: str, counts: list[int], is_failing: bool
) -> None:
    accepted(store)  # at noon
    late = NOON + 12 * HOUR
    refused = [
        Refusals(source="stripe", cause=cause, hour=refusals.hour_of(at), count=count, last_at=at)
        for hours, count in enumerate(counts)
        for at in [late - hours * HOUR]
    ]
    with store.transaction() as tx:
        refusals.add(tx, refused, late)

    with store.reading() as tx:
        (found,) = source_health(tx, ["stripe"], late)

    assert found.is_failing is is_failing
    assert found.refused_count == sum(counts)
