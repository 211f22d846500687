"""Completed transactions: amount, reason and lines."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from processors.facts import Discount, Ids, Interval, Line, Membership, Price, Product, Reason
from processors.money import Currency, Money
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO, TEAM
from processors.paddle.simulation.payloads import Plan
from tests.processors.paddle.translating import AT, VISIT, a_transaction, payment, translated

USD = Currency(code="USD", digits=2)
YEARLY = Plan(id="yearly", minor=49000, name="Pro", interval="year")


def test_a_first_payment_names_money_subscription_and_visit() -> None:
    found = payment(a_transaction(custom_data=VISIT))

    assert (found.key, found.at, found.amount) == ("txn_1", AT, Money(minor=4900, currency=USD))
    assert found.ids == Ids(customer_id="ctm_1", subscription_id="sub_1", invoice_id="txn_1", payment_id="txn_1")
    assert (found.reason, found.membership, found.is_total) == (Reason.START, Membership.INVOICE, True)
    assert (found.plan, found.metadata, found.processor_event_id) == ("Pro", VISIT, "evt_1")


def test_the_recurring_line_is_read_without_tax() -> None:
    line = payloads.line(PRO, amount=9800, quantity=2, tax=1960, discount=980)

    found = payment(a_transaction(line, quantity=2))

    assert (found.amount.minor, found.tax) == (10780, 1960)  # 98.00 - 9.80 + 19.60
    assert found.lines == (
        Line(
            price_id="pri_pro",
            product_id="pro_pro",
            name="Pro",
            amount=Decimal(9800),
            discount=Decimal(980),
            quantity=Decimal(2),
            interval=Interval.MONTH,
            tax_rate=Decimal(20),
        ),
    )


def test_credit_is_not_paid() -> None:
    found = payment(a_transaction(payloads.line(TEAM, amount=9900), credit=4900))

    assert found.amount.minor == 5000


def test_a_transaction_that_credit_covers_moves_no_money() -> None:
    assert payment(a_transaction(credit=4900)).amount.minor == 0


@pytest.mark.parametrize(
    ("origin", "subscription", "plan", "reason"),
    [
        ("web", None, EBOOK, Reason.ONE_OFF),
        ("web", "sub_1", PRO, Reason.START),
        ("api", "sub_1", YEARLY, Reason.START),
        ("api", None, EBOOK, Reason.ONE_OFF),
        ("web", "sub_1", EBOOK, Reason.ONE_OFF),
        ("subscription_recurring", "sub_1", PRO, Reason.CYCLE),
        ("subscription_update", "sub_1", TEAM, Reason.CHANGE),
        ("subscription_charge", "sub_1", EBOOK, Reason.ONE_OFF),
        ("subscription_payment_method_change", "sub_1", PRO, Reason.UNKNOWN),
        ("an origin of the future", "sub_1", PRO, Reason.UNKNOWN),
    ],
)
def test_the_origin_says_why_it_was_asked_for(
    origin: str, subscription: str | None, plan: Plan, reason: Reason
) -> None:
    found = payment(a_transaction(plan=plan, origin=origin, subscription=subscription))

    assert found.reason is reason
    assert found.membership is (Membership.NONE if subscription is None else Membership.INVOICE)


def test_a_prorated_line_is_no_measure() -> None:
    line = payloads.line(TEAM, amount=2500, rate="0.5")

    (only,) = payment(a_transaction(line, plan=TEAM, origin="subscription_update")).lines or ()

    assert only.proration


@pytest.mark.parametrize("rate", ["1", "1.0", 1])
def test_a_renewal_states_a_proration_of_one_and_is_a_whole_period(rate: Any) -> None:
    line = {**payloads.line(PRO, amount=4900), "proration": {"rate": rate}}

    (only,) = payment(a_transaction(line, origin="subscription_recurring")).lines or ()

    assert not only.proration


def test_what_a_checkout_bills_for_a_price_with_a_trial_is_the_trial() -> None:
    entity = a_transaction(payloads.line(PRO, amount=100))
    entity["items"][0]["price"]["trial_period"] = {"interval": "day", "frequency": 14}

    found = payment(entity)

    assert (found.amount.minor, found.reason) == (100, Reason.ONE_OFF)
    assert [line.proration for line in found.lines or ()] == [True]


def test_a_renewal_of_a_price_that_once_had_a_trial_is_a_whole_period() -> None:
    entity = a_transaction(origin="subscription_recurring")
    entity["items"][0]["price"]["trial_period"] = {"interval": "day", "frequency": 14}

    found = payment(entity)

    assert found.reason is Reason.CYCLE
    assert [line.proration for line in found.lines or ()] == [False]


def test_negative_totals_move_no_money_and_negative_lines_measure_nothing() -> None:
    taken_back = payloads.line(TEAM, amount=-6600, quantity=-1, rate="0.66")

    found = payment(
        a_transaction(taken_back, payloads.line(PRO, amount=3234, rate="0.66"), origin="subscription_update")
    )

    assert found.amount.minor == 0  # -66.00 + 32.34: the rest is credit on the customer's balance


def test_a_currency_without_decimals_is_counted_whole() -> None:
    yen = Plan(id="jp", minor=5000, name="Pro", currency="JPY")

    found = payment(a_transaction(plan=yen, currency="JPY"))

    assert found.amount == Money(minor=5000, currency=Currency(code="JPY", digits=0))


def test_the_currency_is_the_transactions_whatever_its_prices_say() -> None:
    found = payment(a_transaction(payloads.line(PRO, amount=3900), currency="GBP"))

    assert found.amount == Money(minor=3900, currency=Currency(code="GBP", digits=2))


def test_a_guest_is_a_customer_that_is_stated_as_null() -> None:
    assert payment(a_transaction(customer=None, subscription=None)).ids.guest


def test_a_discount_is_named_by_its_id() -> None:
    assert payment(a_transaction(discount_id="dsc_1")).discounts == (Discount(coupon_id="dsc_1"),)


def test_names_and_prices_are_remembered() -> None:
    known = translated("transaction.completed", a_transaction()).catalog

    assert Product(id="pro_pro", name="Pro") in known
    assert any(isinstance(one, Price) and one.id == "pri_pro" and one.unit_amount == 4900 for one in known)


@pytest.mark.parametrize("key", ["id", "currency_code", "details"])
def test_what_has_no_id_no_currency_or_no_total_gives_a_reason(key: str) -> None:
    entity = a_transaction()
    entity["details"]["totals"].pop("currency_code")
    del entity[key]

    translation = translated("transaction.completed", entity)

    assert translation.facts == ()
    assert translation.reason == "the transaction has no id, no total or no currency"


def test_of_older_payloads_without_a_grand_totals_tax_the_totals_are_read() -> None:
    entity = a_transaction(payloads.line(PRO, amount=4900, tax=980))
    del entity["details"]["totals"]["grand_total_tax"]

    assert payment(entity).tax == 980


@pytest.mark.parametrize("stated", [None, "931"])
def test_of_an_older_tax_only_the_share_that_credit_left_is_paid(stated: str | None) -> None:
    entity = a_transaction(payloads.line(PRO, amount=4900, tax=931), credit=3000)
    entity["details"]["totals"]["grand_total_tax"] = stated

    found = payment(entity)

    assert (found.amount.minor, found.tax) == (2831, 452)  # 9.31 x 28.31 / 58.31


def test_the_grand_totals_own_tax_is_taken_as_stated() -> None:
    entity = a_transaction(payloads.line(PRO, amount=4900, tax=931), credit=3000)
    entity["details"]["totals"]["grand_total_tax"] = "451"

    assert payment(entity).tax == 451


def test_what_is_taken_back_of_a_whole_period_is_no_measure() -> None:
    taken_back = payloads.line(PRO, amount=-4900, quantity=-1, rate="1")

    found = payment(a_transaction(payloads.line(TEAM, amount=9900, rate="1"), taken_back, plans=[(TEAM, 1), (PRO, 1)]))

    assert [(line.amount, line.proration) for line in found.lines or ()] == [(9900, False), (-4900, True)]
