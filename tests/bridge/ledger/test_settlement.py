"""Settling as a whole: the table of payments row by row, independence of order and duplicates, and notes."""

from __future__ import annotations

from itertools import permutations

import pytest

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.state import dump
from processors.facts import Membership, Reason, Status
from tests.bridge.ledger.harness import rows, settled
from tests.builders import (
    a_created,
    a_line,
    a_paid_invoice,
    a_payment,
    a_purchase,
    a_refund,
    a_subscription,
    after,
    again,
    an_attribution,
    an_ended,
    an_invoice,
    an_invoice_payment,
    terms,
)

INCOMPLETE, ACTIVE, TRIALING = Status.INCOMPLETE, Status.ACTIVE, Status.TRIALING

# ---- The table of payments ----------------------------------------------------------------------------------------


def test_a_payment_outside_any_subscription_is_a_purchase_without_a_word_on_mrr() -> None:
    ledger = settled([a_purchase(1500)])

    (event,) = ledger.events
    assert rows([event]) == ["purchase 15.00 -"]
    assert (event.is_recurring, event.subscription_id, event.transaction_id) == (False, None, "pi_1")


def test_a_one_off_charge_on_a_subscription_is_a_purchase_that_names_it() -> None:
    ledger = settled([a_created()], [an_invoice(900, reason=Reason.ONE_OFF, at=after(days=3))])

    event = ledger.events[-1]
    assert rows([event]) == ["purchase 9.00 -"]
    assert (event.is_recurring, event.subscription_id) == (False, "sub_1")


def test_the_first_payment_carries_the_start_of_its_subscription() -> None:
    timeline = [
        a_created(INCOMPLETE),
        *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3)),
        a_subscription(ACTIVE, was=terms(INCOMPLETE), at=after(seconds=3)),
    ]

    ledger = settled(timeline)

    (event,) = ledger.events
    assert rows([event]) == ["subscription 49.00 +49.00"]
    assert (event.transaction_id, event.subscription_id, event.is_recurring) == ("in_1", "sub_1", True)


def test_the_first_payment_after_a_trial_carries_the_start() -> None:
    trial = [a_created(TRIALING), an_invoice(0, reason=Reason.START)]
    conversion = [
        a_subscription(ACTIVE, was=terms(TRIALING), at=after(days=14)),
        *a_paid_invoice(4900, 2, at=after(days=14, seconds=5)),
    ]

    ledger = settled(trial, conversion)

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


@pytest.mark.parametrize(
    ("minor", "row"), [(9900, "upgrade 25.00 +50.00"), (1900, "downgrade 25.00 -30.00")], ids=["up", "down"]
)
def test_a_change_billed_at_once_is_one_event_with_the_money_and_the_delta(minor: int, row: str) -> None:
    change = [
        a_subscription(minor=minor, was=terms(), at=after(days=10)),
        *a_paid_invoice(2500, 2, Reason.CHANGE, at=after(days=10, seconds=2)),
    ]

    ledger = settled([a_created()], change)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", row]


def test_a_later_cycle_at_the_same_mrr_is_a_renewal() -> None:
    start = [a_created(), *a_paid_invoice(4900, reason=Reason.START)]
    renewal = [a_subscription(was=terms(), at=after(days=31)), *a_paid_invoice(4900, 2, at=after(days=31))]

    ledger = settled(start, renewal)

    assert rows(ledger.events) == ["subscription 49.00 +49.00", "renewal 49.00 0"]
    assert ledger.events[1].is_recurring


def test_a_cycle_whose_mrr_also_changed_is_two_events() -> None:
    start = [a_created(), *a_paid_invoice(4900, reason=Reason.START)]
    renewal = [
        a_subscription(seats=2, was=terms(), at=after(days=31)),
        *a_paid_invoice(9800, 2, at=after(days=31, hours=1)),
    ]

    ledger = settled(start, renewal)

    assert rows(ledger.events[1:]) == ["upgrade 0.00 +49.00", "renewal 98.00 0"]


def test_a_renewal_with_seats_added_for_the_next_bill_is_two_events() -> None:
    start = [a_created(), *a_paid_invoice(4900, reason=Reason.START)]
    renewal = [
        *a_paid_invoice(4900, 2, at=after(days=31)),
        a_subscription(seats=2, was=terms(), at=after(days=31, seconds=40)),
    ]

    ledger = settled(start, renewal)

    assert rows(ledger.events[1:]) == ["renewal 49.00 0", "upgrade 0.00 +49.00"]


def test_an_invoice_paid_weeks_after_its_start_was_reported_is_a_renewal() -> None:
    ledger = settled([a_created()], a_paid_invoice(4900, reason=Reason.START, at=after(days=21)))

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "renewal 49.00 0"]


def test_a_trial_that_ends_an_hour_before_its_invoice_is_paid_starts_alone() -> None:
    trial = [a_created(TRIALING)]
    end = [a_subscription(ACTIVE, was=terms(TRIALING), at=after(days=14))]
    paid = a_paid_invoice(4900, 2, at=after(days=14, hours=1))

    ledger = settled(trial, end, paid)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "renewal 49.00 0"]


def test_no_money_is_no_event_while_the_movement_is_reported_alone() -> None:
    ledger = settled([a_created(), an_invoice(0, reason=Reason.START)])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert ledger.events[0].transaction_id == "sub_1:subscription:1"


def test_a_trial_start_of_0_is_nothing_at_all() -> None:
    ledger = settled([a_created(TRIALING), an_invoice(0, reason=Reason.START)])

    assert ledger.events == ()


