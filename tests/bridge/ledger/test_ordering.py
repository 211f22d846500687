"""The order of facts: by time, and at the same time by their content."""

from __future__ import annotations

from itertools import permutations

from bridge.ledger.ordering import facts_in_order, states_in_order
from processors.facts import Stage, Status
from tests.builders import (
    a_created,
    a_payment,
    a_purchase,
    a_refund,
    a_subscription,
    after,
    again,
    an_attribution,
    an_ended,
    terms,
)

TRIALING, ACTIVE, PAUSED = Status.TRIALING, Status.ACTIVE, Status.PAUSED


def test_each_fact_counts_once_by_time_and_by_event() -> None:
    late, first, second = (
        a_payment(at=after(days=1)),
        a_payment(processor_event_id="a"),
        a_payment(processor_event_id="b"),
    )

    assert facts_in_order([late, second, first, late, second]) == [first, second, late]


def test_facts_of_one_webhook_are_in_an_order_of_their_own() -> None:
    facts = [
        a_purchase(100, processor_event_id="evt"),
        a_refund(100, "re_2", processor_event_id="evt"),
        a_refund(100, "re_1", processor_event_id="evt"),
        an_attribution({"a": "1"}),
        an_attribution({"a": "2"}),
    ]
    expected = facts_in_order(facts)

    for order in permutations(facts):
        assert facts_in_order(order) == expected


def test_what_begins_comes_first_and_what_ends_comes_last() -> None:
    begun, upgraded, ended = a_created(), a_subscription(seats=2), an_ended()

    for order in permutations([ended, upgraded, begun]):
        assert list(states_in_order(order, None)) == [begun, upgraded, ended]


def test_what_is_imported_comes_before_what_changes_at_that_moment() -> None:
    imported, upgraded = a_subscription(stage=Stage.IMPORTED), a_subscription(seats=2)

    assert list(states_in_order([upgraded, imported], None)) == [imported, upgraded]


def test_a_change_follows_the_state_that_it_changed() -> None:
    up = a_subscription(seats=5, was=terms())
    down = a_subscription(seats=2, was=terms(seats=5))
    back = a_subscription(was=terms(seats=2))

    for order in permutations([up, down, back]):
        assert list(states_in_order(order, terms())) == [up, down, back]


def test_a_change_follows_also_what_the_ledger_knew_before() -> None:
    away = a_subscription(seats=5, was=terms(seats=2))
    back = a_subscription(seats=2, was=terms(seats=5))

    assert list(states_in_order([away, back], terms(seats=5))) == [back, away]
    assert list(states_in_order([away, back], terms(seats=2))) == [away, back]


def test_without_a_word_of_before_the_further_state_is_the_later() -> None:
    trial, running, repeated = a_subscription(TRIALING), a_subscription(ACTIVE), again(a_subscription(TRIALING))

    assert list(states_in_order([running, repeated, trial], None))[-1] == running


def test_the_processors_own_clock_of_the_object_goes_before_the_events() -> None:
    first = a_subscription(at=after(seconds=5), changed_at=after(seconds=1))
    second = a_subscription(at=after(seconds=4), changed_at=after(seconds=2))

    assert list(states_in_order([second, first], None)) == [first, second]
