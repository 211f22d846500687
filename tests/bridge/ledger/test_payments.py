"""Payments: each counted once, on the invoice that it paid, in every order and in any windows."""

from __future__ import annotations

from itertools import permutations

import pytest

from bridge.ledger import Policy
from bridge.ledger.policy import AmountBasis
from processors.facts import Fact, Membership, Payment, Reason, Status
from processors.values import replace
from tests.bridge.ledger.harness import Ledger, rows, settled
from tests.builders import (
    EUR,
    a_coupon,
    a_created,
    a_discount,
    a_dispute,
    a_link,
    a_paid_invoice,
    a_payment,
    a_purchase,
    a_refund,
    a_reinstatement,
    a_subscription,
    after,
    again,
    an_invoice,
    an_invoice_payment,
    terms,
)

NET = Policy(amount_basis=AmountBasis.NET_OF_TAX)


def total(ledger: Ledger) -> int:
    """The sum of all amounts, in minor units."""
    return int(sum(event.amount for event in ledger.events) * 100)


# ---- Counted once -------------------------------------------------------------------------------------------------


def test_a_charge_its_intent_and_its_session_are_one_payment() -> None:
    timeline = [a_payment(1500, charge_id="ch_1"), a_payment(1500), a_purchase(1500)]

    ledger = settled(timeline)

    assert rows(ledger.events) == ["purchase 15.00 -"]
    assert ledger.events[0].transaction_id == "pi_1"


def test_a_charge_counted_by_itself_is_its_intents_once_that_is_known() -> None:
    by_charge = a_payment(1500, "ch_1")
    by_intent = a_payment(1500, "pi_1", charge_id="ch_1")

    assert total(settled([by_charge, by_intent])) == 1500
    assert total(settled([by_charge], [by_intent])) == 1500
    assert total(settled([by_intent], [by_charge])) == 1500


def test_an_invoice_its_charge_and_the_link_between_them_are_one_payment_in_every_order_and_any_windows() -> None:
    facts = a_paid_invoice(4900)

    for first, second, third in permutations(facts):
        for windows in (
            [[first, second, third]],
            [[first], [second, third]],
            [[first, second], [third]],
            [[first], [second], [third]],
        ):
            assert total(settled(*windows)) == 4900


def test_an_old_invoice_that_names_its_payment_needs_no_link() -> None:
    facts: list[Fact] = [
        a_payment(4900, invoice_id="in_1", membership=Membership.INVOICE),
        an_invoice(4900, payment_id="pi_1"),
    ]

    for order in permutations(facts):
        assert rows(settled(order).events) == ["renewal 49.00 0"]
        assert total(settled(*[[fact] for fact in order])) == 4900


def test_an_invoice_paid_out_of_band_is_money_too() -> None:
    assert rows(settled([an_invoice(4900)]).events) == ["renewal 49.00 0"]


def test_an_invoice_that_states_more_than_its_payments_reports_the_rest() -> None:
    ledger = settled([an_invoice_payment(4000, "in_1", subscription_id="sub_1")], [an_invoice(10000)])

    assert rows(ledger.events) == ["renewal 40.00 0", "renewal 60.00 0"]
    assert [event.transaction_id for event in ledger.events] == ["in_1", "in_1:2"]


def test_an_overpaid_invoice_reports_all_that_was_paid() -> None:
    ledger = settled([an_invoice(10000)], [an_invoice_payment(10000)], [an_invoice_payment(2000, payment_id="pi_2")])

    assert rows(ledger.events) == ["renewal 100.00 0", "renewal 20.00 0"]
    assert ledger.events[1].transaction_id == "pi_2"


def test_a_payment_in_another_currency_than_its_invoice_is_not_lost() -> None:
    ledger = settled([an_invoice(4900), an_invoice_payment(4500, currency=EUR)])

    assert sorted(f"{row} {event.currency}" for row, event in zip(rows(ledger.events), ledger.events, strict=True)) == [
        "renewal 45.00 0 EUR",
        "renewal 49.00 0 USD",
    ]


# ---- A charge that cannot say whether it has an invoice -----------------------------------------------------------