def test_several_payments_of_one_invoice_in_one_window_are_one_amount() -> None:
    ledger = settled(
        [an_invoice_payment(4000, "in_1", "pi_1"), an_invoice_payment(6000, "in_1", "pi_2"), an_invoice(10000)]
    )

    assert rows(ledger.events) == ["renewal 100.00 0"]


def test_a_further_payment_of_an_invoice_is_a_renewal_under_its_own_id() -> None:
    ledger = settled(
        [an_invoice_payment(4000, "in_1", "pi_1", subscription_id="sub_1")],
        [an_invoice_payment(6000, "in_1", "pi_2"), an_invoice(10000)],
    )

    assert rows(ledger.events) == ["renewal 40.00 0", "renewal 60.00 0"]
    assert [event.transaction_id for event in ledger.events] == ["in_1", "pi_2"]


def test_a_payment_without_a_state_takes_its_mrr_from_the_lines_and_says_that_it_guesses() -> None:
    ledger = settled([an_invoice(5831, reason=Reason.START, tax=931, lines=(a_line(4900),))])

    (event,) = ledger.events
    assert rows([event]) == ["subscription 58.31 +49.00"]
    assert event.metadata["mrr_estimated"] is True


def test_an_incomplete_subscription_that_expires_gives_nothing() -> None:
    timeline = [
        a_created(INCOMPLETE),
        an_ended(was=terms(INCOMPLETE), at=after(hours=23), ended_reason="incomplete_expired"),
    ]

    assert settled(timeline).events == ()
    assert settled(timeline[:1], timeline[1:]).events == ()
    assert settled([an_ended(ended_reason="incomplete_expired")]).events == ()


# ---- Order and duplicates -----------------------------------------------------------------------------------------


def test_every_order_of_a_window_gives_the_same_events_the_same_state_and_the_same_notes() -> None:
    timeline = [
        a_created(INCOMPLETE),
        *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3)),
        a_subscription(ACTIVE, was=terms(INCOMPLETE), at=after(seconds=3)),
        a_refund(500, at=after(days=1)),
    ]
    expected = settle(EMPTY, timeline, Policy())

    for order in permutations(timeline):
        made = settle(EMPTY, order, Policy())

        assert made.events == expected.events
        assert dump(made.state) == dump(expected.state)
        assert made.notes == expected.notes


def test_facts_that_arrive_again_change_nothing() -> None:
    timeline = [
        a_created(),
        *a_paid_invoice(4900, reason=Reason.START),
        a_refund(500, at=after(days=1)),
        an_attribution(),
    ]
    first = settle(EMPTY, timeline, Policy())

    repeated = settle(first.state, [*timeline, *map(again, timeline)], Policy())

    assert repeated.events == ()
    assert repeated.released == ()
    assert dump(repeated.state) == dump(first.state)


def test_an_event_names_the_webhooks_that_caused_it_the_primary_one_first() -> None:
    timeline = [
        a_created(processor_event_id="evt_created"),
        an_invoice(4900, reason=Reason.START, at=after(seconds=2), processor_event_id="evt_invoice"),
        an_invoice_payment(4900, at=after(seconds=1), processor_event_id="evt_payment"),
    ]

    (event,) = settled(timeline).events

    assert event.caused_by == ("evt_invoice", "evt_payment", "evt_created")
    assert event.metadata["processor_event_id"] == "evt_invoice"
    assert event.metadata["occurred_at"] == "2026-01-01T12:00:02Z"


def test_events_come_in_the_order_in_which_the_customer_lived_them() -> None:
    timeline = [
        an_ended(at=after(days=40)),
        a_refund(500, at=after(days=41)),
        a_created(),
        *a_paid_invoice(4900, 2, at=after(days=31)),
        *a_paid_invoice(4900, reason=Reason.START),
    ]

    assert rows(settled(timeline).events) == [
        "subscription 49.00 +49.00",
        "renewal 49.00 0",
        "churn 0.00 -49.00",
        "refund -5.00 0",
    ]


def test_two_subscriptions_of_one_customer_are_counted_apart() -> None:
    timeline = [
        a_created(),
        *a_paid_invoice(4900, 1, Reason.START),
        a_created(minor=900, subscription_id="sub_2", at=after(days=1)),
        *a_paid_invoice(900, 2, Reason.START, at=after(days=1), subscription_id="sub_2"),
        an_ended(minor=900, subscription_id="sub_2", at=after(days=2)),
    ]

    events = settled(timeline).events

    assert rows(events) == ["subscription 49.00 +49.00", "subscription 9.00 +9.00", "churn 0.00 -9.00"]
    assert [event.subscription_id for event in events] == ["sub_1", "sub_2", "sub_2"]


# ---- Notes on webhooks without an event ---------------------------------------------------------------------------


def test_every_webhook_gets_a_remark_also_when_it_gave_no_event() -> None:
    free = an_invoice(0, processor_event_id="evt_free")
    late = a_created(processor_event_id="evt_late")
    paid = a_payment(1500, processor_event_id="evt_paid", membership=Membership.NONE, at=after(days=1))
    state = settled([an_ended(at=after(days=9))]).state

    made = settle(state, [free, late, paid], Policy())

    assert made.notes == {
        "evt_free": ("in_1: amount 0: no money has moved",),
        "evt_late": ("sub_1: started here: 49.00 USD of assumed baseline MRR is new",),
        "evt_paid": ("pi_1: reported as purchase of 15.00 USD",),
    }


def test_a_payment_reported_twice_is_noted_as_already_counted() -> None:
    state = settled([a_purchase(1500)]).state

    made = settle(state, [a_purchase(1500, processor_event_id="evt_again")], Policy())

    assert made.notes == {"evt_again": ("pi_1: already counted",)}
