"""Movements of MRR: design.md's table row by row, first sight, late facts, ends, and what payments prove."""

from __future__ import annotations

from itertools import permutations

import pytest

from bridge.ledger import Policy
from bridge.ledger.events import EventType
from bridge.ledger.movements import movement_type
from bridge.ledger.policy import ChurnAt, MovementAmount
from processors.facts import Interval, Reason, Stage, Status
from processors.money import round_minor
from tests.bridge.ledger.harness import Ledger, catalog_of, rows, settled
from tests.builders import (
    EUR,
    USD,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_link,
    a_paid_invoice,
    a_price,
    a_purchase,
    a_subscription,
    after,
    an_ended,
    an_invoice,
    an_item,
    terms,
)

INCOMPLETE, TRIALING, ACTIVE, PAST_DUE = Status.INCOMPLETE, Status.TRIALING, Status.ACTIVE, Status.PAST_DUE
UNPAID, PAUSED = Status.UNPAID, Status.PAUSED
AT_REQUEST = Policy(churn_at=ChurnAt.REQUEST)


def balance(ledger: Ledger, subscription_id: str = "sub_1") -> tuple[int, int]:
    """The reported MRR including the baseline, and the true MRR, both in minor units."""
    known = ledger.state.subscriptions[subscription_id]
    reported = sum(
        int((event.mrr_impact or 0) * 100) for event in ledger.events if event.subscription_id == subscription_id
    )
    return known.baseline + reported, round_minor(known.mrr)


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


def test_who_comes_back_by_paying_is_told_with_the_payment() -> None:
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
    story = [
        a_subscription(now=leaving, was=terms(), at=after(days=9)),
        an_ended(at=after(days=31), ended_reason="cancellation_requested"),
    ]

    ledger = settled([a_created()], story[:1], story[1:])

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


# ---- First sight of an older subscription -------------------------------------------------------------------------


def test_first_seen_at_its_renewal_a_subscription_is_nothing_new() -> None:
    renewal = [a_subscription(was=terms()), *a_paid_invoice(4900, 7)]

    ledger = settled(renewal)

    assert rows(ledger.events) == ["renewal 49.00 0"]
    assert balance(ledger) == (4900, 4900)


def test_first_seen_at_a_change_its_level_before_is_the_baseline() -> None:
    ledger = settled([a_subscription(minor=9900, was=terms())])

    assert rows(ledger.events) == ["upgrade 0.00 +50.00"]
    assert ledger.events[0].metadata["plan"] == "Pro"
    assert balance(ledger) == (9900, 9900)


def test_first_seen_without_a_word_of_before_its_level_now_is_the_baseline() -> None:
    ledger = settled([a_subscription(minor=9900)], [an_ended(9900, at=after(days=9))])

    assert rows(ledger.events) == ["churn 0.00 -99.00"]
    assert balance(ledger) == (0, 0)


def test_first_seen_at_its_end_it_churns_by_what_it_was_worth() -> None:
    ledger = settled([an_ended()])

    assert rows(ledger.events) == ["churn 0.00 -49.00"]
    assert balance(ledger) == (0, 0)


def test_first_seen_at_its_end_within_its_trial_it_is_nothing() -> None:
    assert settled([an_ended(trial_ends_at=after(days=1))]).events == ()


