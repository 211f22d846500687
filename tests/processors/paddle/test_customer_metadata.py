"""Customers: the merchant's own data and nothing personal; and hostile custom data in any entity."""

from __future__ import annotations

from typing import Any

import pytest

from processors.facts import Attribution, Ids, Place
from tests.processors.paddle.translating import (
    AT,
    VISIT,
    a_subscription,
    a_transaction,
    fact,
    payment,
    state,
    translated,
)

CUSTOMER = {"id": "ctm_1", "name": "Ada", "email": "ada@example.com", "custom_data": VISIT}
HOSTILE: tuple[tuple[Any, dict[str, str]], ...] = (
    (None, {}),
    ([], {}),
    ("visitor_fingerprint=fp_1", {}),
    (7, {}),
    ({"visitor_fingerprint": None, "session_id": "sess_1"}, {"session_id": "sess_1"}),
    ({"visitor_fingerprint": {"id": "fp_1"}, "session_id": ["sess_1"]}, {}),
    ({"visitor_fingerprint": "x" * 256, "session_id": "y" * 255}, {"session_id": "y" * 255}),
    ({"visitor_fingerprint": "  fp_1 ", "session_id": "   "}, {"visitor_fingerprint": "fp_1"}),
    ({"visitor_fingerprint": 12345, "session_id": True}, {"visitor_fingerprint": "12345"}),
    ({"visitor_fingerprint": 1.5, "session_id": "<script>"}, {"session_id": "<script>"}),
    ({"": "empty", "ünï": "cödé"}, {"": "empty", "ünï": "cödé"}),
)


def test_custom_data_of_a_customer_may_name_the_visit() -> None:
    assert fact("customer.updated", CUSTOMER) == Attribution(
        place=Place.CUSTOMER_METADATA,
        at=AT,
        ids=Ids(customer_id="ctm_1"),
        metadata=VISIT,
        processor_event_id="evt_1",
    )


@pytest.mark.parametrize("more", [{"custom_data": None}, {"custom_data": {}}, {"id": None}])
def test_a_customer_without_custom_data_gives_a_reason(more: dict[str, Any]) -> None:
    assert translated("customer.created", {**CUSTOMER, **more}).reason == "the customer has no custom data"


@pytest.mark.parametrize(("found", "kept"), HOSTILE)
def test_of_hostile_custom_data_only_plain_short_strings_are_kept(found: Any, kept: dict[str, str]) -> None:
    assert payment({**a_transaction(), "custom_data": found}).metadata == kept
    assert state({**a_subscription(), "custom_data": found}).metadata == kept


def test_custom_data_that_is_left_out_is_no_error() -> None:
    entity = a_transaction()
    del entity["custom_data"]

    assert payment(entity).metadata == {}
