"""Synthetic payloads for cases that no published one covers. Each is settled and compared with literal events.

The gaps are those of the reference: custom data, currencies without decimals, negative lines, scheduled changes,
origins of changes and charges, approved adjustments, chargebacks, a discount's end, trials that convert, quantities.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bridge.ledger import EMPTY, Policy, RevenueEvent, settle
from bridge.ledger.catalog import Catalog, key_of
from bridge.ledger.policy import MrrDiscounts
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO, TEAM
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.translate import translate
from tests.processors.paddle.translating import AT, VISIT, a_subscription, a_transaction, an_adjustment

STARTED = AT - timedelta(days=30)
YEN = Plan(id="yen", minor=5000, name="Pro", currency="JPY")
CREATED = ("subscription.created", a_subscription(started_at=STARTED, updated_at=STARTED, custom_data=VISIT))
FIRST_PAID = ("transaction.completed", a_transaction(custom_data=VISIT, at=STARTED))


def settled(*events: tuple[str, Body], policy: Policy | None = None) -> tuple[RevenueEvent, ...]:
    """The events of these, a day apart from the start of the subscription on (the payment a moment after it)."""
    said = []
    for number, (kind, entity) in enumerate(events):
        at = STARTED + timedelta(days=number if number > 1 else 0, seconds=number)
        said.append(translate(payloads.event(kind, entity, at=at, event_id=f"evt_{number}"), {}))
    known = Catalog(entries={key: one for one_said in said for one in one_said.catalog if (key := key_of(one))})
    facts = [fact for one_said in said for fact in one_said.facts]
    return settle(EMPTY, facts, policy or Policy(), known).events


def rows(events: tuple[RevenueEvent, ...]) -> list[tuple[str, str, str | None]]:
    """Type, amount and MRR impact of each event; zero as a plain 0."""
    return [(event.event_type.value, str(event.amount or 0), _movement(event.mrr_impact)) for event in events]


def _movement(impact: Decimal | None) -> str | None:
    return None if impact is None else str(impact or 0)


def updated(**more: Any) -> tuple[str, Body]:
    fields: dict[str, Any] = {"started_at": STARTED, "updated_at": STARTED + timedelta(days=2), **more}
    return ("subscription.updated", a_subscription(**fields))


def later(transaction_id: str, **more: Any) -> tuple[str, Body]:
    lines = more.pop("lines", ())
    return ("transaction.completed", {**a_transaction(*lines, **more), "id": transaction_id})


def test_synthetic_custom_data_of_transaction_and_subscription_names_the_visit() -> None:
    (event,) = settled(CREATED, FIRST_PAID)

    assert (event.visitor_fingerprint, event.session_id) == ("fp_ada", "sess_ada")


def test_synthetic_a_currency_without_decimals_has_whole_amounts() -> None:
    state = a_subscription(YEN, currency="JPY", started_at=STARTED, updated_at=STARTED)

    events = settled(
        ("subscription.created", state), ("transaction.completed", a_transaction(plan=YEN, currency="JPY"))
    )

    assert rows(events) == [("subscription", "5000", "5000")]


def test_synthetic_a_downgrade_billed_at_once_with_negative_lines_gives_no_money() -> None:
    team = ("subscription.created", a_subscription(TEAM, started_at=STARTED, updated_at=STARTED))
    paid = ("transaction.completed", a_transaction(plan=TEAM))
    lines = [payloads.line(TEAM, amount=-6600, rate="0.66"), payloads.line(PRO, amount=3267, rate="0.66")]

    events = settled(team, paid, updated(), later("txn_2", plan=PRO, lines=lines, origin="subscription_update"))

    assert rows(events) == [("subscription", "99.00", "99.00"), ("downgrade", "0", "-50.00")]


def test_synthetic_an_upgrade_billed_at_once_is_one_event() -> None:
    lines = [payloads.line(PRO, amount=-3234, rate="0.66"), payloads.line(TEAM, amount=6534, rate="0.66")]

    events = settled(
        CREATED, FIRST_PAID, updated(plan=TEAM), later("txn_2", plan=TEAM, lines=lines, origin="subscription_update")
    )

    assert rows(events) == [("subscription", "49.00", "49.00"), ("upgrade", "33.00", "50.00")]  # 65.34 - 32.34


def test_synthetic_a_one_time_charge_on_a_subscription_is_a_purchase() -> None:
    events = settled(CREATED, FIRST_PAID, later("txn_2", plan=EBOOK, origin="subscription_charge"))

    assert rows(events)[1:] == [("purchase", "29.00", None)]


def test_synthetic_a_scheduled_cancellation_ends_nothing_until_it_takes_effect() -> None:
    change = {"action": "cancel", "effective_at": payloads.stamp(AT), "resume_at": None}
    ended = updated(status="canceled", canceled_at=AT, updated_at=AT)

    assert rows(settled(CREATED, FIRST_PAID, updated(scheduled_change=change)))[1:] == []
    assert rows(settled(CREATED, FIRST_PAID, updated(scheduled_change=change), ended))[1:] == [("churn", "0", "-49.00")]


@pytest.mark.parametrize(
    ("adjustments", "expected"),
    [
        ([{"status": "approved"}], [("refund", "-20.00", "0")]),
        ([{"status": "pending_approval"}, {"status": "approved"}], [("refund", "-20.00", "0")]),
        ([{"status": "pending_approval"}, {"status": "rejected"}], []),
        ([{"action": "credit"}], []),
        ([{"action": "chargeback", "minor": 4900}], [("refund", "-49.00", "0")]),
        ([{"action": "chargeback_warning", "minor": 4900}], [("refund", "-49.00", "0")]),
    ],
    ids=["approved", "asked for and approved", "rejected", "credit", "chargeback", "warning"],
)
def test_synthetic_adjustments(adjustments: list[dict[str, Any]], expected: list[tuple[str, str, str]]) -> None:
    events = [("adjustment.updated", an_adjustment(**more)) for more in adjustments]

    assert rows(settled(CREATED, FIRST_PAID, *events))[1:] == expected


@pytest.mark.parametrize("action", ["chargeback", "chargeback_warning"])
def test_synthetic_a_chargeback_that_is_reversed_comes_back(action: str) -> None:
    lost = ("adjustment.created", an_adjustment(action=action, minor=4900))
    won = ("adjustment.created", {**an_adjustment(action=f"{action}_reverse", minor=4900), "id": "adj_2"})

    events = settled(CREATED, FIRST_PAID, lost, won)

    assert rows(events)[1:] == [("refund", "-49.00", "0"), ("renewal", "49.00", "0")]
    assert (events[1].metadata["reason"], events[2].metadata["reversal_of"]) == (action, "txn_1")


def test_synthetic_several_partial_refunds_are_one_event_each() -> None:
    events = [
        ("adjustment.updated", {**an_adjustment(minor=minor), "id": f"adj_{number}"})
        for number, minor in enumerate((1000, 1500, 2400))
    ]

    assert rows(settled(CREATED, FIRST_PAID, *events))[1:] == [
        ("refund", "-10.00", "0"),
        ("refund", "-15.00", "0"),
        ("refund", "-24.00", "0"),
    ]


def test_synthetic_a_discount_that_ends_raises_the_level() -> None:
    half = {"id": "dsc_half", "type": "percentage", "amount": "50", "recur": True, "maximum_recurring_intervals": 1}
    at_work = {"id": "dsc_half", "starts_at": payloads.stamp(STARTED), "ends_at": payloads.stamp(AT)}
    state = a_subscription(started_at=STARTED, updated_at=STARTED, discount=at_work)
    paid = a_transaction(payloads.line(PRO, amount=4900, discount=2450), discount_id="dsc_half")

    events = settled(
        ("subscription.created", state),
        ("transaction.completed", paid),
        ("discount.created", half),
        updated(discount=None),
        policy=Policy(mrr_discounts=MrrDiscounts.RECURRING),
    )

    assert rows(events) == [("subscription", "24.50", "24.50"), ("upgrade", "0", "24.50")]


def test_synthetic_a_trial_that_converts_starts_with_its_first_payment() -> None:
    trying = a_subscription(status="trialing", started_at=STARTED, updated_at=STARTED, trial_ends_at=AT)
    nothing = a_transaction(payloads.line(PRO, amount=0))
    paid = {"lines": [payloads.line(PRO, amount=4900, rate="1")], "origin": "subscription_recurring"}

    events = settled(
        ("subscription.created", trying), ("transaction.completed", nothing), updated(), later("txn_2", **paid)
    )

    assert rows(events) == [("subscription", "49.00", "49.00")]


def test_synthetic_more_seats_are_an_upgrade_by_their_price() -> None:
    assert rows(settled(CREATED, FIRST_PAID, updated(quantity=3)))[1:] == [("upgrade", "0", "98.00")]


def test_synthetic_an_adjustment_that_comes_first_joins_its_transaction() -> None:
    events = settled(("adjustment.updated", an_adjustment()), CREATED, FIRST_PAID)

    assert sorted(rows(events)) == [("refund", "-20.00", "0"), ("subscription", "49.00", "49.00")]
    assert {event.subscription_id for event in events} == {"sub_1"}
