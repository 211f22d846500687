"""Links: which id belongs to which, whatever fact says so."""

from __future__ import annotations

from bridge.ledger.links import bill_of, bill_of_payment, home_of, linked, payment_of, subscription_of
from bridge.ledger.state import Links
from processors.facts import Fact, Ids
from tests.builders import a_link, a_payment, a_subscription, an_invoice, an_invoice_payment


def links_of(*facts: Fact) -> Links:
    return linked(Links(), facts)


def test_a_charge_leads_to_its_payment() -> None:
    links = links_of(a_payment(payment_id="pi_1", charge_id="ch_1"))

    assert payment_of(links, Ids(charge_id="ch_1")) == "pi_1"
    assert payment_of(links, Ids(payment_id="ch_1")) == "pi_1"
    assert payment_of(links, Ids(charge_id="ch_2")) == "ch_2"
    assert payment_of(links, Ids()) is None


def test_a_checkout_session_leads_to_what_was_bought() -> None:
    links = links_of(
        a_link(checkout_id="cs_1", payment_id="pi_1"),
        a_link(checkout_id="cs_2", invoice_id="in_2", subscription_id="sub_2"),
    )

    assert (links.payment_of["cs_1"], links.payment_of["cs_2"]) == ("pi_1", "sub_2")


def test_a_payment_leads_to_its_invoice_and_the_invoice_to_its_subscription() -> None:
    links = links_of(an_invoice_payment(), an_invoice(), a_payment(charge_id="ch_1"))

    assert bill_of(links, Ids(charge_id="ch_1")) == "in_1"
    assert subscription_of(links, Ids(charge_id="ch_1")) == "sub_1"


def test_a_subscriptions_latest_invoice_is_its_own() -> None:
    state = a_subscription()
    links = links_of(a_link(invoice_id="in_7", subscription_id=state.ids.subscription_id))

    assert subscription_of(links, Ids(invoice_id="in_7")) == "sub_1"


def test_the_first_invoice_that_a_payment_is_said_to_pay_stays() -> None:
    links = links_of(a_link(payment_id="pi_1", invoice_id="in_1"), a_link(payment_id="pi_1", invoice_id="in_2"))

    assert bill_of(links, Ids(payment_id="pi_1", invoice_id="in_2")) == "in_1"


def test_a_name_goes_before_a_match() -> None:
    links = Links(matched={"pi_1": "in_1"})

    assert home_of(links, "pi_1") == "in_1"
    assert bill_of(links, Ids(payment_id="pi_1", invoice_id="in_2")) == "in_2"
    assert home_of(Links(matched={"pi_1": "in_1"}, invoice_of={"pi_1": "in_2"}), "pi_1") == "in_2"


def test_a_total_stands_on_its_own_invoice_whatever_payment_it_names() -> None:
    total = an_invoice(invoice_id="in_2", payment_id="pi_1")
    links = links_of(a_link(payment_id="pi_1", invoice_id="in_1"), total)

    assert bill_of_payment(links, total) == "in_2"


def test_ids_of_nobody_lead_nowhere() -> None:
    assert bill_of(Links(), Ids(customer_id="cus_1")) is None
    assert subscription_of(Links(), Ids(customer_id="cus_1")) is None
