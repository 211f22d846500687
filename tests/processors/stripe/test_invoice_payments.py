"""Invoice payments, which since basil name the invoice of a payment."""

from __future__ import annotations

from typing import Any

import pytest

from processors.facts import Ids, Membership, Payment
from processors.money import Currency, Money
from processors.stripe.simulation.payloads import invoice_payment
from tests.processors.stripe.translating import fact, translated

USD = Currency(code="USD", digits=2)


def paid(found: dict[str, Any]) -> Payment:
    read = fact("invoice_payment.paid", found)
    assert isinstance(read, Payment)
    return read


def test_an_invoice_payment_names_invoice_and_intent() -> None:
    found = paid(invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1"))

    assert (found.key, found.is_total, found.membership) == ("pi_1", False, Membership.INVOICE)
    assert found.ids == Ids(invoice_id="in_1", payment_id="pi_1")
    assert found.amount == Money(minor=4900, currency=USD)


def test_an_invoice_payment_without_an_intent_is_keyed_by_its_charge() -> None:
    found = paid(invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, charge="ch_1"))

    assert (found.key, found.ids.charge_id) == ("ch_1", "ch_1")


def test_a_payment_recorded_from_elsewhere_is_keyed_by_its_record() -> None:
    found = paid(invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_record="pyr_1"))

    assert found.key == "pyr_1"
    assert found.is_primary  # no charge reports it


def test_an_invoice_payment_may_be_a_part() -> None:
    part = invoice_payment("inpay_1", invoice="in_1", amount_paid=2000, payment_intent="pi_1")

    assert paid(part).amount.minor == 2000


@pytest.mark.parametrize("spoilt", [{"invoice": None}, {"amount_paid": None}, {"currency": 1}])
def test_an_invoice_payment_without_invoice_or_amount_is_no_payment(spoilt: dict[str, Any]) -> None:
    found = invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1")

    assert translated("invoice_payment.paid", {**found, **spoilt}).facts == ()
