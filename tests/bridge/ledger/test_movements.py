"""Movements of MRR: each step by what it leads to, scheduled ends, and a change of the currency."""

from __future__ import annotations

import pytest

from bridge.ledger import Policy
from bridge.ledger.events import EventType
from bridge.ledger.movements import movement_type
from bridge.ledger.policy import ChurnAt, MovementAmount
from processors.facts import Interval, Reason, Status
from tests.bridge.ledger.harness import rows, settled
from tests.builders import EUR, USD, a_created, a_paid_invoice, a_price, a_subscription, after, an_ended, an_item, terms

INCOMPLETE, TRIALING, PAST_DUE, UNPAID, PAUSED = (
    Status.INCOMPLETE,
    Status.TRIALING,
    Status.PAST_DUE,
    Status.UNPAID,
    Status.PAUSED,
)
AT_REQUEST = Policy(churn_at=ChurnAt.REQUEST)


# ---- The table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after_it", "event_type"),
    [
        (0, 4900, EventType.SUBSCRIPTION),
        (4900, 9900, EventType.UPGRADE),
        (9900, 4900, EventType.DOWNGRADE),
        (4900, 0, EventType.CHURN),
        (4900, 4900, None),
        (0, 0, None),
    ],
)
def test_a_step_is_named_by_where_it_leads(before: int, after_it: int, event_type: EventType | None) -> None:
    assert movement_type(before, after_it) is event_type


def test_more_seats_are_an_upgrade_by_the_difference() -> None:
    ledger = settled([a_created()], [a_subscription(seats=3, was=terms(), at=after(days=5))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "upgrade 0.00 +98.00"]
    assert ledger.events[1].transaction_id == "sub_1:upgrade:2"


def test_a_cheaper_plan_is_a_downgrade_that_names_the_plan_before() -> None:
    starter = terms(items=(an_item(price=a_price(1900, name="Starter")),))

    ledger = settled([a_created()], [a_subscription(now=starter, was=terms(), at=after(days=5))])

    assert rows(ledger.events[1:]) == ["downgrade 0.00 -30.00"]
    assert ledger.events[1].metadata["plan"] == "Starter"
    assert ledger.events[1].metadata["previous_plan"] == "Pro"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (an_ended(at=after(days=9)), "canceled"),
        (an_ended(at=after(days=9), ended_reason="payment_failed"), "payment_failed"),
        (a_subscription(UNPAID, was=terms(PAST_DUE), at=after(days=9)), "unpaid"),
        (a_subscription(PAUSED, was=terms(), at=after(days=9)), "paused"),
    ],
    ids=["deleted", "for a reason of its own", "unpaid", "paused"],
)
def test_to_nothing_is_churn_with_its_reason(state: object, reason: str) -> None:
    ledger = settled([a_created()], [state])  # type: ignore[list-item]

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00"]
    assert ledger.events[1].metadata["reason"] == reason


@pytest.mark.parametrize("status", [UNPAID, PAUSED])
def test_who_comes_back_is_a_subscription_marked_as_reactivation(status: Status) -> None:
    ledger = settled(
        [a_created()],
        [a_subscription(status, was=terms(), at=after(days=9))],
        [a_subscription(was=terms(status), at=after(days=19))],
    )

    assert rows(ledger.events[2:]) == ["subscription 0.00 +49.00"]
    assert ledger.events[2].metadata["reactivation"] is True
    assert "reactivation" not in ledger.events[0].metadata


def test_a_return_by_a_payment_is_reported_with_it() -> None:
    back = [a_subscription(was=terms(UNPAID), at=after(days=40)), *a_paid_invoice(4900, 2, at=after(days=40))]

    ledger = settled([a_created()], [a_subscription(UNPAID, was=terms(), at=after(days=9))], back)

    assert rows(ledger.events[2:]) == ["subscription 49.00 +49.00"]
    assert ledger.events[2].metadata["reactivation"] is True


