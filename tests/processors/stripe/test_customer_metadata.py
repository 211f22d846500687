"""Customers: their metadata may contain the attribution."""

from __future__ import annotations

from datetime import datetime

import pytest

from processors.facts import Attribution, Discount, Ids, Link, Place
from processors.interface import Translation
from processors.stripe.simulation.payloads import Body, coupon, customer, discount
from tests.processors.stripe.translating import AT, fact, translated


def on_customer(discount_id: str) -> Body:
    return discount(discount_id, coupon("TEN", percent=10), customer="cus_1", subscription=None, start=AT)


def ends(translation: Translation) -> dict[str | None, datetime | None]:
    discounts = [fact.customer_discount for fact in translation.facts if isinstance(fact, Link)]
    return {one.id: one.ends_at for one in discounts if one is not None}


@pytest.mark.parametrize("kind", ["customer.created", "customer.updated"])
def test_a_customers_metadata_is_an_attribution(kind: str) -> None:
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


@pytest.mark.parametrize("kind", ["customer.created", "customer.updated"])
def test_the_discount_on_a_customer_is_read(kind: str) -> None:
    translation = translated(kind, {**customer("cus_1"), "discount": on_customer("di_1")})

    assert translation.facts == (
        Link(
            at=AT,
            ids=Ids(customer_id="cus_1"),
            customer_discount=Discount(id="di_1", coupon_id="TEN", starts_at=AT),
            processor_event_id="evt_1",
        ),
    )
    assert [type(entry) for entry in translation.catalog] == [Discount]


def test_a_discount_that_an_update_removed_has_ended_then() -> None:
    previous = {"discount": on_customer("di_1")}

    removed = translated("customer.updated", {**customer("cus_1"), "discount": None}, previous)
    replaced = translated("customer.updated", {**customer("cus_1"), "discount": on_customer("di_2")}, previous)
    kept = translated("customer.updated", {**customer("cus_1"), "discount": on_customer("di_1")}, previous)

    assert ends(removed) == {"di_1": AT}
    assert ends(replaced) == {"di_1": AT, "di_2": None}
    assert ends(kept) == {"di_1": None}


def test_a_deleted_customer_says_nothing_by_itself() -> None:
    assert translated("customer.deleted", customer("cus_1")).reason == "its subscriptions end with their own events"
