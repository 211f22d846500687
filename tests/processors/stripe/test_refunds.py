"""Refunds and disputes: each once, by its status, in old and current formats."""

from __future__ import annotations

from typing import Any

import pytest

from processors.facts import Ids, Link, Payment, Refund, RefundKind, RefundStatus
from processors.stripe.simulation.payloads import Shape, charge, dispute, refund
from tests.processors.stripe.translating import AT, fact, translated

IDS = Ids(payment_id="pi_1", charge_id="ch_1")


def a_refund(refund_id: str = "re_1", minor: int = 2000, **more: Any) -> dict[str, Any]:
    return refund(refund_id, minor=minor, charge="ch_1", payment_intent="pi_1", **more)


def a_charge(shape: Shape = Shape.OLD, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"minor": 4900, "customer": "cus_1", "created": AT, "payment_intent": "pi_1"}
    return charge("ch_1", **{**usual, "shape": shape, **more})


def a_dispute(**more: Any) -> dict[str, Any]:
    return dispute("dp_1", **{"minor": 4900, "charge": "ch_1", "payment_intent": "pi_1", **more})


def given_back(kind: str, found: dict[str, Any], previous: dict[str, Any] | None = None) -> Refund:
    read = fact(kind, found, previous)
    assert isinstance(read, Refund)
    return read


# ---- Refunds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "charge.refund.updated"])
def test_a_refund_has_the_key_of_its_id(kind: str) -> None:
    found = given_back(kind, a_refund())

    assert (found.key, found.transaction_id, found.amount.minor) == ("re_1", "re_1", 2000)
    assert (found.ids, found.kind, found.reason) == (IDS, RefundKind.REFUND, "requested_by_customer")


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("succeeded", RefundStatus.SUCCEEDED),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
        ("of_the_future", RefundStatus.PENDING),
        (None, RefundStatus.SUCCEEDED),
    ],
)
def test_a_refund_has_the_status_that_it_states(stated: str | None, status: RefundStatus) -> None:
    assert given_back("refund.updated", {**a_refund(), "status": stated}).status is status


def test_a_failed_refund_has_failed_whatever_its_status_says() -> None:
    assert given_back("refund.failed", a_refund(status="succeeded")).status is RefundStatus.FAILED


def test_a_refund_of_a_bare_charge_is_joined_by_the_charge() -> None:
    found = given_back("refund.created", refund("re_1", minor=2000, charge="ch_1"))

    assert found.ids == Ids(payment_id="ch_1", charge_id="ch_1")


def test_the_customer_is_read_where_the_refund_names_it() -> None:
    assert given_back("refund.created", {**a_refund(), "customer": "cus_1"}).ids.customer_id == "cus_1"


@pytest.mark.parametrize("spoilt", [{"id": None}, {"amount": None}, {"currency": "x"}, {"amount": -5}])
def test_a_refund_without_id_amount_or_currency_says_nothing(spoilt: dict[str, Any]) -> None:
    assert translated("refund.created", {**a_refund(), **spoilt}).facts == ()


# ---- charge.refunded ----------------------------------------------------------------------------------------------


def test_an_old_refunded_charge_gives_the_refund_that_is_new() -> None:
    one, two = a_refund("re_1", 1000), a_refund("re_2", 500)
    found = a_charge(amount_refunded=1500, refunds=[two, one], invoice="in_1")

    new = given_back("charge.refunded", found, {"amount_refunded": 1000, "refunds": {"data": [one]}})

    assert (new.key, new.amount.minor, new.is_total) == ("re_2", 500, False)
    assert new.ids == Ids(customer_id="cus_1", invoice_id="in_1", payment_id="pi_1", charge_id="ch_1")


def test_without_old_values_every_listed_refund_is_a_fact() -> None:
    found = a_charge(amount_refunded=1500, refunds=[a_refund("re_2", 500), a_refund("re_1", 1000)])

    facts = translated("charge.refunded", found).facts

    assert [(one.key, one.amount.minor) for one in facts if isinstance(one, Refund)] == [
        ("re_2", 500),
        ("re_1", 1000),
    ]


@pytest.mark.parametrize("shape", [Shape.BASIL, Shape.CLOVER])
def test_a_refunded_charge_without_its_refunds_gives_the_total(shape: Shape) -> None:
    found = given_back("charge.refunded", a_charge(shape, amount_refunded=1500), {"amount_refunded": 1000})

    assert (found.key, found.is_total, found.amount.minor) == ("ch_1:refunded", True, 1500)


def test_a_list_that_was_cut_off_is_completed_by_the_total() -> None:
    found = a_charge(amount_refunded=1500, refunds=[a_refund("re_2", 500)])
    found["refunds"]["has_more"] = True

    single, total = translated("charge.refunded", found).facts

    assert isinstance(single, Refund)
    assert isinstance(total, Refund)
    assert (single.key, total.is_total, total.amount.minor) == ("re_2", True, 1500)


def test_a_released_authorisation_is_a_payment_of_nothing_and_no_refund() -> None:
    found = a_charge(captured=False, amount_refunded=4900, refunds=[a_refund("re_1", 4900)])

    (payment,) = translated("charge.refunded", found).facts

    assert isinstance(payment, Payment)
    assert (payment.key, payment.amount.minor) == ("pi_1", 0)


