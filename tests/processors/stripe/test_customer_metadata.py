"""Customers: their metadata may contain the attribution."""

from __future__ import annotations

import pytest

from processors.facts import Attribution, Ids, Place
from processors.stripe.simulation.payloads import customer
from tests.processors.stripe.translating import AT, fact, translated


@pytest.mark.parametrize("kind", ["customer.created", "customer.updated"])
def test_a_customers_metadata_is_told(kind: str) -> None:
    found = fact(kind, customer("cus_1", metadata={"session_id": "sess_1"}))

    assert found == Attribution(
        place=Place.CUSTOMER_METADATA,
        at=AT,
        ids=Ids(customer_id="cus_1"),
        metadata={"session_id": "sess_1"},
        processor_event_id="evt_1",
    )


def test_a_customer_without_metadata_says_nothing() -> None:
    assert translated("customer.created", customer("cus_1")).reason == "a customer without metadata"


def test_a_deleted_customer_says_nothing_by_itself() -> None:
    assert translated("customer.deleted", customer("cus_1")).reason == "its subscriptions end with their own events"
