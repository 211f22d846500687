"""Subscriptions in their current state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from processors.facts import Discount, Ids, Interval, Stage, Status
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO, TEAM
from tests.processors.paddle.translating import AT, VISIT, a_subscription, state, translated

SOON = AT + timedelta(days=3)


def test_a_subscription_has_all_that_its_mrr_needs() -> None:
    found = state(a_subscription(TEAM, 3, custom_data=VISIT))

    (item,) = found.now.items
    assert found.ids == Ids(customer_id="ctm_1", subscription_id="sub_1")
    assert (found.at, found.changed_at, found.started_at) == (AT, AT, AT - timedelta(days=30))
    assert (found.now.status, found.now.currency.code, found.metadata) == (Status.ACTIVE, "USD", VISIT)
    assert (item.price.id, item.price.unit_amount, item.price.interval) == ("pri_team", Decimal(9900), Interval.MONTH)
    assert (item.quantity, item.counts, item.price.name, item.price.product_id) == (3, True, "Team", "pro_team")


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        ("subscription.created", Stage.CREATED),
        ("subscription.imported", Stage.IMPORTED),
        ("subscription.activated", Stage.CHANGED),
        ("subscription.updated", Stage.CHANGED),
        ("subscription.canceled", Stage.CHANGED),
    ],
)
def test_only_its_creation_begins_it_and_an_import_is_a_baseline(kind: str, stage: Stage) -> None:
    assert state(a_subscription(), kind).stage is stage


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("trialing", Status.TRIALING, None),
        ("active", Status.ACTIVE, None),
        ("past_due", Status.PAST_DUE, None),
        ("paused", Status.PAUSED, "paused"),
        ("canceled", Status.ENDED, "canceled"),
    ],
)
def test_each_of_paddles_statuses_has_its_meaning(word: str, status: Status, reason: str | None) -> None:
    found = state(a_subscription(status=word))

    assert (found.now.status, found.ended_reason) == (status, reason)


def test_a_status_of_the_future_gives_a_reason() -> None:
    assert translated("subscription.updated", a_subscription(status="frozen")).reason == (
        "the subscription has an unknown status"
    )


def test_an_item_on_trial_does_not_count_yet() -> None:
    found = state(a_subscription(status="trialing", trial_ends_at=SOON))

    assert [item.counts for item in found.now.items] == [False]
    assert found.trial_ends_at == SOON


def test_items_that_do_not_recur_are_left_out() -> None:
    entity = payloads.subscription(
        "sub_1", customer="ctm_1", plans=[(PRO, 1), (EBOOK, 1)], status="active", started_at=AT, updated_at=AT
    )

    assert [item.price.id for item in state(entity).now.items] == ["pri_pro"]


def test_an_item_that_is_inactive_does_not_count() -> None:
    entity = a_subscription()
    entity["items"][0]["status"] = "inactive"

    assert [item.counts for item in state(entity).now.items] == [False]


@pytest.mark.parametrize(("action", "at"), [("cancel", SOON), ("pause", None), ("resume", None)])
def test_only_a_scheduled_cancellation_is_an_end(action: str, at: datetime | None) -> None:
    change = {"action": action, "effective_at": payloads.stamp(SOON), "resume_at": None}

    assert state(a_subscription(scheduled_change=change)).now.cancels_at == at


def test_a_creation_names_the_transaction_that_paid_it() -> None:
    found = state(a_subscription(transaction_id="txn_1"), "subscription.created")

    assert found.ids == Ids(customer_id="ctm_1", subscription_id="sub_1", invoice_id="txn_1", payment_id="txn_1")


def test_a_discount_has_its_id_and_its_dates() -> None:
    discount = {"id": "dsc_1", "starts_at": payloads.stamp(AT), "ends_at": payloads.stamp(SOON)}

    assert state(a_subscription(discount=discount)).now.discounts == (
        Discount(coupon_id="dsc_1", starts_at=AT, ends_at=SOON),
    )


def test_a_price_that_may_hold_tax_says_so() -> None:
    modes = {"external": False, "internal": True, "location": True, "account_setting": True}

    found = {}
    for mode in modes:
        entity = a_subscription()
        entity["items"][0]["price"]["tax_mode"] = mode
        found[mode] = state(entity).now.items[0].price.tax_inclusive

    assert found == modes


def test_a_price_in_another_currency_keeps_its_own() -> None:
    found = state(a_subscription(currency="GBP"))

    assert (found.now.currency.code, found.now.items[0].price.currency.code) == ("GBP", "USD")


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-11-23T12:00:01.76Z", datetime(2026, 11, 23, 12, 0, 1, 760000, tzinfo=UTC)),
        ("2026-11-23T12:00:01.738971238Z", datetime(2026, 11, 23, 12, 0, 1, 738971, tzinfo=UTC)),
        ("2026-11-23T12:00:01Z", datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)),
        ("tomorrow", None),
    ],
)
def test_instants_of_any_precision_are_read(written: str, at: datetime | None) -> None:
    assert state({**a_subscription(), "updated_at": written}).changed_at == at


@pytest.mark.parametrize("key", ["id", "currency_code"])
def test_without_an_id_or_a_currency_there_is_a_reason(key: str) -> None:
    entity = a_subscription()
    del entity[key]

    assert translated("subscription.updated", entity).reason == "the subscription has no id or no currency"
