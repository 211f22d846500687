"""Adjustments: refunds, chargebacks and their reversals."""

from __future__ import annotations

import pytest

from processors.facts import Ids, RefundKind, RefundStatus
from processors.money import Currency, Money
from tests.processors.paddle.translating import AT, an_adjustment, refund, translated


def test_a_refund_names_its_money_and_its_transaction() -> None:
    found = refund(an_adjustment())

    assert (found.key, found.transaction_id, found.at) == ("adj_1", "adj_1", AT)
    assert found.ids == Ids(customer_id="ctm_1", subscription_id="sub_1", invoice_id="txn_1", payment_id="txn_1")
    assert found.amount == Money(minor=2000, currency=Currency(code="USD", digits=2))
    assert (found.kind, found.status) == (RefundKind.REFUND, RefundStatus.SUCCEEDED)
    assert found.reason == "requested_by_customer"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("pending_approval", RefundStatus.PENDING),
        ("approved", RefundStatus.SUCCEEDED),
        ("reversed", RefundStatus.SUCCEEDED),
        ("rejected", RefundStatus.FAILED),
        ("a status of the future", RefundStatus.PENDING),
    ],
)
def test_a_refund_counts_once_it_is_approved(word: str, status: RefundStatus) -> None:
    assert refund(an_adjustment(status=word)).status is status


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("chargeback", RefundKind.DISPUTE),
        ("chargeback_warning", RefundKind.DISPUTE),
        ("chargeback_reverse", RefundKind.REVERSAL),
        ("chargeback_warning_reverse", RefundKind.REVERSAL),
    ],
)
@pytest.mark.parametrize("status", ["approved", "pending_approval"])
def test_chargebacks_and_their_reversals_move_money_at_once(action: str, kind: RefundKind, status: str) -> None:
    found = refund(an_adjustment(action=action, status=status), "adjustment.created")

    assert (found.kind, found.status, found.reason) == (kind, RefundStatus.SUCCEEDED, action)
    assert found.amount.minor == 2000


@pytest.mark.parametrize("action", ["credit", "credit_reverse", "an action of the future", None, ["refund"]])
def test_anything_else_moves_no_money(action: object) -> None:
    translation = translated("adjustment.created", {**an_adjustment(), "action": action})

    assert translation.facts == ()
    assert "moves no money" in (translation.reason or "")


def test_a_refund_of_tax_alone_says_so() -> None:
    entity = an_adjustment(minor=931, tax=931)
    entity["items"] = [{"item_id": "txnitm_1", "type": "tax", "amount": "931"}]

    assert refund(entity).reason == "tax_only"


def test_the_tax_in_an_adjustment_is_stated() -> None:
    assert refund(an_adjustment(minor=2380, tax=380)).tax == 380


@pytest.mark.parametrize(
    ("kind", "action", "status", "is_move"),
    [
        ("adjustment.created", "chargeback", "approved", True),
        ("adjustment.updated", "chargeback", "reversed", False),
        ("adjustment.created", "chargeback_reverse", "approved", True),
        ("adjustment.updated", "refund", "approved", True),
        ("adjustment.updated", "refund", "reversed", False),
    ],
)
def test_an_update_moves_money_only_where_it_approves_a_refund(
    kind: str, action: str, status: str, is_move: bool
) -> None:
    assert refund(an_adjustment(action=action, status=status), kind).is_move is is_move


def test_amounts_are_never_negative() -> None:
    assert refund(an_adjustment(minor=-2000)).amount.minor == 2000


@pytest.mark.parametrize("key", ["id", "transaction_id", "totals"])
def test_what_is_missing_gives_a_reason(key: str) -> None:
    entity = an_adjustment()
    del entity[key]

    assert translated("adjustment.updated", entity).reason == (
        "the adjustment has no id, transaction, currency or total"
    )
