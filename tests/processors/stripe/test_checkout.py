"""Checkout sessions: their attribution, and the payment of those without an invoice."""

from __future__ import annotations

from typing import Any

import pytest

from processors.facts import Attribution, Ids, Membership, Payment, Place, Reason
from processors.stripe.simulation.payloads import checkout_session
from tests.processors.stripe.translating import fact, translated

VISIT = {"visitor_fingerprint": "fp_1", "session_id": "sess_1"}


def a_session(**more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "mode": "payment",
        "customer": "cus_1",
        "minor": 2900,
        "payment_intent": "pi_1",
        "metadata": VISIT,
    }
    return checkout_session("cs_1", **{**usual, **more})


def facts(found: dict[str, Any], kind: str = "checkout.session.completed") -> tuple[Attribution, Payment]:
    origin, payment = translated(kind, found).facts
    assert isinstance(origin, Attribution)
    assert isinstance(payment, Payment)
    return origin, payment


def test_a_session_names_the_visit_and_all_that_it_belongs_to() -> None:
    origin = fact(
        "checkout.session.completed",
        a_session(mode="subscription", payment_intent=None, subscription="sub_1", invoice="in_1"),
    )

    assert isinstance(origin, Attribution)
    assert (origin.place, origin.metadata) == (Place.CHECKOUT, VISIT)
    assert origin.ids == Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1", checkout_id="cs_1")


def test_the_clients_reference_is_read_under_its_own_name() -> None:
    origin, payment = facts(a_session(client_reference_id="ref_1"))

    assert origin.metadata == {**VISIT, "client_reference_id": "ref_1"}
    assert payment.metadata == VISIT


def test_metadata_of_that_name_goes_before_the_clients_reference() -> None:
    origin, _ = facts(a_session(client_reference_id="ref_1", metadata={"client_reference_id": "own"}))

    assert origin.metadata == {"client_reference_id": "own"}


def test_a_paid_session_in_payment_mode_is_a_one_off() -> None:
    _, payment = facts(a_session(tax=463))

    assert (payment.key, payment.amount.minor, payment.tax) == ("pi_1", 2900, 463)
    assert (payment.membership, payment.reason) == (Membership.NONE, Reason.ONE_OFF)
    assert payment.ids == Ids(customer_id="cus_1", payment_id="pi_1", checkout_id="cs_1")


def test_a_delayed_method_is_paid_when_it_succeeds() -> None:
    unpaid = translated("checkout.session.completed", a_session(payment_status="unpaid"))
    _, payment = facts(a_session(), "checkout.session.async_payment_succeeded")

    assert [type(one) for one in unpaid.facts] == [Attribution]
    assert payment.amount.minor == 2900


def test_a_delayed_method_that_fails_pays_nothing() -> None:
    found = translated("checkout.session.async_payment_failed", a_session(payment_status="unpaid"))

    assert [type(one) for one in found.facts] == [Attribution]


@pytest.mark.parametrize(
    "more", [{"mode": "subscription"}, {"mode": "setup"}, {"payment_status": "no_payment_required"}]
)
def test_only_payment_mode_and_paid_is_money(more: dict[str, Any]) -> None:
    assert [type(one) for one in translated("checkout.session.completed", a_session(**more)).facts] == [Attribution]


def test_a_session_with_an_invoice_belongs_to_it() -> None:
    _, payment = facts(a_session(invoice="in_1", creates_invoice=True))

    assert (payment.membership, payment.ids.invoice_id, payment.reason) == (
        Membership.INVOICE,
        "in_1",
        Reason.UNKNOWN,
    )


def test_a_session_whose_invoice_is_still_to_come_cannot_say() -> None:
    _, payment = facts(a_session(creates_invoice=True))

    assert payment.membership is Membership.UNKNOWN


def test_a_session_without_a_customer_is_a_guests() -> None:
    origin, payment = facts(a_session(customer=None))

    assert origin.ids.guest
    assert payment.ids.guest


def test_a_subscription_is_never_a_guests() -> None:
    origin = fact("checkout.session.completed", a_session(mode="subscription", customer=None, subscription="sub_1"))

    assert not origin.ids.guest


def test_an_expired_session_says_nothing() -> None:
    assert translated("checkout.session.expired", a_session()).reason == "a checkout session that was not completed"


def test_a_session_without_an_id_says_nothing() -> None:
    assert translated("checkout.session.completed", {**a_session(), "id": None}).facts == ()
