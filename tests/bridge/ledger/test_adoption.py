"""Adoption: two ledgers become one, and what both have reported is reported once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bridge.ledger import EMPTY, Policy, State, settle
from bridge.ledger.adoption import unite
from bridge.ledger.state import dump, load
from processors.facts import Fact, Ids, Link, Membership, Payment, Reason, Refund
from processors.money import Currency, Money
from processors.values import replace

AT = datetime(2026, 1, 1, tzinfo=UTC)
USD = Currency(code="USD", digits=2)
CHARGE = Payment(
    key="pi_1",
    at=AT,
    ids=Ids(payment_id="pi_1"),
    amount=Money(minor=4900, currency=USD),
    processor_event_id="evt_charge",
)
INVOICE = Payment(
    key="in_1",
    at=AT,
    ids=Ids(customer_id="cus_1", invoice_id="in_1"),
    amount=Money(minor=4900, currency=USD),
    is_total=True,
    membership=Membership.INVOICE,
    reason=Reason.ONE_OFF,
    processor_event_id="evt_invoice",
)
REFUND = Refund(
    key="re_1",
    at=AT,
    ids=Ids(payment_id="pi_1"),
    amount=Money(minor=2000, currency=USD),
    transaction_id="re_1",
    processor_event_id="evt_refund",
)
JOIN = Link(at=AT, ids=Ids(invoice_id="in_1", payment_id="pi_1"), processor_event_id="evt_join")


def settled(*facts: Fact, state: State = EMPTY) -> tuple[State, list[tuple[str, Decimal]]]:
    found = settle(state, facts, Policy())
    return load(dump(found.state)), [(event.output_key, event.amount) for event in found.events]


def test_money_that_both_streams_have_reported_is_taken_back_once() -> None:
    guest, first = settled(CHARGE)
    customer, second = settled(INVOICE)

    united, correction = settled(JOIN, state=unite(customer, guest))
    _, again = settled(JOIN, state=united)

    assert (first, second) == ([("payment:pi_1", Decimal("49.00"))], [("payment:in_1", Decimal("49.00"))])
    assert correction == [("payment:in_1:correction:3", Decimal("-49.00"))]
    assert again == []


def test_what_the_references_of_both_join_is_joined_without_a_fact_that_names_it() -> None:
    guest, _ = settled(REFUND)
    customer, _ = settled(INVOICE, JOIN)
    unrelated = Link(at=AT, ids=Ids(customer_id="cus_1", checkout_id="cs_1"))

    united, events = settled(unrelated, state=unite(customer, guest))

    assert events == []
    assert set(united.receivables) == {"in_1"}
    assert united.receivables["in_1"].refunded == 2000


def test_a_refund_that_was_reported_for_a_guest_is_not_reported_again() -> None:
    guest, first = settled(REFUND)

    _, events = settled(INVOICE, JOIN, replace(CHARGE, ids=Ids(customer_id="cus_1", payment_id="pi_1")), REFUND,
                        state=unite(EMPTY, guest))  # fmt: skip

    assert first == [("refund:re_1", Decimal("-20.00"))]
    assert events == [("payment:in_1", Decimal("49.00"))]


def test_the_latest_change_of_the_customers_discounts_is_known_to_both() -> None:
    earlier, later = State(customer_discounts_at=AT), State(customer_discounts_at=AT + timedelta(days=1))

    assert unite(earlier, later).customer_discounts_at == AT + timedelta(days=1)
    assert unite(later, earlier).customer_discounts_at == AT + timedelta(days=1)
    assert unite(EMPTY, earlier).customer_discounts_at == AT
    assert unite(EMPTY, EMPTY).customer_discounts_at is None