def test_with_nothing_to_join_it_to_a_charge_is_a_purchase() -> None:
    assert rows(settled([a_payment(4900)]).events) == ["purchase 49.00 -"]


def test_a_charge_is_joined_to_its_invoice_by_a_link_alone() -> None:
    timeline = [a_payment(4900), an_invoice(4900), a_link(payment_id="pi_1", invoice_id="in_1")]

    for order in permutations(timeline):
        assert rows(settled(order).events) == ["renewal 49.00 0"]


@pytest.mark.parametrize("minutes", [0, 59])
def test_without_a_link_a_charge_is_matched_to_the_invoice_of_its_amount_and_hour(minutes: int) -> None:
    charge, invoice = a_payment(4900, at=after(minutes=minutes)), an_invoice(4900)

    assert rows(settled([charge, invoice]).events) == ["renewal 49.00 0"]
    assert total(settled([charge], [invoice])) == 4900
    assert total(settled([invoice], [charge])) == 4900


@pytest.mark.parametrize(
    "charge",
    [a_payment(4900, at=after(hours=2)), a_payment(4800), a_payment(4900, currency=EUR), a_purchase(4900)],
    ids=["two hours later", "another amount", "another currency", "says that it has none"],
)
def test_what_does_not_fit_stays_a_purchase(charge: Fact) -> None:
    kinds = [event.event_type for event in settled([charge, an_invoice(4900)]).events]

    assert sorted(kinds) == ["purchase", "renewal"]


def test_two_charges_and_one_invoice_of_an_amount_are_one_renewal_and_one_purchase() -> None:
    ledger = settled([a_payment(4900, "pi_1"), a_payment(4900, "pi_2", at=after(minutes=5)), an_invoice(4900)])

    assert rows(ledger.events) == ["renewal 49.00 0", "purchase 49.00 -"]


def test_a_match_gives_way_to_a_link_that_names_another_invoice() -> None:
    guessed = [a_payment(4900), an_invoice(4900, "in_1")]

    ledger = settled(guessed, [an_invoice(4900, "in_2", at=after(hours=3))], [an_invoice_payment(4900, "in_2", "pi_1")])

    assert rows(ledger.events) == ["renewal 49.00 0", "renewal 49.00 0"]
    assert ledger.state.receivables["in_2"].payments == {"pi_1": 4900}


def test_a_charge_reported_as_a_purchase_before_its_link_arrives_is_not_reported_again() -> None:
    ledger = settled(
        [a_payment(4900)], [a_created(), an_invoice(4900, reason=Reason.START)], [an_invoice_payment(4900)]
    )

    assert rows(ledger.events) == ["purchase 49.00 -", "subscription 0.00 +49.00"]


def test_payments_reported_apart_that_turn_out_to_be_one_are_taken_back() -> None:
    apart = [a_payment(4000, "pi_1"), a_payment(6000, "pi_2")]
    joints = [an_invoice_payment(4000, "in_1", "pi_1"), an_invoice_payment(6000, "in_1", "pi_2")]

    ledger = settled(apart, [an_invoice(10000, at=after(hours=2))], joints)

    assert rows(ledger.events) == ["purchase 40.00 -", "purchase 60.00 -", "renewal 100.00 0", "refund -100.00 0"]
    assert ledger.events[3].metadata["reason"] == "correction"
    assert total(ledger) == 10000


@pytest.mark.parametrize("minutes", [(-2 * 24 * 60, 0), (-50, -10), (0, 30)])
def test_payments_that_name_no_invoice_paid_the_one_whose_amount_they_add_up_to(minutes: tuple[int, int]) -> None:
    first, second = (after(minutes=when) for when in minutes)
    timeline = [a_payment(3000, "pi_1", at=first), a_payment(1900, "pi_2", at=second), an_invoice(4900)]

    for order in permutations(timeline):
        for windows in ([order], [[one] for one in order], [order[:1], order[1:]], [order[:2], order[2:]]):
            ledger = settled(*windows)

            assert total(ledger) == 4900  # 30.00 + 19.00, and not 98.00
            assert ledger.state.receivables["in_1"].payments == {"pi_1": 3000, "pi_2": 1900}