def test_a_month_that_becomes_a_year_at_the_same_mrr_is_no_event_and_shows_from_the_next_on() -> None:
    yearly = terms(items=(an_item(price=a_price(58800, Interval.YEAR, name="Pro yearly")),))

    ledger = settled(
        [a_created()],
        [a_subscription(now=yearly, was=terms(), at=after(days=5))],
        a_paid_invoice(58800, 2, Reason.CHANGE, at=after(days=5, minutes=5)),
    )

    assert rows(ledger.events[1:]) == ["renewal 588.00 0"]
    assert (ledger.events[1].metadata["plan"], ledger.events[1].metadata["interval"]) == ("Pro yearly", "annual")


def test_past_due_counts_on() -> None:
    ledger = settled([a_created()], [a_subscription(PAST_DUE, was=terms(), at=after(days=31))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]


@pytest.mark.parametrize("status", [INCOMPLETE, TRIALING])
def test_what_does_not_count_yet_is_no_event(status: Status) -> None:
    assert settled([a_created(status)]).events == ()


def test_a_trial_that_ends_without_a_payment_method_is_nothing() -> None:
    ledger = settled([a_created(TRIALING)], [an_ended(was=terms(TRIALING), at=after(days=14))])

    assert ledger.events == ()


def test_movement_amount_may_be_the_size_of_the_movement() -> None:
    policy = Policy(movement_amount=MovementAmount.MRR)

    ledger = settled(
        [a_created(), *a_paid_invoice(4900, reason=Reason.START)], [an_ended(at=after(days=9))], policy=policy
    )

    assert rows(ledger.events) == ["subscription 49.00 +49.00", "churn 49.00 -49.00"]


def test_an_unpaid_start_that_comes_back_by_paying_leaves_the_payment_to_the_return() -> None:
    backlog = [
        a_created(),
        a_subscription(UNPAID, was=terms(), at=after(days=20)),
        a_subscription(was=terms(UNPAID), at=after(days=25)),
        *a_paid_invoice(4900, at=after(days=25)),
    ]

    assert rows(settled(backlog).events) == [
        "subscription 0.00 +49.00",
        "churn 0.00 -49.00",
        "subscription 49.00 +49.00",
    ]


# ---- Scheduled ends -----------------------------------------------------------------------------------------------


def test_a_scheduled_end_is_churn_when_it_takes_effect() -> None:
    leaving = terms(cancels_at=after(days=31))
    timeline = [
        a_subscription(now=leaving, was=terms(), at=after(days=9)),
        an_ended(at=after(days=31), ended_reason="cancellation_requested"),
    ]

    ledger = settled([a_created()], timeline[:1], timeline[1:])

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00"]
    assert ledger.events[1].occurred_at == after(days=31)


def test_counted_at_request_a_scheduled_end_is_churn_at_once_and_nothing_later() -> None:
    leaving = terms(cancels_at=after(days=31))

    ledger = settled(
        [a_created()],
        [a_subscription(now=leaving, was=terms(), at=after(days=9))],
        [an_ended(at=after(days=31))],
        policy=AT_REQUEST,
    )

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00"]
    assert ledger.events[1].metadata["reason"] == "cancellation_requested"
    assert ledger.events[1].occurred_at == after(days=9)


def test_counted_at_request_who_thinks_better_of_it_comes_back() -> None:
    leaving = terms(cancels_at=after(days=31))

    ledger = settled(
        [a_created()],
        [a_subscription(now=leaving, was=terms(), at=after(days=9))],
        [a_subscription(was=leaving, at=after(days=10))],
        policy=AT_REQUEST,
    )

    assert rows(ledger.events[2:]) == ["subscription 0.00 +49.00"]
    assert ledger.events[2].metadata["reactivation"] is True


# ---- Currencies ---------------------------------------------------------------------------------------------------


def test_another_currency_is_churn_in_the_old_and_a_subscription_in_the_new() -> None:
    euros = terms(currency=EUR, items=(an_item(price=a_price(1900, currency=EUR, name="Starter")),))

    ledger = settled([a_created()], [a_subscription(now=euros, was=terms(), at=after(days=9))], [])

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00", "subscription 0.00 +19.00"]
    assert [event.currency for event in ledger.events] == ["USD", "USD", "EUR"]
    assert ledger.events[1].metadata["reason"] == "currency_change"
    assert ledger.events[1].metadata["plan"] == "Pro"
    assert ledger.events[2].metadata["plan"] == "Starter"
    assert ledger.state.subscriptions["sub_1"].currency != USD
