"""Audit notes: each sentence once, in order, and amounts as people read them."""

from __future__ import annotations

import pytest

from bridge.ledger.audit_notes import AuditNotes, format_amount
from processors.money import Currency
from tests.builders import JPY, USD


def test_a_sentence_is_said_once_of_each_event() -> None:
    notes = AuditNotes()

    notes.add(("evt_1", "evt_2"), "paid")
    notes.add(("evt_1",), "paid")
    notes.add(("evt_1",), "reported")

    assert notes.collected() == {"evt_1": ("paid", "reported"), "evt_2": ("paid",)}


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (4900, USD, "49.00 USD"),
        (5, USD, "0.05 USD"),
        (-1234, USD, "-12.34 USD"),
        (-5, USD, "-0.05 USD"),
        (0, USD, "0.00 USD"),
        (4900, JPY, "4900 JPY"),
        (-4900, JPY, "-4900 JPY"),
        (4900, Currency(code="KWD", digits=3), "4.900 KWD"),
    ],
)
def test_an_amount_is_shown_with_its_currency(minor: int, currency: Currency, text: str) -> None:
    assert format_amount(minor, currency) == text