def test_first_seen_when_it_turns_active_after_its_trial_it_starts() -> None:
    ledger = settled([a_subscription(was=terms(TRIALING))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert "reactivation" not in ledger.events[0].metadata


def test_first_seen_when_it_is_resumed_it_comes_back() -> None:
    ledger = settled([a_subscription(was=terms(PAUSED))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert ledger.events[0].metadata["reactivation"] is True


def test_first_seen_in_two_webhooks_of_one_moment_the_one_that_tells_of_before_comes_first() -> None:
    paused = a_subscription(PAUSED, processor_event_id="evt_1")
    updated = a_subscription(PAUSED, was=terms(), processor_event_id="evt_2")

    for windows in ([[paused, updated]], [[updated, paused]], [[paused], [updated]], [[updated], [paused]]):
        ledger = settled(*windows)

        assert rows(ledger.events) == ["churn 0.00 -49.00"]
        assert balance(ledger) == (0, 0)


def test_first_seen_by_a_start_payment_it_starts() -> None:
    ledger = settled([an_invoice(4900, reason=Reason.START, lines=(a_line(),))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]
    assert ledger.events[0].metadata["plan"] == "Pro"
    assert ledger.events[0].metadata["interval"] == "monthly"


@pytest.mark.parametrize("reason", [Reason.CYCLE, Reason.CHANGE, Reason.UNKNOWN])
def test_first_seen_by_any_other_payment_it_is_nothing_new(reason: Reason) -> None:
    ledger = settled([an_invoice(4900, reason=reason, lines=(a_line(),))], [an_ended(at=after(days=9))])

    assert rows(ledger.events) == ["renewal 49.00 0", "churn 0.00 -49.00"]
    assert balance(ledger) == (0, 0)


def test_an_imported_subscription_is_a_baseline_whatever_else_is_seen() -> None:
    imported = a_subscription(stage=Stage.IMPORTED, at=after(days=60))

    ledger = settled([imported], [a_created()], [an_invoice(4900, reason=Reason.START)])

    assert rows(ledger.events) == ["renewal 49.00 0"]
    assert balance(ledger) == (4900, 4900)


# ---- Late facts ---------------------------------------------------------------------------------------------------


def test_a_late_beginning_tells_that_what_was_taken_for_old_is_new() -> None:
    ledger = settled([a_subscription(minor=9900, was=terms(), at=after(days=9))], [a_created()])

    assert rows(ledger.events) == ["upgrade 0.00 +50.00", "subscription 0.00 +49.00"]
    assert balance(ledger) == (9900, 9900)


def test_a_late_beginning_of_what_has_ended_makes_both_ends_meet() -> None:
    ledger = settled([an_ended(at=after(days=9))], [a_created()])

    assert rows(ledger.events) == ["churn 0.00 -49.00", "subscription 0.00 +49.00"]
    assert balance(ledger) == (0, 0)


def test_a_late_beginning_of_what_stands_paused_tells_both_its_start_and_its_stop() -> None:
    paused = a_subscription(PAUSED, at=after(days=9))
    first_payment = an_invoice(4900, reason=Reason.START, at=after(seconds=3))

    ledger = settled([paused], [a_created(), first_payment])

    assert rows(ledger.events) == ["subscription 49.00 +49.00", "churn 0.00 -49.00"]
    assert ledger.events[1].metadata["reason"] == "paused"
    assert "reactivation" not in ledger.events[0].metadata
    assert balance(ledger) == (0, 0)


def test_a_late_beginning_does_not_hide_what_a_twin_tells_of_before_later_still() -> None:
    paused = a_subscription(PAUSED, at=after(days=9))
    twin = a_subscription(PAUSED, was=terms(), at=after(days=9))

    orders = [*permutations([[paused], [a_created()], [twin]]), [[paused], [a_created(INCOMPLETE)], [twin]]]
    for windows in orders:
        ledger = settled(*windows)

        assert sorted(rows(ledger.events)) == ["churn 0.00 -49.00", "subscription 0.00 +49.00"]
        assert balance(ledger) == (0, 0)


def test_a_late_first_payment_tells_a_beginning_too_and_carries_it() -> None:
    ledger = settled([a_subscription(at=after(seconds=4))], [an_invoice(4900, reason=Reason.START)])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]
    assert balance(ledger) == (4900, 4900)


def test_a_first_payment_beside_a_state_that_tells_nothing_of_before_is_a_beginning() -> None:
    ledger = settled([a_subscription(), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=9))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_an_older_state_changes_nothing() -> None:
    late = a_subscription(minor=1900, was=terms(), at=after(days=2))

    ledger = settled([a_created()], [a_subscription(minor=9900, was=terms(minor=1900), at=after(days=3))], [late])

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "upgrade 0.00 +50.00"]
    assert balance(ledger) == (9900, 9900)


def test_what_has_ended_never_comes_back_to_life() -> None:
    ledger = settled(
        [a_created()],
        [an_ended(at=after(days=9))],
        [a_subscription(minor=9900, was=terms(), at=after(days=8)), a_subscription(at=after(days=10))],
    )

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00"]
    assert ledger.state.subscriptions["sub_1"].ended


def test_an_end_ends_even_when_its_clock_is_behind() -> None:
    story = [a_created(), a_subscription(seats=2, was=terms(), at=after(days=10)), an_ended(at=after(days=9))]

    for windows in ([story], [story[:2], story[2:]], [story[:1], story[2:], story[1:2]]):
        ledger = settled(*windows)

        assert balance(ledger) == (0, 0)
        assert ledger.state.subscriptions["sub_1"].ended


def test_states_of_one_second_follow_each_other_as_they_say() -> None:
    steps = [
        a_created(INCOMPLETE),
        a_subscription(ACTIVE, was=terms(INCOMPLETE)),
        a_subscription(seats=2, was=terms()),
        a_subscription(seats=5, was=terms(seats=2)),
        a_subscription(seats=2, was=terms(seats=5)),
    ]

    for order in permutations(steps):
        ledger = settled(order)

        assert rows(ledger.events) == [
            "subscription 0.00 +49.00",
            "upgrade 0.00 +49.00",
            "upgrade 0.00 +147.00",
            "downgrade 0.00 -147.00",
        ]


def test_a_copy_of_a_change_that_was_taken_back_within_its_second_does_not_undo_that() -> None:
    there, back = a_subscription(seats=5, was=terms()), a_subscription(was=terms(seats=5))

    for windows in (
        [[there, back], [there]],
        [[there], [back, there]],
        [[there], [there, back]],
        [[there], [back], [there]],
    ):
        ledger = settled([a_created(at=after(days=-1))], *windows)

        assert rows(ledger.events[1:]) == ["upgrade 0.00 +196.00", "downgrade 0.00 -196.00"]
        assert balance(ledger) == (4900, 4900)


def test_a_change_that_is_made_taken_back_and_made_again_within_a_second_stands() -> None:
    there, back = a_subscription(seats=5, was=terms()), a_subscription(was=terms(seats=5))
    again = a_subscription(seats=5, was=terms())

    ledger = settled([a_created(at=after(days=-1))], [there], [back], [again])

    assert balance(ledger) == (24500, 24500)


def test_paddles_own_clock_orders_states_whose_events_are_inverted() -> None:
    first = a_subscription(seats=2, at=after(seconds=9), changed_at=after(seconds=1))
    second = a_subscription(seats=3, at=after(seconds=8), changed_at=after(seconds=2))

    ledger = settled([a_created(changed_at=after())], [first, second])

    assert rows(ledger.events[1:]) == ["upgrade 0.00 +49.00", "upgrade 0.00 +49.00"]
    assert balance(ledger) == (14700, 14700)


# ---- What a payment proves ----------------------------------------------------------------------------------------


def test_a_paid_first_invoice_starts_what_its_state_still_calls_incomplete() -> None:
    story = [a_created(INCOMPLETE), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3))]

    ledger = settled(story, [a_subscription(was=terms(INCOMPLETE), at=after(seconds=3))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_a_straggling_state_from_before_the_first_payment_takes_nothing_back() -> None:
    straggler = a_subscription(INCOMPLETE, was=terms(INCOMPLETE, cancels_at=after(days=1)), at=after(seconds=1))

    ledger = settled(
        [a_created(INCOMPLETE), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3))],
        [straggler],
        [a_subscription(was=terms(INCOMPLETE), at=after(seconds=3))],
    )

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_a_start_told_by_its_payment_is_not_taken_back_by_the_beginning_that_comes_late() -> None:
    paid = an_invoice(4900, reason=Reason.START, lines=(a_line(),), at=after(seconds=3))

    ledger = settled([paid], [a_created(INCOMPLETE)], [a_subscription(was=terms(INCOMPLETE), at=after(seconds=3))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]
    assert balance(ledger) == (4900, 4900)


def test_a_cycle_paid_when_the_trial_is_over_starts_what_its_state_still_calls_a_trial() -> None:
    trial = a_created(TRIALING, trial_ends_at=after(days=14))

    ledger = settled([trial], a_paid_invoice(4900, 2, at=after(days=14, hours=1)))

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_money_taken_within_a_trial_is_a_purchase() -> None:
    trial = a_created(TRIALING, trial_ends_at=after(days=14))

    ledger = settled([trial, an_invoice(100, reason=Reason.START)])

    assert rows(ledger.events) == ["purchase 1.00 -"]


def test_the_state_corrects_what_was_guessed_from_lines() -> None:
    discounted = a_line(4900, discount=1000)

    ledger = settled([an_invoice(3900, reason=Reason.START, lines=(discounted,))], [a_created()])

    assert rows(ledger.events) == ["subscription 39.00 +39.00", "upgrade 0.00 +10.00"]
    assert ledger.events[1].metadata["reason"] == "estimate_corrected"
    assert "mrr_estimated" not in ledger.events[1].metadata


def test_a_guess_at_what_was_never_told_is_corrected_in_silence() -> None:
    taxed = an_item(price=a_price(14000, tax_inclusive=True))
    old = a_subscription(now=terms(items=(taxed,)))
    renewal = an_invoice(14000, "in_2", Reason.CYCLE, lines=(a_line(11667, price_id="price_14000"),), at=after(days=20))

    ledger = settled([old], [renewal], [an_ended(was=old.now, at=after(days=40))])

    assert rows(ledger.events) == ["renewal 140.00 0", "churn 0.00 -116.67"]
    assert balance(ledger) == (0, 0)


def test_what_began_here_is_told_though_it_was_guessed_to_be_worth_nothing() -> None:
    unknown = terms(discounts=(a_discount(),))
    free = an_invoice(0, reason=Reason.START, lines=(a_line(4900, discount=4900),))
    begun = Ledger().after([a_created(now=unknown), free], Policy())

    ledger = begun.after([a_link(invoice_id="in_1")], Policy(), catalog_of(a_discount(a_coupon(25))))

    assert rows(begun.events) == []
    assert rows(ledger.events) == ["subscription 0.00 +36.75"]
    assert balance(ledger) == (3675, 3675)


def test_a_plan_whose_name_becomes_known_is_no_other_plan() -> None:
    nameless = terms(INCOMPLETE, items=(an_item(price=a_price(name=None)),))

    ledger = settled([a_created(now=nameless)], [a_subscription(was=nameless, at=after(days=1))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert ledger.events[0].metadata["plan"] == "Pro"
    assert "previous_plan" not in ledger.events[0].metadata


def test_a_one_off_payment_proves_nothing() -> None:
    ledger = settled([a_created(INCOMPLETE), a_purchase(900, "pi_9", subscription_id="sub_1")])

    assert rows(ledger.events) == ["purchase 9.00 -"]


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
