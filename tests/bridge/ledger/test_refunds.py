"""Refunds, disputes and reversals: each reported once, in every order and in any windows; none moves MRR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import pytest

from bridge.ledger import Policy
from bridge.ledger.policy import AmountBasis, RefundAmount
from processors.facts import Fact, Ids, Membership, Reason, RefundStatus
from tests.bridge.ledger.harness import Ledger, rows, settled
from tests.builders import (
    FAILED,
    PENDING,
    a_created,
    a_dispute,
    a_paid_invoice,
    a_price,
    a_purchase,
    a_refund,
    a_refunded_total,
    a_reinstatement,
    a_subscription,
    after,
    an_invoice,
    an_invoice_payment,
    an_item,
    terms,
)

PAID = a_purchase(10000)
NET = Policy(amount_basis=AmountBasis.NET_OF_TAX)


def windows_of(facts: Sequence[Fact]) -> Iterator[list[list[Fact]]]:
    """The facts in every order, all at once and one by one."""
    for order in permutations(facts):
        yield [list(order)]
        yield [[fact] for fact in order]


def total(ledger: Ledger) -> int:
    """The sum of all amounts, in minor units."""
    return int(sum(event.amount for event in ledger.events) * 100)


# ---- Refunds ------------------------------------------------------------------------------------------------------


def test_a_refund_is_negative_moves_no_mrr_and_names_what_it_refunds() -> None:
    ledger = settled(
        [a_created(), *a_paid_invoice(4900, reason=Reason.START)],
        [a_refund(4900, at=after(days=3), reason="duplicate")],
    )

    event = ledger.events[1]
    assert rows([event]) == ["refund -49.00 0"]
    assert (event.transaction_id, event.subscription_id, event.is_recurring) == ("re_1", "sub_1", True)
    assert event.metadata["refunded_transaction_id"] == "in_1"
    assert event.metadata["reason"] == "duplicate"
    assert event.metadata["plan"] == "Pro"


def test_a_refund_names_the_plan_of_its_payment_whichever_change_arrives_before_it() -> None:
    team = terms(items=(an_item(price=a_price(9900, name="Team")),))
    start = [a_created(), *a_paid_invoice(4900, reason=Reason.START)]
    change, refund = a_subscription(now=team, was=terms(), at=after(days=2)), a_refund(1000, at=after(days=3))

    for windows in ([[change, refund]], [[change], [refund]], [[refund], [change]]):
        plans = {event.event_type: event.metadata["plan"] for event in settled(start, *windows).events}
        assert plans == {"subscription": "Pro", "upgrade": "Team", "refund": "Pro"}


def test_a_refund_may_be_reported_as_a_positive_amount() -> None:
    ledger = settled([PAID], [a_refund(2500)], policy=Policy(refund_amount=RefundAmount.POSITIVE))

    assert rows(ledger.events) == ["purchase 100.00 -", "refund 25.00 0"]


def test_a_refund_counts_when_it_succeeds() -> None:
    pending, succeeded = a_refund(2500, status=PENDING), a_refund(2500, at=after(days=1))

    ledger = settled([PAID], [pending], [succeeded], [pending, succeeded])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -25.00 0"]
    assert ledger.events[1].occurred_at == after(days=1)


def test_a_refund_that_failed_before_it_was_reported_is_no_event() -> None:
    ledger = settled([PAID], [a_refund(2500, status=PENDING)], [a_refund(2500, status=FAILED)])

    assert rows(ledger.events) == ["purchase 100.00 -"]


def test_a_refund_that_was_reported_and_failed_is_compensated() -> None:
    ledger = settled([PAID], [a_refund(2500)], [a_refund(2500, status=FAILED, at=after(days=5))])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -25.00 0", "purchase 25.00 0"]
    assert ledger.events[2].metadata["reversal_of"] == "re_1"
    assert ledger.events[2].transaction_id == "re_1:failed"


def test_a_recurring_refund_that_failed_is_compensated_by_a_renewal() -> None:
    ledger = settled([an_invoice(4900, payment_id="pi_1")], [a_refund(2500)], [a_refund(2500, status=FAILED)])

    assert rows(ledger.events) == ["renewal 49.00 0", "refund -25.00 0", "renewal 25.00 0"]


def test_a_refund_that_has_failed_does_not_succeed_any_more() -> None:
    ledger = settled([PAID], [a_refund(2500, status=FAILED, at=after(days=2))], [a_refund(2500, at=after(days=1))])

    assert rows(ledger.events) == ["purchase 100.00 -"]


def test_each_of_several_refunds_of_a_payment_is_reported() -> None:
    ledger = settled([PAID, a_refund(2500, "re_1", at=after(days=1)), a_refund(1000, "re_2", at=after(days=2))])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -25.00 0", "refund -10.00 0"]


def test_a_refund_before_its_payment_is_reported_all_the_same() -> None:
    timeline = [PAID, a_refund(2500)]

    for windows in windows_of(timeline):
        ledger = settled(*windows)

        assert total(ledger) == 7500
        assert ledger.state.receivables["pi_1"].refunded == 2500


def test_a_refund_by_its_charge_alone_finds_the_payment() -> None:
    ledger = settled([a_purchase(10000, charge_id="ch_1")], [a_refund(2500, ids=Ids(charge_id="ch_1"))])

    assert ledger.events[1].metadata["refunded_transaction_id"] == "pi_1"


def test_a_refund_of_an_unknown_payment_is_reported_alone() -> None:
    (event,) = settled([a_refund(2500, ids=Ids(customer_id="cus_1"))]).events

    assert rows([event]) == ["refund -25.00 0"]
    assert event.customer_id == "cus_1"


def test_a_guests_refund_is_the_same_guests() -> None:
    ledger = settled([a_purchase(1500, customer_id=None)], [a_refund(1500)])

    assert [event.customer_id for event in ledger.events] == ["guest:pi_1", "guest:pi_1"]


def test_a_guests_refund_that_comes_first_is_the_same_guests_too() -> None:
    ledger = settled([a_refund(1500)], [a_purchase(1500, customer_id=None)])

    assert {event.customer_id for event in ledger.events} == {"guest:pi_1"}


# ---- Totals -------------------------------------------------------------------------------------------------------


def test_a_total_alone_is_reported_by_what_it_adds_each_time() -> None:
    ledger = settled([PAID], [a_refunded_total(3000)], [a_refunded_total(5000, at=after(days=1))])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -30.00 0", "refund -20.00 0"]


@pytest.mark.parametrize(
    "facts",
    [
        [a_refund(3000, "re_1"), a_refunded_total(3000)],
        [a_refund(3000, "re_1"), a_refund(2000, "re_2"), a_refunded_total(5000, at=after(days=1))],
        [
            a_refund(3000, "re_1"),
            a_refunded_total(3000),
            a_refund(2000, "re_2"),
            a_refunded_total(5000, at=after(days=1)),
        ],
        [a_refund(3000, "re_1", status=PENDING), a_refunded_total(3000), a_refund(3000, "re_1", at=after(days=1))],
    ],
    ids=["one", "two and one total", "two and two totals", "one that was pending"],
)
def test_totals_and_single_refunds_never_add_up_to_more(facts: list[Fact]) -> None:
    back = sum(refund.amount.minor for refund in {fact.key: fact for fact in facts if not fact.is_total}.values())  # type: ignore[union-attr]

    for windows in windows_of(facts):
        ledger = settled([PAID], *windows)

        assert total(ledger) == 10000 - back
        assert len({event.output_key for event in ledger.events}) == len(ledger.events)


def test_a_total_of_a_refund_that_fails_is_compensated_in_every_order() -> None:
    timeline = [
        a_refund(3000, status=PENDING),
        a_refunded_total(3000, at=after(seconds=1)),
        a_refund(3000, status=FAILED, at=after(days=5)),
    ]

    for windows in windows_of(timeline):
        assert total(settled([PAID], *windows)) == 10000


def test_a_total_knows_nothing_of_disputes() -> None:
    ledger = settled([PAID], [a_dispute(4000)], [a_refunded_total(3000)])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -40.00 0", "refund -30.00 0"]


def test_a_total_of_one_payment_is_not_that_of_another_on_its_invoice() -> None:
    paid = [an_invoice_payment(4000, "in_1", "pi_1"), an_invoice_payment(6000, "in_1", "pi_2"), an_invoice(10000)]

    ledger = settled(paid, [a_refund(1000, of="pi_1")], [a_refunded_total(1000, of="pi_2")])

    assert rows(ledger.events) == ["renewal 100.00 0", "refund -10.00 0", "refund -10.00 0"]


# ---- Disputes and reversals ---------------------------------------------------------------------------------------


def test_a_dispute_from_before_the_bridge_that_is_won_returns_its_money_once() -> None:
    mentioned = {"is_move": False, "is_primary": False}
    facts = [
        a_dispute(5000, processor_event_id="evt_reinstated", **mentioned),
        a_reinstatement(5000, processor_event_id="evt_reinstated"),
        a_dispute(5000, processor_event_id="evt_closed", **mentioned),
        a_reinstatement(5000, processor_event_id="evt_closed", **mentioned),
    ]

    for windows in windows_of(facts):
        assert rows(settled(*windows).events) == ["purchase 50.00 0"]


def test_a_dispute_takes_money_and_its_end_may_bring_it_back() -> None:
    ledger = settled([PAID], [a_dispute(10000)], [a_reinstatement(10000, at=after(days=60))])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -100.00 0", "purchase 100.00 0"]
    assert ledger.events[1].metadata["reason"] == "fraudulent"
    assert ledger.events[2].metadata["reversal_of"] == "dp_1"
    assert [event.transaction_id for event in ledger.events[1:]] == ["dp_1", "dp_1:reinstated"]


def test_a_dispute_may_give_back_a_part_and_later_the_rest() -> None:
    timeline = [a_dispute(10000), a_reinstatement(4000, at=after(days=60)), a_reinstatement(10000, at=after(days=90))]

    for windows in windows_of(timeline):
        ledger = settled([PAID], *windows)

        assert total(ledger) == 10000
        assert len({event.output_key for event in ledger.events}) == len(ledger.events)


def test_money_of_a_renewal_comes_back_as_a_renewal() -> None:
    ledger = settled([an_invoice(4900, payment_id="pi_1")], [a_dispute(4900)], [a_reinstatement(4900)])

    assert rows(ledger.events) == ["renewal 49.00 0", "refund -49.00 0", "renewal 49.00 0"]


def test_a_reversal_that_comes_before_what_it_reverses_counts_as_well() -> None:
    for windows in windows_of([a_dispute(10000), a_reinstatement(10000)]):
        assert total(settled([PAID], *windows)) == 10000


def test_a_reversal_that_is_not_certain_yet_is_nothing() -> None:
    ledger = settled([PAID], [a_dispute(10000)], [a_reinstatement(10000, status=RefundStatus.PENDING)])

    assert rows(ledger.events) == ["purchase 100.00 -", "refund -100.00 0"]


def test_a_refund_never_moves_mrr() -> None:
    timeline = [
        a_created(),
        *a_paid_invoice(4900, reason=Reason.START),
        a_refund(4900),
        a_dispute(4900),
        a_reinstatement(4900),
    ]

    ledger = settled(timeline)

    assert sum(event.mrr_impact or 0 for event in ledger.events) == 49
    assert ledger.state.subscriptions["sub_1"].reported_mrr == 4900


# ---- The released part of an authorisation -------------------------------------------------------------------------


def test_a_refund_of_the_released_amount_is_no_refund_and_every_other_is() -> None:
    captured = a_purchase(3000, released=2000)
    timeline = [captured, a_refund(2000, "re_released"), a_refund(500, "re_2"), a_refund(2000, "re_3")]

    for windows in windows_of(timeline):
        ledger = settled(*windows)

        assert total(ledger) == 500  # 30.00 - 5.00 - 20.00; the released 20.00 had never been paid
        assert len({event.output_key for event in ledger.events}) == len(ledger.events)


def test_a_dispute_of_the_released_amount_is_a_dispute() -> None:
    assert total(settled([a_purchase(3000, released=2000), a_dispute(2000)])) == 1000


def test_a_released_amount_is_taken_out_of_a_total() -> None:
    timeline = [a_purchase(3000, released=2000), a_refunded_total(2500, released=2000), a_refund(500, "re_2")]

    for windows in windows_of(timeline):
        assert total(settled(*windows)) == 2500


def test_a_capture_that_was_not_counted_as_refunded_outweighs_a_later_total() -> None:
    capture = a_purchase(3000, released=0)

    assert total(settled([capture, a_refunded_total(2500, released=2000)])) == 500
    assert total(settled([capture], [a_refunded_total(2500, released=2000)])) == 500


def test_a_released_amount_moves_with_its_payment_to_the_invoice() -> None:
    payment = a_purchase(3000, released=2000, membership=Membership.UNKNOWN)
    invoice, link = an_invoice(3000), an_invoice_payment(3000, "in_1", "pi_1")

    ledger = settled([payment], [link, invoice], [a_refund(2000, "re_released")])

    assert total(ledger) == 3000


def test_the_note_on_a_release_says_that_no_money_had_moved() -> None:
    release = a_refund(2000, "re_released")

    ledger = settled([a_purchase(3000, released=2000), release])

    assert ledger.last.notes[release.processor_event_id] == (
        "re_released: the released part of an authorisation: no money had moved",
    )


# ---- Disputes that are withdrawn again -----------------------------------------------------------------------------


def test_each_further_withdrawal_has_ids_of_its_own() -> None:
    timeline = [
        a_dispute(5000, at=after(days=1)),
        a_reinstatement(5000, at=after(days=20)),
        a_dispute(10000, at=after(days=40)),
        a_reinstatement(8000, at=after(days=60)),
    ]

    ledger = settled([PAID, *timeline])

    assert rows(ledger.events)[1:] == ["refund -50.00 0", "purchase 50.00 0", "refund -50.00 0", "purchase 30.00 0"]
    assert [event.transaction_id for event in ledger.events[1:]] == [
        "dp_1",
        "dp_1:reinstated",
        "dp_1:withdrawn:10000",
        "dp_1:reinstated:8000",
    ]
    for windows in windows_of(timeline):
        assert total(settled([PAID], *windows)) == 8000  # 100 - 100 + 80


def test_without_tax_a_dispute_keeps_its_ids() -> None:
    paid = an_invoice(11900, tax=1900, payment_id="pi_1")

    ledger = settled([paid], [a_dispute(11900)], [a_reinstatement(11900)], policy=NET)

    assert [event.transaction_id for event in ledger.events[1:]] == ["dp_1", "dp_1:reinstated"]
