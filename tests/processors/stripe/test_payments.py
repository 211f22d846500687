"""Charges and payment intents: one payment under one key, in old and current formats."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from processors.facts import Ids, Membership, Payment, Reason
from processors.money import Currency, Money
from processors.stripe.simulation.payloads import Shape, charge, payment_intent
from processors.values import replace
from tests.processors.stripe.translating import AT, BASIL_ON, SHAPES, fact, translated, without

USD = Currency(code="USD", digits=2)
MINUTE = timedelta(minutes=1)


def a_charge(**more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"minor": 4900, "customer": "cus_1", "created": AT - MINUTE, "payment_intent": "pi_1"}
    return charge("ch_1", **{**usual, **more})


def payment(kind: str, found: dict[str, Any], previous: dict[str, Any] | None = None) -> Payment:
    read = fact(kind, found, previous)
    assert isinstance(read, Payment)
    return read


# ---- One payment, reported by charge and by intent ---------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_charge_and_its_intent_are_the_same_payment(shape: Shape) -> None:
    of_charge = payment("charge.succeeded", a_charge(shape=shape))
    of_intent = payment(
        "payment_intent.succeeded",
        payment_intent("pi_1", minor=4900, customer="cus_1", charge="ch_1", shape=shape),
    )

    assert of_charge == replace(of_intent, is_primary=True)
    assert (of_charge.is_primary, of_intent.is_primary) == (True, False)
    assert of_charge.key == "pi_1"
    assert of_charge.amount == Money(minor=4900, currency=USD)
    assert of_charge.ids == Ids(customer_id="cus_1", payment_id="pi_1", charge_id="ch_1")


def test_a_charge_without_an_intent_is_keyed_by_itself() -> None:
    found = payment("charge.succeeded", a_charge(payment_intent=None))

    assert (found.key, found.ids.payment_id, found.ids.charge_id) == ("ch_1", "ch_1", "ch_1")


def test_the_objects_own_metadata_is_read() -> None:
    found = payment("charge.succeeded", a_charge(metadata={"session_id": " sess_1 ", "empty": ""}))

    assert found.metadata == {"session_id": "sess_1"}


# ---- What was taken -----------------------------------------------------------------------------------------------


def test_a_part_that_was_captured_is_the_amount() -> None:
    assert payment("charge.captured", a_charge(amount_captured=3000)).amount.minor == 3000


def test_charges_from_before_partial_amounts_count_in_full() -> None:
    assert payment("charge.succeeded", without(a_charge(shape=Shape.OLD), "amount_captured")).amount.minor == 4900


def test_an_intent_counts_what_it_received() -> None:
    intent = {**payment_intent("pi_1", minor=4900, customer="cus_1"), "amount_received": 4000}

    assert payment("payment_intent.succeeded", intent).amount.minor == 4000


def test_zero_decimal_amounts_are_whole_units() -> None:
    assert payment("charge.succeeded", a_charge(minor=500, currency="jpy")).amount == Money(
        minor=500, currency=Currency(code="JPY", digits=0)
    )


@pytest.mark.parametrize("kind", ["charge.succeeded", "charge.updated"])
def test_an_authorisation_is_no_money_yet(kind: str) -> None:
    assert payment(kind, a_charge(captured=False)).amount.minor == 0


def test_a_pending_charge_is_no_money_yet() -> None:
    assert translated("charge.succeeded", a_charge(status="pending")).facts == ()


def test_a_charge_captured_later_is_reported_by_its_update() -> None:
    old = a_charge(created=AT - timedelta(days=6))

    assert payment("charge.updated", old, {"captured": False, "amount_captured": 0}).key == "pi_1"


def test_an_older_charge_whose_description_changed_is_no_news() -> None:
    old = a_charge(created=AT - timedelta(days=6))

    assert translated("charge.updated", old, {"description": "Thanks"}).reason == (
        "an older charge whose capture did not change"
    )


def test_a_recent_charge_that_gets_metadata_is_a_fact_again_with_it() -> None:
    found = payment("charge.updated", a_charge(metadata={"session_id": "s"}), {"metadata": {"session_id": None}})

    assert (found.key, found.metadata) == ("pi_1", {"session_id": "s"})


@pytest.mark.parametrize(
    "spoilt", [{"id": None}, {"currency": "dollars"}, {"amount_captured": "many"}, {"amount_captured": -1}]
)
def test_a_charge_without_id_amount_or_currency_is_no_payment(spoilt: dict[str, Any]) -> None:
    assert translated("charge.succeeded", {**a_charge(payment_intent=None), **spoilt}).facts == ()


# ---- Membership in an invoice --------------------------------------------------------------------------------------


def test_a_charge_that_names_its_invoice_belongs_to_it() -> None:
    found = payment("charge.succeeded", a_charge(shape=Shape.OLD, invoice="in_1"))

    assert (found.membership, found.ids.invoice_id, found.reason) == (Membership.INVOICE, "in_1", Reason.UNKNOWN)


def test_a_charge_whose_invoice_is_null_is_a_one_off() -> None:
    found = payment("charge.succeeded", a_charge(shape=Shape.OLD, invoice=None))

    assert (found.membership, found.reason) == (Membership.NONE, Reason.ONE_OFF)


@pytest.mark.parametrize("shape", BASIL_ON)
def test_a_charge_since_basil_cannot_say_whether_it_pays_an_invoice(shape: Shape) -> None:
    hinting = {**a_charge(shape=shape), "description": "Subscription creation"}

    found = payment("charge.succeeded", hinting)

    assert (found.membership, found.reason) == (Membership.UNKNOWN, Reason.UNKNOWN)


def test_an_intent_with_an_order_reference_gives_no_certainty() -> None:
    hinting = {
        **payment_intent("pi_1", minor=4900, customer="cus_1"),
        "payment_details": {"order_reference": "in_1"},
    }

    found = payment("payment_intent.succeeded", hinting)

    assert (found.membership, found.ids.invoice_id) == (Membership.UNKNOWN, None)


def test_an_old_intent_names_its_invoice_and_its_first_paid_charge() -> None:
    found = payment(
        "payment_intent.succeeded",
        payment_intent("pi_1", minor=4900, customer="cus_1", charge="ch_1", invoice="in_1", shape=Shape.OLD),
    )

    assert (found.membership, found.ids.invoice_id, found.ids.charge_id) == (Membership.INVOICE, "in_1", "ch_1")


def test_an_expanded_invoice_counts_as_its_id() -> None:
    assert payment("charge.succeeded", {**a_charge(), "invoice": {"id": "in_1"}}).ids.invoice_id == "in_1"


# ---- Whose it is --------------------------------------------------------------------------------------------------


def test_a_charge_whose_customer_is_null_is_a_guests() -> None:
    assert payment("charge.succeeded", a_charge(customer=None)).ids.guest


def test_a_charge_that_does_not_mention_a_customer_is_nobodys_yet() -> None:
    found = payment("charge.succeeded", without(a_charge(), "customer"))

    assert (found.ids.guest, found.ids.customer_id) == (False, None)


def test_an_account_may_be_the_customer() -> None:
    found = payment("charge.succeeded", {**a_charge(customer=None), "customer_account": "acct_1"})

    assert (found.ids.guest, found.ids.customer_id) == (False, "acct_1")