def test_the_part_that_was_never_captured_is_no_refund() -> None:
    # 49.00 authorised, 30.00 captured, so 19.00 shows as refunded; then 10.00 are given back.
    found = a_charge(
        amount_captured=3000, amount_refunded=2900, refunds=[a_refund("re_2", 1000), a_refund("re_1", 1900)]
    )

    total = given_back("charge.refunded", found)

    assert (total.is_total, total.amount.minor, total.released) == (True, 2900, 1900)


def test_since_basil_a_part_that_was_never_captured_is_in_no_total() -> None:
    # 49.00 authorised, 30.00 captured, 10.00 given back: less than what was released, so the release is not in it.
    found = a_charge(Shape.BASIL, amount_captured=3000, amount_refunded=1000)

    total = given_back("charge.refunded", found)

    assert (total.amount.minor, total.released) == (1000, 0)


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
def test_a_refund_of_a_cash_balance_is_no_refund_of_a_payment(kind: str) -> None:
    found = {**a_refund(), "charge": None, "payment_intent": None}

    assert translated(kind, found).reason == (
        "a refund of a customer's cash balance: money that had not paid for anything"
    )


# ---- Disputes -----------------------------------------------------------------------------------------------------


def test_withdrawn_funds_are_given_back() -> None:
    found = given_back("charge.dispute.funds_withdrawn", a_dispute(minor=5000))

    assert (found.key, found.transaction_id, found.kind) == ("dp_1:withdrawn", "dp_1", RefundKind.DISPUTE)
    assert (found.amount.minor, found.ids, found.reason) == (5000, IDS, "fraudulent")


def test_reinstated_funds_come_back_in_full() -> None:
    found = given_back("charge.dispute.funds_reinstated", a_dispute(status="won"))

    assert (found.key, found.kind, found.reverses) == ("dp_1:reinstated", RefundKind.REVERSAL, "dp_1:withdrawn")
    assert found.transaction_id == "dp_1:reinstated"  # unlike that of the leg before
    assert found.amount.minor == 4900


def legs(kind: str, *moved: int, currency: str = "usd", **more: Any) -> list[tuple[str, int]]:
    """Key and amount of each fact of a dispute over 49.00 with balance transactions of these amounts."""
    balance = [{"amount": minor, "currency": currency} for minor in moved]
    found = translated(f"charge.dispute.{kind}", a_dispute(balance_transactions=balance, **more)).facts
    return [(one.key, one.amount.minor) for one in found if isinstance(one, Refund)]


def test_a_part_that_is_reinstated_follows_from_the_balance() -> None:
    assert legs("funds_reinstated", -4900, 3000) == [("dp_1:withdrawn", 4900), ("dp_1:reinstated", 3000)]


def test_a_balance_in_another_currency_says_nothing_about_the_amount() -> None:
    found = legs("funds_reinstated", -4500, 4400, currency="eur")

    assert found == [("dp_1:withdrawn", 4900), ("dp_1:reinstated", 4900)]


@pytest.mark.parametrize("kind", ["created", "updated", "closed", "funds_withdrawn"])
def test_a_dispute_that_is_lost_when_it_is_created_has_withdrawn_what_its_balance_says(kind: str) -> None:
    assert legs(kind, -4900, status="lost") == [("dp_1:withdrawn", 4900)]


@pytest.mark.parametrize(
    ("kind", "withdrawn", "reinstated"),
    [("funds_withdrawn", True, False), ("funds_reinstated", False, True), ("closed", False, False)],
)
def test_the_webhook_about_a_disputes_money_names_its_time_and_cause(
    kind: str, withdrawn: bool, reinstated: bool
) -> None:
    balance = [{"amount": minor, "currency": "usd"} for minor in (-4900, 4900)]
    found = translated(f"charge.dispute.{kind}", a_dispute(balance_transactions=balance)).facts

    assert [one.is_primary for one in found if isinstance(one, Refund)] == [withdrawn, reinstated]


@pytest.mark.parametrize(
    ("currency", "withdrawn", "reinstated"),
    [("usd", 9800, 4900), ("eur", 9800, 4900)],
)
def test_a_dispute_that_is_withdrawn_again_adds_up(currency: str, withdrawn: int, reinstated: int) -> None:
    # -49.00 + 49.00 - 49.00: withdrawn 98.00 in all, reinstated 49.00.
    found = legs("funds_withdrawn", -4900, 4900, -4900, currency=currency)

    assert found == [("dp_1:withdrawn", withdrawn), ("dp_1:reinstated", reinstated)]


@pytest.mark.parametrize("kind", ["created", "updated", "closed"])
@pytest.mark.parametrize("status", ["warning_needs_response", "needs_response", "won", "lost", "prevented"])
def test_a_dispute_by_itself_only_links(kind: str, status: str) -> None:
    found = fact(f"charge.dispute.{kind}", a_dispute(status=status))

    assert found == Link(at=AT, ids=IDS, processor_event_id="evt_1")


@pytest.mark.parametrize("kind", ["created", "updated", "voided"])
def test_credit_notes_are_no_money(kind: str) -> None:
    translation = translated(f"credit_note.{kind}", {"id": "cn_1", "amount": 500, "currency": "usd", "refund": "re_1"})

    assert translation.facts == ()
    assert "no money" in (translation.reason or "")
