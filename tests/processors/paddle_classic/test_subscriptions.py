"""Alerts of subscriptions: start, change and end."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from processors.facts import Ids, Interval, Stage, Status, SubscriptionState, Terms
from tests.processors.paddle_classic.translating import AT, CANCELLED, CREATED, UPDATED, state, translated

VISIT = {"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"}


def offer(terms: Terms | None) -> tuple[str, Decimal | None, Decimal, Interval | None, int]:
    """Plan, minor units, quantity and period of the terms."""
    assert terms is not None
    (item,) = terms.items
    price = item.price
    return price.id, price.unit_amount, item.quantity, price.interval, price.interval_count


def test_a_creation_begins_it() -> None:
    found = state("subscription_created", CREATED)

    assert (found.stage, found.at, found.started_at) == (Stage.CREATED, AT, AT)
    assert found.ids == Ids(customer_id="4", subscription_id="7")
    assert (found.now.status, found.now.currency.code) == (Status.ACTIVE, "USD")
    assert offer(found.now) == ("12345", 4900, 1, Interval.MONTH, 1)
    assert (found.metadata, found.estimated, found.processor_event_id) == (VISIT, False, "7001")


def test_a_creation_with_a_trial_says_until_when() -> None:
    found = state("subscription_created", CREATED, status="trialing", next_bill_date="2026-12-07")

    assert found.now.status is Status.TRIALING
    assert found.trial_ends_at == datetime(2026, 12, 7, tzinfo=UTC)


def test_an_update_says_how_it_stood_before() -> None:
    found = state("subscription_updated", UPDATED)

    assert (found.stage, found.now.status) == (Stage.CHANGED, Status.ACTIVE)
    assert offer(found.now) == ("12347", 9900, 2, Interval.MONTH, 1)
    assert offer(found.before) == ("12345", 4900, 1, Interval.MONTH, 1)


@pytest.mark.parametrize(
    ("now", "before", "statuses", "reason"),
    [
        ("paused", "active", (Status.PAUSED, Status.ACTIVE), "paused"),
        ("active", "paused", (Status.ACTIVE, Status.PAUSED), None),
        ("past_due", "active", (Status.PAST_DUE, Status.ACTIVE), None),
        ("active", "trialing", (Status.ACTIVE, Status.TRIALING), None),
        ("active", "", (Status.ACTIVE, Status.ACTIVE), None),
    ],
)
def test_an_update_may_change_the_status(
    now: str, before: str, statuses: tuple[Status, Status], reason: str | None
) -> None:
    found = state("subscription_updated", UPDATED, status=now, old_status=before)

    assert found.before is not None
    assert ((found.now.status, found.before.status), found.ended_reason) == (statuses, reason)


def test_an_update_without_a_unit_price_is_read_from_the_total() -> None:
    found = state("subscription_updated", {**UPDATED, "new_unit_price": ""})

    assert offer(found.now) == ("12347", 9900, 2, Interval.MONTH, 1)  # 198.00 / 2


def test_an_update_whose_old_values_cannot_be_read_still_has_its_present_state() -> None:
    found = state("subscription_updated", {**UPDATED, "old_quantity": "old_quantity", "old_price": "old_price"})

    assert found.before is None
    assert offer(found.now) == ("12347", 9900, 2, Interval.MONTH, 1)


def test_a_cancellation_says_at_once_when_it_ends_and_ends_then() -> None:
    scheduled, ended = translated("subscription_cancelled", CANCELLED).facts

    assert isinstance(scheduled, SubscriptionState)
    assert isinstance(ended, SubscriptionState)
    assert (scheduled.at, scheduled.now.status) == (AT, Status.ACTIVE)
    assert scheduled.now.cancels_at == ended.at == datetime(2026, 12, 23, tzinfo=UTC)
    assert (ended.now.status, ended.ended_reason) == (Status.ENDED, "canceled")
    assert offer(scheduled.now) == offer(ended.now)


@pytest.mark.parametrize("date", ["2026-11-23", "2026-11-23 12:00:00", "2020-01-01", "", "soon"])
def test_a_cancellation_that_takes_effect_at_once_is_an_end_alone(date: str) -> None:
    found = state("subscription_cancelled", CANCELLED, cancellation_effective_date=date)

    assert (found.at, found.now.status) == (AT, Status.ENDED)


def test_a_scheduled_end_of_a_plan_whose_period_is_unknown_is_reported_when_it_arrives() -> None:
    found = state("subscription_cancelled", CANCELLED, {})

    assert (found.at, found.now.status) == (datetime(2026, 12, 23, tzinfo=UTC), Status.ENDED)


# ---- Periods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("next_bill", "interval", "count"),
    [
        ("2026-11-24", Interval.DAY, 1),
        ("2026-11-30", Interval.WEEK, 1),
        ("2026-12-23", Interval.MONTH, 1),
        ("2027-02-23", Interval.MONTH, 3),
        ("2027-05-23", Interval.MONTH, 6),
        ("2027-11-23", Interval.YEAR, 1),
        ("2028-11-23", Interval.YEAR, 2),
        ("2026-01-01", Interval.MONTH, 1),
        ("", Interval.MONTH, 1),
    ],
)
def test_without_a_table_the_next_bill_shows_the_period_which_is_marked(
    next_bill: str, interval: Interval, count: int
) -> None:
    found = state("subscription_created", CREATED, {}, next_bill_date=next_bill)

    assert offer(found.now)[3:] == (interval, count)
    assert found.estimated


def test_the_table_states_the_period_whatever_the_bill_dates() -> None:
    table = {"PADDLE_CLASSIC_PLANS": "12345=3 months"}

    found = state("subscription_created", CREATED, table)

    assert offer(found.now)[3:] == (Interval.MONTH, 3)
    assert not found.estimated


def test_a_trials_end_is_no_measure_of_the_period() -> None:
    found = state("subscription_created", CREATED, {}, status="trialing", next_bill_date="2026-11-30")

    assert offer(found.now)[3:] == (Interval.MONTH, 1)


@pytest.mark.parametrize(
    ("next_bill", "old_next_bill", "now", "before"),
    [
        ("2026-11-28", "2026-11-28", (Interval.MONTH, 1), (Interval.MONTH, 1)),  # five days are left of either
        ("2027-11-23", "2026-11-28", (Interval.YEAR, 1), (Interval.MONTH, 1)),  # billed at once, for a year
        ("2026-12-23", "2027-06-11", (Interval.MONTH, 1), (Interval.YEAR, 1)),
        ("2027-06-11", "2027-06-11", (Interval.YEAR, 1), (Interval.YEAR, 1)),
        ("2028-06-11", "2028-06-11", (Interval.YEAR, 2), (Interval.YEAR, 2)),
        ("2026-12-23", "old_next_bill_date", (Interval.MONTH, 1), (Interval.MONTH, 1)),
    ],
)
def test_the_rest_of_a_period_is_no_measure_of_it(
    next_bill: str, old_next_bill: str, now: tuple[Interval, int], before: tuple[Interval, int]
) -> None:
    found = state("subscription_updated", UPDATED, {}, next_bill_date=next_bill, old_next_bill_date=old_next_bill)

    assert (offer(found.now)[3:], offer(found.before)[3:]) == (now, before)
    assert found.estimated


@pytest.mark.parametrize(
    ("ends", "period"),
    [("2026-12-01", (Interval.MONTH, 1)), ("2027-08-01", (Interval.YEAR, 1)), ("", (Interval.MONTH, 1))],
)
def test_what_ends_far_ahead_was_paid_for_a_year(ends: str, period: tuple[Interval, int]) -> None:
    found = state("subscription_cancelled", CANCELLED, {}, cancellation_effective_date=ends)

    assert offer(found.now)[3:] == period


# ---- What is missing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("subscription_created", CREATED),
        ("subscription_updated", UPDATED),
    ],
)
@pytest.mark.parametrize("key", ["subscription_id", "currency", "subscription_plan_id"])
def test_what_names_too_little_gives_a_reason(name: str, fields: dict[str, str], key: str) -> None:
    translation = translated(name, {**fields, key: ""})

    assert translation.facts == ()
    assert translation.reason == "the alert has no subscription, plan, status, price or currency"


@pytest.mark.parametrize("key", ["subscription_id", "currency"])
def test_an_end_that_does_not_say_of_what_gives_a_reason(key: str) -> None:
    assert translated("subscription_cancelled", {**CANCELLED, key: ""}).facts == ()


@pytest.mark.parametrize("more", [{"unit_price": "unit_price"}, {"quantity": ""}, {"subscription_plan_id": ""}])
def test_an_end_is_an_end_whatever_it_was_sold_for(more: dict[str, str]) -> None:
    found = state("subscription_cancelled", CANCELLED, **more)

    assert (found.at, found.now.status) == (datetime(2026, 12, 23, tzinfo=UTC), Status.ENDED)
    assert (found.now.items, found.ended_reason, found.estimated) == ((), "canceled", True)


@pytest.mark.parametrize("more", [{"unit_price": "unit_price"}, {"quantity": "-1"}, {"status": "frozen"}])
def test_what_cannot_be_read_gives_a_reason(more: dict[str, str]) -> None:
    assert translated("subscription_created", {**CREATED, **more}).facts == ()


# ---- Whose it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passthrough", "custom_data", "kept"),
    [
        ("", "", {}),
        ("user-17", "", {}),
        ("[1]", "null", {}),
        ("{" * 900, "", {}),
        ('{"visitor_fingerprint": "fp_1"}', "", {"visitor_fingerprint": "fp_1"}),
        ('{"visitor_fingerprint": "old"}', '{"visitor_fingerprint": "new"}', {"visitor_fingerprint": "new"}),
        ('{"a": "1"}', '{"b": "2"}', {"a": "1", "b": "2"}),
        ('{"visitor_fingerprint": {"deep": "1"}, "session_id": 7}', "", {"session_id": "7"}),
    ],
)
def test_the_merchants_own_data_is_json_in_either_field(
    passthrough: str, custom_data: str, kept: dict[str, str]
) -> None:
    found = state("subscription_created", CREATED, passthrough=passthrough, custom_data=custom_data)

    assert found.metadata == kept
