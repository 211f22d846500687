"""What waiting webhooks still lack, in words: one test for each thing that may be missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.ledger import Policy, settle
from processors.facts import (
    Attribution,
    Fact,
    Payment,
    Refund,
    RefundStatus,
    Status,
    SubscriptionState,
)
from processors.money import Money
from processors.paddle.simulation.customer import STARTER as PADDLE_STARTER
from processors.paddle.simulation.customer import TEAM as PADDLE_TEAM
from processors.paddle.simulation.customer import Customer as PaddleCustomer
from processors.stripe.simulation.customer import TEAM, Customer
from processors.values import replace
from tests.bridge.ledger.waiting_facts import (
    START,
    USD,
    billed_nothing,
    changes_after_signup,
    facts_of,
    lacks,
    paddle_facts,
    settled,
    signup,
)
from tests.bridge.worker.virtual_worker import kind


def test_a_whole_signup_lacks_nothing() -> None:
    assert lacks(signup()) is None


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ("charge.succeeded", "the charge of in_ada_3"),
        ("invoice.paid", "the invoice in_ada_3 as paid"),
        ("invoice_payment.paid", "whether pi_ada_5 belongs to in_ada_3"),
        ("customer.subscription.created", "the state of sub_ada_1"),
    ],
)
def test_a_signup_without_one_of_its_webhooks_lacks_that(left_out: str, expected: str) -> None:
    # The two webhooks of a paid invoice are one: without the first, the second does not replace it.
    assert (lacks(signup(left_out)) or "").startswith(expected)


def test_webhooks_that_arrive_late_show_that_others_may_be_late_too() -> None:
    assert lacks(signup(), delay=timedelta(seconds=61)) == "webhooks that may be as late as evt_ada_2"


def test_a_cancellation_that_continues_the_known_state_lacks_nothing() -> None:
    customer = Customer.begin("ada", START).subscribe().later(days=3)
    end = facts_of(*customer.cancel().webhooks[len(customer.webhooks) :])

    assert lacks(end, settled(signup())) is None
    assert lacks(end) == "the creation of sub_ada_1"


def test_a_cancellation_with_other_terms_lacks_the_change_between() -> None:
    customer = Customer.begin("ada", START).subscribe().later(days=3).change(TEAM)
    end = facts_of(*customer.later(days=1).cancel().webhooks[len(customer.webhooks) :])

    assert lacks(end, settled(signup())) == "the change of sub_ada_1 before this one"


def test_a_change_that_names_no_new_invoice_lacks_nothing() -> None:
    change = changes_after_signup(lambda ada: ada.change(TEAM))

    assert lacks(change, settled(signup())) is None


def test_a_change_that_names_a_new_invoice_lacks_its_outcome() -> None:
    change = changes_after_signup(lambda ada: ada.change(TEAM, billed=True))

    assert lacks(change, settled(signup())) is None
    # Signing up took nine webhooks; the invoice is the second thing after them.
    assert lacks(change[:1], settled(signup())) == "the outcome of in_ada_12, which sub_ada_1 names"


def test_a_change_that_names_no_invoice_at_all_lacks_its_payment() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    unnamed = replace(change, ids=replace(change.ids, invoice_id=None))

    assert lacks([unnamed], settled(signup())) == "a payment of the change of sub_ada_1"


def test_the_payment_of_a_paddle_change_shows_that_it_is_the_only_one() -> None:
    customer = PaddleCustomer.begin("ada", START).subscribe()
    changed = customer.later(days=10).change(PADDLE_TEAM, billed=3300)
    before = settled(paddle_facts(*customer.webhooks))
    change = paddle_facts(*changed.webhooks[len(customer.webhooks) :])
    state: list[Fact] = [fact for fact in change if isinstance(fact, SubscriptionState)]

    assert lacks(change, before) is None
    assert lacks(state, before) == "the change of sub_ada_1 before this one"


def test_a_refund_lacks_its_payment_unless_that_is_known() -> None:
    customer = Customer.begin("ada", START).subscribe().later(days=3)
    refund = facts_of(*customer.refund(2000).webhooks[len(customer.webhooks) :])

    assert lacks(refund, settled(signup())) is None
    assert (lacks(refund) or "").startswith("the payment that re_")


def after_signup(*steps: Callable[[Customer], Customer]) -> list[Fact]:
    """The facts of what happens a month after a signup."""
    customer = Customer.begin("ada", START).subscribe().later(days=30)
    changed = customer
    for step in steps:
        changed = step(changed)
    return facts_of(*changed.webhooks[len(customer.webhooks) :])


def test_a_dispute_lacks_the_webhook_that_says_that_its_money_was_withdrawn() -> None:
    dispute = after_signup(lambda ada: ada.dispute())
    (withdrawal,) = [fact for fact in dispute if isinstance(fact, Refund)]
    opening = replace(withdrawal, is_primary=False)  # charge.dispute.created of a returned debit

    assert lacks(dispute, settled(signup())) is None
    assert lacks([opening], settled(signup())) == f"the webhook that names the cause of {withdrawal.key}"
    assert (lacks(dispute) or "").startswith(f"the payment that {withdrawal.key} refunds")


def test_money_that_is_reinstated_lacks_its_dispute_unless_that_is_known() -> None:
    dispute = after_signup(lambda ada: ada.dispute())
    end = after_signup(lambda ada: ada.dispute(), lambda ada: ada.later(days=30).reinstate())[len(dispute) :]
    known = settle(settled(signup()), dispute, Policy()).state

    assert lacks(end, known) is None
    assert (lacks(end, settled(signup())) or "").startswith("the dispute that dp_")


def test_a_refund_that_fails_lacks_its_creation_unless_that_is_known() -> None:
    refund = after_signup(lambda ada: ada.refund(2000))
    made = [fact for fact in refund if isinstance(fact, Refund) and not fact.is_total]
    failed: list[Fact] = [replace(made[0], status=RefundStatus.FAILED)]
    known = settle(settled(signup()), refund, Policy()).state

    assert lacks(failed, known) is None
    # Something to report is needed, or nothing is asked of the refund: a further refund of 1.00.
    other = replace(made[0], key="re_other", transaction_id="re_other", amount=Money(minor=100, currency=USD))
    assert lacks([*failed, other], settled(signup())) == f"the refund {made[0].key} as made"


def test_the_refund_of_a_purchase_awaits_no_invoice_of_it_an_hour_later() -> None:
    customer = Customer.begin("ada", START).buy(2900)
    bare = facts_of(*(body for body in customer.webhooks if kind(body) != "checkout.session.completed"))
    soon, late = (customer.later(minutes=minutes).refund() for minutes in (30, 61))
    count = len(customer.webhooks)

    assert (lacks(facts_of(*soon.webhooks[count:]), settled(bare)) or "").startswith("the payment that re_")
    # Without its checkout it has no visit: that is what is left.
    assert (lacks(facts_of(*late.webhooks[count:]), settled(bare)) or "").startswith("the visit of re_")


def test_a_start_whose_first_invoice_is_0_lacks_no_payment() -> None:
    free = billed_nothing()

    assert lacks(free) is None
    assert lacks([fact for fact in free if not isinstance(fact, Payment)]) == "the first payment of sub_ada_1"


def test_a_subscription_that_is_back_without_a_new_invoice_lacks_no_payment() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    assert change.before is not None
    unpaid = replace(change.before, status=Status.UNPAID)
    gone = replace(change, now=unpaid)
    known = settle(settled(signup()), [gone], Policy()).state
    back = replace(change, at=change.at + timedelta(days=1), before=unpaid, now=change.before)

    assert lacks([back], known) is None
    # A return that does not state the terms before it is reported by another webhook as well.
    assert lacks([replace(back, before=None)], known) == "the first payment of sub_ada_1"


def test_two_changes_that_begin_with_the_same_terms_lack_the_way_back_between_them() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    assert change.before is not None
    paused = replace(change.before, status=Status.PAUSED)
    pause = replace(change, at=change.at - timedelta(seconds=20), now=paused, processor_event_id="evt_pause")
    back = replace(
        change, at=change.at - timedelta(seconds=10), before=paused, now=change.before, processor_event_id="evt_back"
    )
    known = settled(signup())

    assert lacks([change, pause], known) == "the change of sub_ada_1 before this one"
    assert lacks([change, pause, back], known) is None


def test_a_pause_lacks_the_end_that_may_follow() -> None:
    (change,) = changes_after_signup(lambda ada: ada.become("paused"))
    end = changes_after_signup(lambda ada: ada.become("paused").later(seconds=10).cancel())

    assert lacks([change], settled(signup())) == "an end of sub_ada_1 that may follow at once"
    assert lacks(end, settled(signup())) is None


def test_an_end_after_a_failed_payment_lacks_the_last_failure() -> None:
    failed, unpaid, end = changes_after_signup(
        lambda ada: ada.become("past_due").later(days=9).become("unpaid").later(seconds=10).cancel()
    )
    known = settle(settled(signup()), [failed], Policy()).state

    assert lacks([end], known) == "whether sub_ada_1 was unpaid before its end"
    assert lacks([unpaid, end], known) is None
    assert lacks([unpaid], known) is None


def test_an_end_that_was_scheduled_lacks_the_webhook_of_that() -> None:
    (_, end) = changes_after_signup(lambda ada: ada.cancel(at_period_end=True).later(seconds=10).cancel())

    assert lacks([end], settled(signup())) == "the change of sub_ada_1 before this one"


def test_the_bill_of_a_change_lacks_the_change_that_names_it_and_not_another() -> None:
    change, *bill = changes_after_signup(lambda ada: ada.change(TEAM, billed=True))
    known = settled(signup())
    named = replace(change, ids=replace(change.ids, invoice_id="in_ada_3"))

    assert lacks([change, *bill], known) is None
    assert lacks([named, *bill], known) == "the change of sub_ada_1 that in_ada_12 bills"
    incomplete = replace(change.before or change.now, status=Status.INCOMPLETE)
    started = replace(change, before=incomplete, ids=replace(change.ids, invoice_id=None))
    assert lacks([started, *bill], known) == "the change of sub_ada_1 that in_ada_12 bills"


def test_a_return_without_the_terms_before_it_lacks_the_webhook_that_has_them_whatever_else_changes() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    assert change.before is not None
    paused = replace(change.before, status=Status.PAUSED)
    at = change.at - timedelta(seconds=10)
    known = settle(settled(signup()), [replace(change, at=change.at - timedelta(days=1), now=paused)], Policy()).state
    back = replace(change, at=at, before=paused, now=change.before, processor_event_id="evt_back")
    resumed = replace(back, before=None, is_primary=False, processor_event_id="evt_resumed")

    assert lacks([resumed, change], known) == "the other webhook for the change of sub_ada_1"
    assert lacks([resumed, back, change], known) is None


def test_a_first_payment_lacks_its_checkout_if_only_the_subscription_names_the_visit() -> None:
    facts: list[Fact] = [
        replace(fact, subscription_metadata={}) if isinstance(fact, Payment) else fact
        for fact in signup()
        if not isinstance(fact, Attribution)
    ]
    unseen = [replace(fact, metadata={}) if isinstance(fact, SubscriptionState) else fact for fact in facts]

    assert lacks(facts) == "the checkout of in_ada_3"
    assert lacks(unseen) == "the visit of in_ada_3"


def test_a_change_seconds_after_the_signup_lacks_the_checkout_of_the_signup() -> None:
    signed_up = signup("checkout.session.completed")
    change = changes_after_signup(lambda ada: ada.change(TEAM))

    assert lacks(signed_up) is None
    assert lacks([*signed_up, *change]) == "the checkout of sub_ada_1:upgrade:2"


def test_a_purchase_lacks_the_visit_of_its_checkout() -> None:
    bodies = Customer.begin("ada", START).buy(2900).webhooks

    assert lacks(facts_of(*bodies)) is None
    assert lacks(facts_of(*bodies[:-1])) == "whether pi_ada_1 belongs to an invoice, and to which"


def test_a_change_of_paddle_is_shown_to_be_the_only_one_by_a_bill_that_credits_the_terms_before_it() -> None:
    begun = PaddleCustomer.begin("ada", START).subscribe()
    between = begun.later(days=9).change(PADDLE_TEAM, billed=3300)
    changed = between.later(seconds=20).change(PADDLE_STARTER, billed=777)
    facts = paddle_facts(*changed.webhooks[len(between.webhooks) :])

    assert lacks(facts, settled(paddle_facts(*between.webhooks))) is None
    before_both = settled(paddle_facts(*begun.webhooks))  # the bill credits Team, not Pro
    assert lacks(facts, before_both) == "the change of sub_ada_1 before this one"


def test_a_bill_of_paddle_lacks_its_change_if_only_another_change_with_its_bill_is_there() -> None:
    begun = PaddleCustomer.begin("ada", START).subscribe()
    first = begun.later(days=9).change(PADDLE_TEAM, billed=3300)
    second = first.later(seconds=20).change(PADDLE_STARTER, billed=777)
    known = settled(paddle_facts(*begun.webhooks))
    facts = paddle_facts(*second.webhooks[len(begun.webhooks) :])
    late = next(fact for fact in reversed(facts) if isinstance(fact, SubscriptionState))

    bill = second.paid[-2][0]
    assert lacks([fact for fact in facts if fact is not late], known) == f"the change of sub_ada_1 that {bill} bills"
    assert lacks(facts, known) == "the change of sub_ada_1 before this one"  # that of a third, before the second


def test_a_reversed_chargeback_of_paddle_lacks_the_webhook_of_its_creation() -> None:
    bought = PaddleCustomer.begin("ada", START).buy()
    taken = bought.later(days=9).adjusted("chargeback")
    reversed_ = taken.later(seconds=20).adjusted("chargeback_reverse")
    known = settled(paddle_facts(*bought.webhooks))
    (created,) = paddle_facts(*taken.webhooks[len(bought.webhooks) :])
    facts = paddle_facts(*reversed_.webhooks[len(taken.webhooks) :])

    assert lacks(facts, known) == f"the webhook that names the cause of {created.key}"
    assert lacks([created, *facts], known) is None