@pytest.mark.parametrize(
    "others",
    [
        [a_payment(3000, "pi_1"), a_payment(2000, "pi_2")],  # another sum
        [a_payment(3000, "pi_1", at=after(days=-2)), a_payment(1900, "pi_2", at=after(days=-1))],  # none at its time
        [a_payment(3000, "pi_1", at=after(days=-70)), a_payment(1900, "pi_2")],  # too long ago
        [a_payment(3000, "pi_1", currency=EUR), a_payment(1900, "pi_2")],
    ],
)
def test_payments_that_do_not_add_up_to_an_invoice_are_purchases(others: list[Payment]) -> None:
    ledger = settled([*others, an_invoice(4900)])

    assert {"pi_1", "pi_2"} <= set(ledger.state.receivables)


def test_of_several_sets_that_add_up_the_fewest_and_latest_payments_paid_the_invoice() -> None:
    parts = [(1000, "pi_a", -9), (3900, "pi_b", -8), (1000, "pi_c", -7), (2900, "pi_d", -6), (3900, "pi_e", 0)]
    timeline = [a_payment(minor, key, at=after(days=days)) for minor, key, days in parts]

    ledger = settled([*timeline, an_invoice(4900)])

    assert ledger.state.receivables["in_1"].payments == {"pi_c": 1000, "pi_e": 3900}


def test_what_was_taken_back_is_not_taken_back_again() -> None:
    apart = [a_payment(4000, "pi_1"), an_invoice(10000)]
    link = [an_invoice_payment(4000, "in_1", "pi_1")]

    ledger = settled(apart, link, link, list(map(again, [*apart, *link])))

    assert total(ledger) == 10000
    assert len({event.output_key for event in ledger.events}) == len(ledger.events)


# ---- The movement that it pays for --------------------------------------------------------------------------------


def test_a_movement_goes_with_one_payment_at_most() -> None:
    timeline = [
        a_created(),
        *a_paid_invoice(4900, 1, Reason.START),
        *a_paid_invoice(4900, 2, Reason.START, at=after(seconds=9)),
    ]

    assert rows(settled(timeline).events) == ["subscription 49.00 +49.00", "renewal 49.00 0"]


def test_a_start_goes_with_the_payment_that_was_asked_for_it() -> None:
    timeline = [
        a_created(),
        *a_paid_invoice(700, 1, Reason.CYCLE),
        *a_paid_invoice(4900, 2, Reason.START, at=after(days=3)),
    ]

    assert rows(settled(timeline).events) == ["subscription 49.00 +49.00", "renewal 7.00 0"]


def test_a_payment_carries_no_movement_of_another_subscription() -> None:
    timeline = [a_created(), *a_paid_invoice(900, reason=Reason.START, subscription_id="sub_2")]

    assert rows(settled(timeline).events) == ["subscription 0.00 +49.00", "renewal 9.00 0"]


def test_a_start_that_is_billed_nothing_leaves_the_next_bill_to_the_change_it_is_for() -> None:
    free: list[Fact] = [a_created(), an_invoice(0, "in_1", Reason.START, at=after(seconds=3))]
    change = a_paid_invoice(3300, 2, Reason.CHANGE, at=after(seconds=20))

    assert rows(settled([*free, *change]).events) == rows(settled(free, change).events)
    assert rows(settled([*free, *change]).events) == ["subscription 0.00 +49.00", "renewal 33.00 0"]


def test_a_change_is_not_paid_by_the_bill_before_it() -> None:
    begun_anew = a_paid_invoice(4900, 2, Reason.CHANGE, at=after(days=9))
    seats = a_subscription(seats=3, was=terms(), at=after(days=9, seconds=10))
    seats = replace(seats, ids=replace(seats.ids, invoice_id="in_2"))

    assert rows(settled([a_created()], [*begun_anew, seats]).events[1:]) == ["renewal 49.00 0", "upgrade 0.00 +98.00"]


def test_a_free_subscription_that_begins_to_cost_is_paid_by_the_bill_that_it_names_only() -> None:
    free = a_created(minor=0)
    costs = a_subscription(was=terms(minor=0), at=after(days=9))
    costs = replace(costs, ids=replace(costs.ids, invoice_id="in_1"))
    addon = a_paid_invoice(1200, 2, at=after(days=9, seconds=13))

    assert rows(settled([free], [costs, *addon]).events) == ["subscription 0.00 +49.00", "renewal 12.00 0"]


