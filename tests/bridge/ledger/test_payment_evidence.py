"""What a payment proves about its subscription: a start, the end of a trial, an amount of MRR."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.ledger import Policy
from processors.facts import Reason, Status
from tests.bridge.ledger.harness import Ledger, balance, catalog_of, rows, settled
from tests.builders import (
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

INCOMPLETE, TRIALING = Status.INCOMPLETE, Status.TRIALING


def test_a_paid_first_invoice_starts_what_its_state_still_calls_incomplete() -> None:
    timeline = [a_created(INCOMPLETE), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3))]

    ledger = settled(timeline, [a_subscription(was=terms(INCOMPLETE), at=after(seconds=3))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_a_straggling_state_from_before_the_first_payment_takes_nothing_back() -> None:
    straggler = a_subscription(INCOMPLETE, was=terms(INCOMPLETE, cancels_at=after(days=1)), at=after(seconds=1))

    ledger = settled(
        [a_created(INCOMPLETE), *a_paid_invoice(4900, reason=Reason.START, at=after(seconds=3))],
        [straggler],
        [a_subscription(was=terms(INCOMPLETE), at=after(seconds=3))],
    )

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]


def test_a_start_reported_by_its_payment_is_not_taken_back_by_a_late_creation() -> None:
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


def test_an_estimate_that_was_never_reported_is_corrected_silently() -> None:
    taxed = an_item(price=a_price(14000, tax_inclusive=True))
    old = a_subscription(now=terms(items=(taxed,)))
    renewal = an_invoice(14000, "in_2", Reason.CYCLE, lines=(a_line(11667, price_id="price_14000"),), at=after(days=20))

    ledger = settled([old], [renewal], [an_ended(was=old.now, at=after(days=40))])

    assert rows(ledger.events) == ["renewal 140.00 0", "churn 0.00 -116.67"]
    assert balance(ledger) == (0, 0)


@pytest.mark.parametrize("seconds", [-20, 20])
def test_a_bill_corrects_an_estimate_before_the_end_that_follows_it_even_if_both_arrive_together(seconds: int) -> None:
    taxed = an_item(price=a_price(14000, tax_inclusive=True))
    begun, at = a_created(now=terms(items=(taxed,))), after(days=20)
    bill = an_invoice(14000, "in_2", Reason.CYCLE, lines=(a_line(11667, price_id="price_14000"),), at=at)
    end = an_ended(was=begun.now, at=at + timedelta(seconds=seconds))

    together = settled([begun], [end, bill])
    apart = settled([begun], *([bill], [end]) if seconds > 0 else ([end], [bill]))

    assert together.events == apart.events
    corrected = ["downgrade 0.00 -23.33", "renewal 140.00 0", "churn 0.00 -116.67"]
    assert rows(together.events)[1:] == (corrected if seconds > 0 else ["churn 0.00 -140.00", "renewal 140.00 0"])
    assert balance(together) == (0, 0)


def test_the_first_of_two_bills_corrects_an_estimate_at_its_time_even_if_both_arrive_together() -> None:
    taxed = an_item(price=a_price(14000, tax_inclusive=True))
    begun = a_created(now=terms(items=(taxed,)))
    first, second = (
        an_invoice(14000, invoice_id, Reason.CYCLE, lines=(a_line(11667, price_id="price_14000"),), at=at)
        for invoice_id, at in (("in_2", after(days=20)), ("in_3", after(days=20, seconds=20)))
    )

    assert settled([begun], [second, first]).events == settled([begun], [first], [second]).events


def test_a_start_is_reported_although_its_mrr_was_estimated_as_0() -> None:
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
