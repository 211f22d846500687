"""Subscriptions: terms now and before, in the formats from 2017 to today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from processors.facts import (
    Coupon,
    Discount,
    Duration,
    Ids,
    Interval,
    Item,
    Period,
    Price,
    Stage,
    Status,
    SubscriptionState,
    Terms,
)
from processors.money import Currency
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Shape, coupon, discount, item, plan_of, price, subscription
from processors.stripe.subscriptions import subscription_state
from processors.values import replace
from tests.processors.stripe.translating import AT, SHAPES, fact, translated, without

USD = Currency(code="USD", digits=2)
EUR = Currency(code="EUR", digits=2)
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
PERIOD = (BEGIN, END)
PRO = price("price_pro", minor=4900, nickname="Pro", product_id="prod_1")
TEAM = price("price_team", minor=9900, nickname="Team", product_id="prod_1")
PRO_PRICE = Price(
    id="price_pro",
    currency=USD,
    unit_amount=Decimal(4900),
    interval=Interval.MONTH,
    product_id="prod_1",
    name="Pro",
)
TEAM_PRICE = replace(PRO_PRICE, id="price_team", unit_amount=Decimal(9900), name="Team")
QUARTER = coupon("QUARTER", percent=25)
QUARTER_OFF = Coupon(id="QUARTER", percent=Decimal(25), duration=Duration.FOREVER)


def an_item(priced: dict[str, Any] = PRO, shape: Shape = Shape.CLOVER, item_id: str = "si_1", **more: Any) -> Any:
    return item(item_id, priced, subscription="sub_1", period=PERIOD, shape=shape, **more)


def a_subscription(shape: Shape = Shape.CLOVER, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"customer": "cus_1", "items": [an_item(shape=shape)], "started_at": BEGIN}
    return subscription("sub_1", **{**usual, "period": PERIOD, "shape": shape, **more})


def state(found: dict[str, Any], kind: str = "updated", previous: dict[str, Any] | None = None) -> SubscriptionState:
    read = fact(f"customer.subscription.{kind}", found, previous)
    assert isinstance(read, SubscriptionState)
    return read


# ---- The state ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_subscription_is_translated_completely(shape: Shape) -> None:
    found = state(a_subscription(shape, metadata={"session_id": "s"}, latest_invoice="in_1"), "created")

    assert found == SubscriptionState(
        at=AT,
        ids=Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1"),
        now=Terms(status=Status.ACTIVE, currency=USD, items=(Item(price=PRO_PRICE),)),
        stage=Stage.CREATED,
        started_at=BEGIN,
        metadata={"session_id": "s"},
        periods={"price_pro": Period(starts_at=BEGIN, ends_at=datetime(2026, 12, 1, tzinfo=UTC))},
        processor_event_id="evt_1",
    )


@pytest.mark.parametrize("kind", ["updated", "deleted", "paused", "resumed"])
def test_only_created_begins_a_subscription(kind: str) -> None:
    assert state(a_subscription(), kind).stage is Stage.CHANGED


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ("incomplete", Status.INCOMPLETE),
        ("incomplete_expired", Status.ENDED),
        ("trialing", Status.TRIALING),
        ("active", Status.ACTIVE),
        ("past_due", Status.PAST_DUE),
        ("unpaid", Status.UNPAID),
        ("paused", Status.PAUSED),
        ("canceled", Status.ENDED),
    ],
)
def test_every_status_is_understood(stated: str, status: Status) -> None:
    assert state(a_subscription(status=stated)).now.status is status


def test_a_status_of_the_future_says_nothing() -> None:
    translation = translated("customer.subscription.updated", a_subscription(status="dreaming"))

    assert translation.reason == "a subscription of unknown status or currency: dreaming"


def test_a_deleted_subscription_has_ended_whatever_its_status_says() -> None:
    found = state(a_subscription(status="active", ended_reason="payment_failed"), "deleted")

    assert (found.now.status, found.ended_reason) == (Status.ENDED, "payment_failed")


def test_one_that_was_never_paid_has_ended_with_that_reason() -> None:
    found = state(a_subscription(status="incomplete_expired"), previous={"status": "incomplete"})

    assert found.ended_reason == "incomplete_expired"
    assert found.before is not None
    assert found.before.status is Status.INCOMPLETE


def test_a_paused_subscription_states_what_paused_it() -> None:
    paused = {**a_subscription(status="paused"), "status_details": {"paused": {"type": "pause_requested"}}}

    assert state(paused, "paused").ended_reason == "pause_requested"


def test_the_end_of_a_trial_is_read() -> None:
    assert state(a_subscription(status="trialing", trial_end=END)).trial_ends_at == END


def test_a_resource_of_the_api_is_an_import() -> None:
    found = subscription_state(a_subscription(), AT)

    assert isinstance(found, SubscriptionState)
    assert (found.stage, found.before, found.processor_event_id) == (Stage.IMPORTED, None, "")


# ---- Items --------------------------------------------------------------------------------------------------------


def test_several_items_each_keep_price_and_quantity() -> None:
    found = state(a_subscription(items=[an_item(quantity=3), an_item(TEAM, item_id="si_2", quantity=2)]))

    assert found.now.items == (
        Item(price=PRO_PRICE, quantity=Decimal(3)),
        Item(price=TEAM_PRICE, quantity=Decimal(2)),
    )


def test_a_missing_quantity_is_one_and_zero_is_zero() -> None:
    found = state(a_subscription(items=[an_item(quantity=None), an_item(quantity=0, item_id="si_2")]))

    assert [one.quantity for one in found.now.items] == [Decimal(1), Decimal(0)]


def test_items_of_2018_have_plans_only() -> None:
    row = without(an_item(shape=Shape.OLD), "price")

    assert state(a_subscription(Shape.OLD, items=[row])).now.items == (Item(price=PRO_PRICE),)


def test_before_items_the_subscription_itself_had_a_plan_and_a_quantity() -> None:
    old = {**without(a_subscription(Shape.OLD), "items", "currency"), "plan": plan_of(PRO), "quantity": 4}

    found = state(old)

    assert found.now.items == (Item(price=PRO_PRICE, quantity=Decimal(4)),)
    assert found.now.currency == USD


def test_an_item_on_a_trial_of_its_own_does_not_count() -> None:
    trial = {"start_date": 1, "end_date": 2, "trial_offer": "offer_1"}

    found = state(a_subscription(items=[an_item(), an_item(TEAM, item_id="si_2", current_trial=trial)]))

    assert [one.counts for one in found.now.items] == [True, False]


def test_a_list_of_items_that_was_cut_off_says_so() -> None:
    long = a_subscription()
    long["items"]["has_more"] = True

    assert not state(long).now.items_complete
    assert state(a_subscription()).now.items_complete


def test_it_is_billed_in_the_currency_that_it_states() -> None:
    found = state(a_subscription(currency="eur"))

    assert found.now.currency == EUR
    assert found.now.items[0].price.currency == USD


def test_the_prices_option_for_that_currency_is_taken_where_the_api_expanded_it() -> None:
    both = {**PRO, "currency_options": {"eur": {"unit_amount": 4500, "unit_amount_decimal": "4500"}}}

    found = state(a_subscription(currency="eur", items=[an_item(both)]))

    assert (found.now.items[0].price.currency, found.now.items[0].price.unit_amount) == (EUR, Decimal(4500))


# ---- Discounts ----------------------------------------------------------------------------------------------------


def the_discount(shape: Shape, end: datetime | None = None) -> dict[str, Any]:
    return discount("di_1", QUARTER, customer="cus_1", subscription="sub_1", start=BEGIN, end=end, shape=shape)


def test_an_old_discount_contains_its_coupon() -> None:
    found = state(a_subscription(Shape.OLD, discounts=[the_discount(Shape.OLD, END)]))

    assert found.now.discounts == (
        Discount(id="di_1", coupon_id="QUARTER", coupon=QUARTER_OFF, starts_at=BEGIN, ends_at=END),
    )


@pytest.mark.parametrize("shape", [Shape.BASIL, Shape.CLOVER])
def test_since_basil_only_the_ids_stand_there(shape: Shape) -> None:
    assert state(a_subscription(shape, discounts=[the_discount(shape)])).now.discounts == (Discount(id="di_1"),)


def test_an_expanded_discount_of_clover_names_its_coupon() -> None:
    expanded = {**a_subscription(), "discounts": [the_discount(Shape.CLOVER)]}

    assert state(expanded).now.discounts == (Discount(id="di_1", coupon_id="QUARTER", starts_at=BEGIN),)


def test_an_item_keeps_its_own_discounts() -> None:
    found = state(a_subscription(items=[an_item(discounts=["di_2"])]))

    assert (found.now.discounts, found.now.items[0].discounts) == ((), (Discount(id="di_2"),))


# ---- Scheduled ends and pauses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cancellation_at_period_end_is_dated(shape: Shape) -> None:
    scheduled = a_subscription(shape, cancel_at_period_end=True)

    assert state(scheduled).now.cancels_at == END
    assert state({**scheduled, "cancel_at": None}).now.cancels_at == END


def test_a_cancellation_at_a_date_is_dated() -> None:
    assert state(a_subscription(cancel_at=END + timedelta(days=9))).now.cancels_at == END + timedelta(days=9)


@pytest.mark.parametrize(
    ("more", "fixed"),
    [
        ({"canceled_at": None}, True),  # nobody has asked
        ({"canceled_at": int(BEGIN.timestamp())}, True),  # set by the creation itself
        ({"canceled_at": int(BEGIN.timestamp()) + 1}, False),
        ({"canceled_at": None, "cancel_at_period_end": True}, False),
        ({"canceled_at": None, "cancel_at": None}, False),
    ],
)
def test_an_end_that_was_set_at_the_creation_is_of_a_fixed_term(more: dict[str, Any], fixed: bool) -> None:
    found = {**a_subscription(cancel_at=END + timedelta(days=300)), "created": int(BEGIN.timestamp()), **more}

    assert state(found).now.fixed_term is fixed


def test_without_the_time_of_the_request_an_end_counts_as_asked_for() -> None:
    found = a_subscription(cancel_at=END)
    del found["canceled_at"]

    assert not state(found).now.fixed_term


def test_nothing_scheduled_is_no_date() -> None:
    assert state(a_subscription()).now.cancels_at is None


@pytest.mark.parametrize(
    ("behavior", "stopped"), [("void", True), ("mark_uncollectible", True), ("keep_as_draft", False)]
)
def test_a_pause_that_forgives_what_falls_due_stops_collecting(behavior: str, stopped: bool) -> None:
    found = state(a_subscription(pause_collection={"behavior": behavior, "resumes_at": None}))

    assert found.now.stopped_collecting is stopped


# ---- Before -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_terms_before_a_change_of_plan_are_read(shape: Shape) -> None:
    old = a_subscription(shape)
    new = a_subscription(shape, items=[an_item(TEAM, shape, quantity=2)])
    previous = {key: value for key, value in old.items() if new[key] != value}

    found = state(new, previous=previous)

    assert found.before == Terms(status=Status.ACTIVE, currency=USD, items=(Item(price=PRO_PRICE),))
    assert found.now.items == (Item(price=TEAM_PRICE, quantity=Decimal(2)),)


def test_where_only_the_subscriptions_own_plan_names_the_old_one() -> None:
    new = a_subscription(Shape.OLD, items=[an_item(TEAM, Shape.OLD)])

    found = state(new, previous={"plan": plan_of(PRO)})

    assert found.before is not None
    assert found.before.items == (Item(price=PRO_PRICE),)


def test_where_the_old_plan_follows_from_what_differs() -> None:
    new = a_subscription(Shape.OLD, items=[an_item(TEAM, Shape.OLD)])

    found = state(
        new,
        previous={"plan": {"id": "price_pro", "amount": 4900, "amount_decimal": "4900", "nickname": "Pro"}},
    )

    assert found.before is not None
    assert found.before.items == (Item(price=PRO_PRICE),)


def test_where_only_the_subscriptions_own_quantity_states_the_old_one() -> None:
    new = a_subscription(Shape.OLD, items=[an_item(shape=Shape.OLD, quantity=5)])

    found = state(new, previous={"quantity": 2})

    assert found.before is not None
    assert found.before.items == (Item(price=PRO_PRICE, quantity=Decimal(2)),)


def test_before_items_the_old_quantity_was_the_subscriptions() -> None:
    new = {**without(a_subscription(Shape.OLD), "items"), "plan": plan_of(PRO), "quantity": 5}

    found = state(new, previous={"quantity": 2})

    assert found.before is not None
    assert [one.quantity for one in found.before.items] == [Decimal(2)]


def test_the_status_before_is_read() -> None:
    found = state(a_subscription(), previous={"status": "past_due"})

    assert found.before is not None
    assert (found.before.status, found.now.status) == (Status.PAST_DUE, Status.ACTIVE)


@pytest.mark.parametrize(
    ("shape", "previous", "before"),
    [
        (Shape.OLD, {"discount": None, "discounts": []}, ()),
        (Shape.OLD, {"discount": None}, ()),
        (Shape.CLOVER, {"discounts": []}, ()),
        (Shape.CLOVER, {"discounts": ["di_0"]}, (Discount(id="di_0"),)),
    ],
)
def test_the_discounts_before_are_read(shape: Shape, previous: dict[str, Any], before: tuple[Discount, ...]) -> None:
    found = state(a_subscription(shape, discounts=[the_discount(shape)]), previous=previous)

    assert found.before is not None
    assert found.before.discounts == before
    assert len(found.now.discounts) == 1


def test_a_cancellation_that_was_taken_back_was_there_before() -> None:
    found = state(a_subscription(), previous={"cancel_at_period_end": True, "cancel_at": int(END.timestamp())})

    assert found.before is not None
    assert (found.before.cancels_at, found.now.cancels_at) == (END, None)


def test_a_pause_that_ended_was_there_before() -> None:
    found = state(a_subscription(), previous={"pause_collection": {"behavior": "void", "resumes_at": None}})

    assert found.before is not None
    assert (found.before.stopped_collecting, found.now.stopped_collecting) == (True, False)


def test_metadata_that_changed_leaves_the_terms_as_they_were() -> None:
    found = state(a_subscription(), previous={"metadata": {"test": None}})

    assert found.before == found.now


def test_a_renewal_moves_the_period_and_not_the_terms() -> None:
    earlier = (BEGIN - timedelta(days=31), BEGIN)
    old = item("si_1", PRO, subscription="sub_1", period=earlier)

    found = state(a_subscription(), previous={"items": {"data": [old]}, "latest_invoice": "in_0"})

    assert found.before == found.now


def test_without_old_values_the_terms_before_are_unknown() -> None:
    assert state(a_subscription()).before is None


# ---- What it makes known ------------------------------------------------------------------------------------------


def test_prices_and_coupons_that_stand_there_whole_are_remembered() -> None:
    known = translated(
        "customer.subscription.created", a_subscription(Shape.OLD, discounts=[the_discount(Shape.OLD)])
    ).catalog

    assert PRO_PRICE in known
    assert QUARTER_OFF in known


def test_a_price_without_its_tiers_is_not() -> None:
    tiered = price("price_tiers", minor=None, tiers_mode="volume")

    assert translated("customer.subscription.created", a_subscription(items=[an_item(tiered)])).catalog == ()


def test_tiers_that_stood_in_old_plans_are() -> None:
    tiered = price("price_tiers", minor=None, tiers_mode="graduated")
    plan = {**(plan_of(tiered) or {}), "tiers": [{"up_to": 10, "unit_amount": 100}, {"up_to": None, "unit_amount": 50}]}
    row = {**an_item(tiered, Shape.OLD), "plan": plan}

    (found,) = translated("customer.subscription.created", a_subscription(Shape.OLD, items=[row])).catalog

    assert isinstance(found, Price)
    assert [tier.up_to for tier in found.tiers] == [10, None]


@pytest.mark.parametrize("kind", ["customer.subscription.trial_will_end", "subscription_schedule.updated"])
def test_announcements_say_nothing_by_themselves(kind: str) -> None:
    assert translated(kind, a_subscription()).facts == ()


def test_the_builders_period_ends_are_where_the_shape_has_them() -> None:
    assert "current_period_end" in a_subscription(Shape.OLD)
    assert "current_period_end" not in a_subscription(Shape.BASIL)
    assert payloads.unix(END) == a_subscription(Shape.BASIL)["items"]["data"][0]["current_period_end"]
