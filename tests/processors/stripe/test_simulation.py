"""Simulated Stripe customers: all webhooks in every API version, with the same money in several of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.facts import Attribution, Fact, Membership, Payment, Place, Refund, SubscriptionState
from processors.stripe import processor
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Customer, Plan, period_end
from processors.stripe.simulation.payloads import Shape, coupon
from processors.stripe.simulation.scenarios import SCENARIOS
from processors.stripe.translate import translate
from tests.processors.stripe.translating import SHAPES

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def facts(webhooks: Iterable[bytes]) -> list[Fact]:
    return [fact for body in webhooks for fact in translate(body, {}).facts]


def types(customer: Customer) -> list[str]:
    return [json.loads(body)["type"] for body in customer.webhooks]


def taken(webhooks: Iterable[bytes]) -> dict[str, int]:
    """The paid amount by key, each key once."""
    singles = [fact for fact in facts(webhooks) if isinstance(fact, Payment) and not fact.is_total]
    return {fact.key: fact.amount.minor for fact in singles}


def states(webhooks: Iterable[bytes]) -> list[SubscriptionState]:
    return [fact for fact in facts(webhooks) if isinstance(fact, SubscriptionState)]


def begun(shape: Shape = Shape.CLOVER) -> Customer:
    return Customer.begin("ada", START, shape)


# ---- What is sent -------------------------------------------------------------------------------------------------


def test_a_signup_through_checkout_today_sends_these_webhooks() -> None:
    assert types(begun().subscribe(PRO)) == [
        "customer.created",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "checkout.session.completed",
    ]


def test_the_old_way_began_incomplete_and_had_no_invoice_payments() -> None:
    customer = begun(Shape.OLD).subscribe(PRO)

    assert "invoice_payment.paid" not in types(customer)
    assert [one.now.status.value for one in states(customer.webhooks)] == ["incomplete", "active"]


def test_only_the_old_shape_says_which_invoice_a_charge_paid() -> None:
    for shape in SHAPES:
        found = {fact.membership for fact in facts(begun(shape).subscribe(PRO).webhooks) if isinstance(fact, Payment)}

        assert (Membership.UNKNOWN in found) is (shape is not Shape.OLD)


def test_the_visit_is_named_on_the_session_the_subscription_and_its_invoice() -> None:
    visit = {"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"}

    found = facts(begun().subscribe(PRO).webhooks)

    named = {one.place: one.metadata for one in found if isinstance(one, Attribution)}
    assert named == {Place.CHECKOUT: visit, Place.INVOICE: visit}
    assert [one.metadata for one in found if isinstance(one, SubscriptionState)] == [visit]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_change_states_the_old_values_of_what_changed(shape: Shape) -> None:
    customer = begun(shape).subscribe(PRO).later(days=10).change(TEAM, quantity=2)

    last = states(customer.webhooks)[-1]

    assert last.before is not None
    assert [(one.price.id, one.quantity) for one in last.before.items] == [("price_pro", 1)]
    assert [(one.price.id, one.quantity) for one in last.now.items] == [("price_team", 2)]


# ---- Money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_each_payment_of_a_lifecycle_is_reported_several_times_under_one_key(shape: Shape) -> None:
    customer = begun(shape).subscribe(PRO).renew().later(days=1).buy(2900)

    keys = Counter(fact.key for fact in facts(customer.webhooks) if isinstance(fact, Payment))

    assert list(taken(customer.webhooks).values()) == [4900, 4900, 2900]
    assert min(keys.values()) >= 2


@pytest.mark.parametrize("shape", SHAPES)
def test_an_upgrade_billed_at_once_costs_the_rest_of_the_month(shape: Shape) -> None:
    # 31 January to 28 February is 28 days; 14 of them are left: (99.00 - 49.00) / 2.
    customer = begun(shape).subscribe(PRO).later(days=14).change(TEAM, billed=True)

    assert list(taken(customer.webhooks).values()) == [4900, 2500]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trial_takes_no_money_until_it_ends(shape: Shape) -> None:
    tried = begun(shape).subscribe(PRO, trial_days=14)

    assert taken(tried.webhooks) == {}
    assert list(taken(tried.end_trial().webhooks).values()) == [4900]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_coupon_comes_off_what_is_paid(shape: Shape) -> None:
    customer = begun(shape).subscribe(PRO, coupon=coupon("QUARTER", percent=25))

    assert list(taken(customer.webhooks).values()) == [3675]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_refund_has_its_own_id(shape: Shape) -> None:
    customer = begun(shape).buy(2900).refund(1000).refund()

    singles = {
        one.key: one.amount.minor for one in facts(customer.webhooks) if isinstance(one, Refund) and not one.is_total
    }

    assert list(singles.values()) == [1000, 1900]


def test_a_dispute_takes_and_gives_back() -> None:
    found = facts(begun().buy(2900).dispute().reinstate().webhooks)

    assert [one.key.partition(":")[2] for one in found if isinstance(one, Refund)] == ["withdrawn", "reinstated"]


# ---- Time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "end"),
    [
        (PRO, datetime(2026, 2, 28, 9, 0, tzinfo=UTC)),
        (PRO_YEARLY, datetime(2027, 1, 31, 9, 0, tzinfo=UTC)),
        (Plan(id="w", minor=1, name="W", interval="week", interval_count=2), START + timedelta(days=14)),
        (Plan(id="d", minor=1, name="D", interval="day", interval_count=3), START + timedelta(days=3)),
        (Plan(id="q", minor=1, name="Q", interval_count=3), datetime(2026, 4, 30, 9, 0, tzinfo=UTC)),
    ],
)
def test_periods_end_on_the_same_day_or_on_the_months_last(plan: Plan, end: datetime) -> None:
    assert period_end(START, plan) == end


def test_a_cancellation_at_period_end_takes_effect_then() -> None:
    customer = begun().subscribe(PRO).later(days=3).cancel(at_period_end=True).expire()

    scheduled, ended = states(customer.webhooks)[-2:]

    assert scheduled.now.cancels_at == ended.at == datetime(2026, 2, 28, 9, 0, tzinfo=UTC)
    assert (ended.now.status.value, ended.ended_reason) == ("ended", "cancellation_requested")


def test_two_subscriptions_of_one_customer_do_not_mix() -> None:
    customer = begun().subscribe(PRO).subscribe(STARTER, name="2").change(TEAM, name="2").cancel()

    assert [(one.ids.subscription_id, one.now.status.value) for one in states(customer.webhooks)] == [
        ("sub_ada_1", "active"),
        ("sub_ada_2", "active"),
        ("sub_ada_2", "active"),
        ("sub_ada_1", "ended"),
    ]


# ---- Scenarios ----------------------------------------------------------------------------------------------------


def test_these_scenarios_can_be_simulated() -> None:
    assert set(processor.scenarios) == {
        "lifecycle",
        "signup",
        "renewal",
        "upgrade",
        "downgrade",
        "cancel",
        "refund",
        "one-off",
        "trial",
        "dispute",
        "failed-refund",
        "yearly",
        "seats",
        "coupon",
        "no-visit",
        "eur",
        "jpy",
        "legacy",
    }


@pytest.mark.parametrize(
    ("name", "paid"),
    [
        ("lifecycle", [4900, 4900, 3380, 2900]),
        ("legacy", [4900, 4900, 3380, 2900]),
        ("signup", [4900]),
        ("renewal", [4900, 4900]),
        ("upgrade", [4900, 3333]),  # 20 of 30 days are left: two thirds of 50.00
        ("downgrade", [4900]),
        ("cancel", [4900]),
        ("refund", [4900]),
        ("dispute", [4900]),
        ("trial", [4900]),
        ("one-off", [2900]),
    ],
)
def test_a_scenario_takes_these_payments(name: str, paid: list[int]) -> None:
    webhooks = SCENARIOS[name].events("ada", datetime(2026, 11, 1, tzinfo=UTC))

    assert list(taken(webhooks).values()) == paid


def test_simulated_webhooks_are_live_by_default() -> None:
    def livemode(customer: Customer) -> set[Any]:
        return {json.loads(body)["livemode"] for body in customer.buy(100).webhooks}

    assert livemode(begun()) == {True}
    assert livemode(Customer.begin("ada", START, livemode=False)) == {False}
