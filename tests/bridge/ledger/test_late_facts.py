"""Late facts: beginnings that arrive after changes, old states, and several states of one second."""

from __future__ import annotations

from itertools import permutations

from processors.facts import Reason, Status
from tests.bridge.ledger.harness import balance, rows, settled
from tests.builders import EUR, a_created, a_paid_invoice, a_subscription, after, an_ended, an_invoice, terms

INCOMPLETE, ACTIVE, PAUSED = Status.INCOMPLETE, Status.ACTIVE, Status.PAUSED


def test_a_late_creation_shows_that_an_assumed_baseline_is_new() -> None:
    ledger = settled([a_subscription(minor=9900, was=terms(), at=after(days=9))], [a_created()])

    assert rows(ledger.events) == ["upgrade 0.00 +50.00", "subscription 0.00 +49.00"]
    assert balance(ledger) == (9900, 9900)


def test_a_late_beginning_of_what_has_ended_makes_both_ends_meet() -> None:
    ledger = settled([an_ended(at=after(days=9))], [a_created()])

    assert rows(ledger.events) == ["churn 0.00 -49.00", "subscription 0.00 +49.00"]
    assert balance(ledger) == (0, 0)


def test_a_late_creation_of_a_paused_subscription_reports_both_its_start_and_its_pause() -> None:
    paused = a_subscription(PAUSED, at=after(days=9))
    first_payment = an_invoice(4900, reason=Reason.START, at=after(seconds=3))

    ledger = settled([paused], [a_created(), first_payment])

    assert rows(ledger.events) == ["subscription 49.00 +49.00", "churn 0.00 -49.00"]
    assert ledger.events[1].metadata["reason"] == "paused"
    assert "reactivation" not in ledger.events[0].metadata
    assert balance(ledger) == (0, 0)


def test_a_late_creation_does_not_hide_the_terms_before_that_an_even_later_copy_states() -> None:
    paused = a_subscription(PAUSED, at=after(days=9))
    copy = a_subscription(PAUSED, was=terms(), at=after(days=9))

    orders = [*permutations([[paused], [a_created()], [copy]]), [[paused], [a_created(INCOMPLETE)], [copy]]]
    for windows in orders:
        ledger = settled(*windows)

        assert sorted(rows(ledger.events)) == ["churn 0.00 -49.00", "subscription 0.00 +49.00"]
        assert balance(ledger) == (0, 0)


def test_a_late_first_payment_shows_a_start_too_and_is_paired_with_it() -> None:
    ledger = settled([a_subscription(at=after(seconds=4))], [an_invoice(4900, reason=Reason.START)])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]
    assert balance(ledger) == (4900, 4900)


def test_a_late_first_payment_in_another_currency_is_not_paired_with_the_start() -> None:
    in_euros = a_subscription(now=terms(minor=4500, currency=EUR), at=after(days=9))

    ledger = settled([in_euros], [a_created(), an_invoice(4900, reason=Reason.START)])

    events = sorted((event.currency, event.amount, event.mrr_impact) for event in ledger.events)
    assert events == [("EUR", 0, 45), ("USD", 49, 0)]


def test_a_first_payment_with_a_state_that_states_nothing_of_before_is_a_start() -> None:
    ledger = settled([a_subscription(), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=9))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_an_older_state_changes_nothing() -> None:
    late = a_subscription(minor=1900, was=terms(), at=after(days=2))

    ledger = settled([a_created()], [a_subscription(minor=9900, was=terms(minor=1900), at=after(days=3))], [late])

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "upgrade 0.00 +50.00"]
    assert balance(ledger) == (9900, 9900)


def test_an_ended_subscription_never_becomes_active_again() -> None:
    ledger = settled(
        [a_created()],
        [an_ended(at=after(days=9))],
        [a_subscription(minor=9900, was=terms(), at=after(days=8)), a_subscription(at=after(days=10))],
    )

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00"]
    assert ledger.state.subscriptions["sub_1"].ended


def test_an_end_ends_even_when_its_clock_is_behind() -> None:
    timeline = [a_created(), a_subscription(seats=2, was=terms(), at=after(days=10)), an_ended(at=after(days=9))]

    for windows in ([timeline], [timeline[:2], timeline[2:]], [timeline[:1], timeline[2:], timeline[1:2]]):
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


def test_a_change_that_is_made_undone_and_made_again_within_a_second_counts() -> None:
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
