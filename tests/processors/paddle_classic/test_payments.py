"""Alerts of payments, refunds and disputes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from processors.facts import (
    Discount,
    Ids,
    Interval,
    Line,
    Membership,
    Payment,
    Product,
    Reason,
    RefundKind,
    RefundStatus,
    Stage,
    Status,
    SubscriptionState,
)
from processors.money import Currency, Money
from tests.processors.paddle_classic.translating import AT, PAID, REFUNDED, payment, refund, translated

USD = Currency(code="USD", digits=2)
ORDER = Ids(customer_id="4", subscription_id="7", invoice_id="order:55", payment_id="order:55", charge_id="payment:9")
BOUGHT = {"order_id": "56", "sale_gross": "29.00", "payment_tax": "0", "product_name": "E-book"}
NOBODY = {"user_id": "", "subscription_id": "", "subscription_plan_id": ""}


def test_a_first_payment_names_money_tax_and_subscription() -> None:
    found = payment(PAID)

    assert (found.key, found.ids, found.at) == ("order:55", ORDER, AT)
    assert (found.amount, found.tax) == (Money(minor=5831, currency=USD), 931)
    assert (found.reason, found.membership, found.is_total) == (Reason.START, Membership.INVOICE, True)
    assert (found.plan, found.discounts, found.processor_event_id) == ("Pro", (), "7001")
    assert found.metadata == {"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"}


@pytest.mark.parametrize(("word", "stage"), [("1", Stage.CREATED), ("0", Stage.CHANGED)])
def test_a_payment_states_the_status_of_its_subscription_and_the_name_of_its_plan(word: str, stage: Stage) -> None:
    translation = translated("subscription_payment_succeeded", {**PAID, "initial_payment": word})

    state, _ = translation.facts
    assert isinstance(state, SubscriptionState)
    assert (state.stage, state.now.status, state.ids.subscription_id) == (stage, Status.ACTIVE, "7")
    assert translation.catalog == (Product(id="12345", name="Pro"),)


def test_its_line_is_net_of_tax() -> None:
    line = Line(price_id="12345", name="Pro", amount=Decimal(4900), interval=Interval.MONTH)

    assert payment(PAID).lines == (line,)  # 58.31 - 9.31
    assert payment({**PAID, "sale_gross": "49.00", "payment_tax": "0"}).lines == (line,)


def test_a_price_with_tax_inside_is_measured_without_it() -> None:
    (line,) = payment({**PAID, "sale_gross": "49.00", "payment_tax": "7.82"}).lines or ()

    assert line.amount == 4118


@pytest.mark.parametrize("more", [{"sale_gross": "24.50"}, {"unit_price": "unit_price"}, {"quantity": "0"}])
def test_what_is_not_the_plans_price_measures_nothing(more: dict[str, str]) -> None:
    assert payment({**PAID, **more}).lines == ()


@pytest.mark.parametrize("word", ["1", "true", "True"])
def test_the_first_payment_is_recognised_by_several_words(word: str) -> None:
    assert payment({**PAID, "initial_payment": word}).reason is Reason.START


@pytest.mark.parametrize("word", ["0", "false", ""])
def test_any_other_is_of_a_later_period(word: str) -> None:
    assert payment({**PAID, "initial_payment": word}).reason is Reason.CYCLE


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"sale_gross": "33.33", "payment_tax": "0"}, Reason.CHANGE),  # prorated
        ({"sale_gross": "33.33", "payment_tax": "0", "coupon": "TEN"}, Reason.CYCLE),  # a change removes coupons
        ({"unit_price": "unit_price"}, Reason.CYCLE),  # unknown
    ],
)
def test_a_later_payment_of_another_amount_than_the_price_is_of_a_change(more: dict[str, str], reason: Reason) -> None:
    assert payment({**PAID, "initial_payment": "0", **more}).reason is reason


@pytest.mark.parametrize(("days", "reason"), [(31, Reason.CYCLE), (28, Reason.CYCLE), (27, Reason.CHANGE)])
def test_a_later_payment_before_the_period_is_over_is_of_a_change(days: int, reason: Reason) -> None:
    due = (AT + timedelta(days=days)).date().isoformat()
    fields = {**PAID, "initial_payment": "0", "next_bill_date": due}
    translation = translated("subscription_payment_succeeded", fields, {"PADDLE_CLASSIC_PLANS": "12345=month"})

    assert [one.reason for one in translation.facts if isinstance(one, Payment)] == [reason]


def test_a_coupon_is_named() -> None:
    assert payment({**PAID, "coupon": "HALF"}).discounts == (Discount(coupon_id="HALF"),)


def test_a_purchase_without_a_customer_is_a_guests() -> None:
    found = payment(BOUGHT, "payment_succeeded", **NOBODY)

    assert found.ids == Ids(invoice_id="order:56", payment_id="order:56", guest=True)
    assert (found.reason, found.membership, found.lines) == (Reason.ONE_OFF, Membership.NONE, ())
    assert (found.amount.minor, found.plan) == (2900, "E-book")


def test_a_currency_without_decimals_is_counted_whole() -> None:
    found = payment({**PAID, "currency": "JPY", "sale_gross": "5000", "payment_tax": "0"})

    assert found.amount == Money(minor=5000, currency=Currency(code="JPY", digits=0))


def test_a_payment_without_an_order_goes_by_its_own_number() -> None:
    found = payment({**PAID, "order_id": ""})

    assert (found.key, found.ids.payment_id) == ("payment:9", "payment:9")


@pytest.mark.parametrize(
    "more", [{"sale_gross": "much"}, {"currency": ""}, {"order_id": "", "subscription_payment_id": ""}]
)
def test_a_payment_that_names_too_little_gives_a_reason(more: dict[str, str]) -> None:
    translation = translated("subscription_payment_succeeded", {**PAID, **more})

    assert (translation.facts, translation.reason) == ((), "the alert has no order, amount or currency")


# ---- Money that goes back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["subscription_payment_refunded", "payment_refunded"])
def test_each_refund_alert_is_a_refund_of_its_own(name: str) -> None:
    found = refund(REFUNDED, name, refund_reason="not happy")

    assert (found.key, found.transaction_id) == ("refund:7001", "refund:7001")
    assert (found.ids, found.amount.minor) == (ORDER, 2000)
    assert (found.kind, found.status, found.reason) == (RefundKind.REFUND, RefundStatus.SUCCEEDED, "not happy")


def test_a_refund_of_tax_alone_says_so() -> None:
    assert refund({**REFUNDED, "refund_type": "vat"}).reason == "tax_only"


def test_a_dispute_takes_the_money_back() -> None:
    found = refund({"order_id": "55", "amount": "58.31", "status": "open"}, "payment_dispute_created", **NOBODY)

    assert (found.key, found.kind, found.reason) == ("dispute:55", RefundKind.DISPUTE, "dispute")
    assert (found.amount.minor, found.ids) == (5831, Ids(invoice_id="order:55", payment_id="order:55"))


@pytest.mark.parametrize("more", [{"gross_refund": ""}, {"order_id": "", "subscription_payment_id": ""}])
def test_a_refund_that_names_too_little_gives_a_reason(more: dict[str, str]) -> None:
    assert translated("payment_refunded", {**REFUNDED, **more}).reason == ("the alert has no order, amount or currency")