def test_a_return_is_paid_by_the_bill_it_names_unless_that_was_paid_before() -> None:
    gone: list[Fact] = [a_created(), a_subscription(Status.UNPAID, was=terms(), at=after(days=3))]
    back = a_subscription(was=terms(Status.UNPAID), at=after(days=9))
    back = replace(back, ids=replace(back.ids, invoice_id="in_2"))

    def returned(**paid: int) -> list[str]:
        bill = a_paid_invoice(4900, 2, at=after(days=9, **paid))
        return rows(settled([gone[0]], [gone[1]], [back, *bill]).events[2:])

    assert returned(seconds=-2) == returned(seconds=9) == ["subscription 49.00 +49.00"]
    assert returned(seconds=-10) == ["renewal 49.00 0", "subscription 0.00 +49.00"]
    named_now = replace(back, previous_invoice_id="in_1")  # so the return was billed by it
    bill = a_paid_invoice(4900, 2, at=after(days=9, seconds=-10))
    assert rows(settled([gone[0]], [gone[1]], [named_now, *bill]).events[2:]) == ["subscription 49.00 +49.00"]


# ---- Its event ----------------------------------------------------------------------------------------------------


def test_a_purchase_is_reported_with_what_was_bought_and_with_its_coupon() -> None:
    bought = an_invoice(
        900,
        reason=Reason.ONE_OFF,
        subscription_id=None,
        plan="Lifetime",
        discounts=(a_discount(a_coupon(10, name="TEN")),),
    )

    (event,) = settled([bought]).events

    assert (event.metadata["plan"], event.metadata["coupon"]) == ("Lifetime", "TEN")


def test_a_payment_without_a_customer_is_a_guests() -> None:
    (event,) = settled([a_purchase(1500, customer_id=None)]).events

    assert event.customer_id == "guest:pi_1"


# ---- Net of tax ---------------------------------------------------------------------------------------------------


def test_net_of_tax_reports_what_is_left_without_it() -> None:
    ledger = settled([an_invoice(11900, tax=1900)], policy=NET)

    assert rows(ledger.events) == ["renewal 100.00 0"]


def test_net_of_tax_a_tax_that_becomes_known_later_is_taken_back() -> None:
    ledger = settled([a_payment(11900)], [an_invoice(11900, tax=1900)], policy=NET)

    assert rows(ledger.events) == ["purchase 119.00 -", "refund -19.00 0"]


def test_net_of_tax_refunds_in_parts_add_up_to_what_was_reported() -> None:
    parts = [a_refund(minor, f"re_{minor}", at=after(days=1, seconds=minor)) for minor in (3333, 3334, 5233)]

    ledger = settled([an_invoice(11900, tax=1900, payment_id="pi_1")], parts[:1], parts[1:2], parts[2:], policy=NET)

    # 11900 gross is 10000 net: 3333 -> 28.01, 6667 -> 56.03 so far, 11900 -> 100.00 so far
    assert rows(ledger.events) == ["renewal 100.00 0", "refund -28.01 0", "refund -28.02 0", "refund -43.97 0"]
    assert total(ledger) == 0


def test_net_of_tax_a_tax_that_becomes_known_after_the_refund_changes_both() -> None:
    ledger = settled(
        [a_payment(11900)], [a_refund(11900)], [an_invoice(11900, tax=1900, payment_id="pi_1")], policy=NET
    )

    assert rows(ledger.events) == ["purchase 119.00 -", "refund -119.00 0"]


def test_net_of_tax_a_reversal_after_the_tax_became_known_is_net() -> None:
    ledger = settled(
        [a_payment(11900)],
        [a_dispute(11900)],
        [an_invoice(11900, tax=1900, payment_id="pi_1")],
        [a_reinstatement(11900)],
        policy=NET,
    )

    assert rows(ledger.events) == ["purchase 119.00 -", "refund -119.00 0", "purchase 100.00 0"]
