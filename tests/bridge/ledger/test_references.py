"""References: which ids belong together, whichever fact names them."""

from __future__ import annotations

from bridge.ledger.references import (
    References,
    payment_of,
    receivable_of,
    receivable_of_payment,
    receivable_of_payment_key,
    subscription_of,
    with_facts,
)
from processors.facts import Fact, Ids
from tests.builders import a_link, a_payment, a_subscription, an_invoice, an_invoice_payment


def references_of(*facts: Fact) -> References:
    return with_facts(References(), facts)


def test_a_charge_leads_to_its_payment() -> None:
    references = references_of(a_payment(payment_id="pi_1", charge_id="ch_1"))

    assert payment_of(references, Ids(charge_id="ch_1")) == "pi_1"
    assert payment_of(references, Ids(payment_id="ch_1")) == "pi_1"
    assert payment_of(references, Ids(charge_id="ch_2")) == "ch_2"
    assert payment_of(references, Ids()) is None


def test_a_checkout_session_leads_to_what_was_bought() -> None:
    references = references_of(
        a_link(checkout_id="cs_1", payment_id="pi_1"),
        a_link(checkout_id="cs_2", invoice_id="in_2", subscription_id="sub_2"),
    )

    assert (references.payment_of["cs_1"], references.payment_of["cs_2"]) == ("pi_1", "sub_2")


def test_a_payment_leads_to_its_invoice_and_the_invoice_to_its_subscription() -> None:
    references = references_of(an_invoice_payment(), an_invoice(), a_payment(charge_id="ch_1"))

    assert receivable_of(references, Ids(charge_id="ch_1")) == "in_1"
    assert subscription_of(references, Ids(charge_id="ch_1")) == "sub_1"


def test_a_subscriptions_latest_invoice_is_its_own() -> None:
    state = a_subscription()
    references = references_of(a_link(invoice_id="in_7", subscription_id=state.ids.subscription_id))

    assert subscription_of(references, Ids(invoice_id="in_7")) == "sub_1"


def test_the_first_invoice_that_a_payment_is_said_to_pay_stays() -> None:
    references = references_of(
        a_link(payment_id="pi_1", invoice_id="in_1"), a_link(payment_id="pi_1", invoice_id="in_2")
    )

    assert receivable_of(references, Ids(payment_id="pi_1", invoice_id="in_2")) == "in_1"


def test_a_name_goes_before_a_match() -> None:
    references = References(matched={"pi_1": "in_1"})

    assert receivable_of_payment_key(references, "pi_1") == "in_1"
    assert receivable_of(references, Ids(payment_id="pi_1", invoice_id="in_2")) == "in_2"
    assert (
        receivable_of_payment_key(References(matched={"pi_1": "in_1"}, invoice_of={"pi_1": "in_2"}), "pi_1") == "in_2"
    )


def test_a_total_belongs_to_its_own_invoice_whatever_payment_it_names() -> None:
    total = an_invoice(invoice_id="in_2", payment_id="pi_1")
    references = references_of(a_link(payment_id="pi_1", invoice_id="in_1"), total)

    assert receivable_of_payment(references, total) == "in_2"


def test_ids_of_nobody_lead_nowhere() -> None:
    assert receivable_of(References(), Ids(customer_id="cus_1")) is None
    assert subscription_of(References(), Ids(customer_id="cus_1")) is None
