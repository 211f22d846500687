"""Numbers, amounts, durations and timestamps as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bridge import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"), (40, "40 s"), (720, "12 min"), (18_000, "5 h"), (35_900, "10 h"), (122_040, "34 h"),
        (267_840, "3.1 days"), (3_888_000, "45 days"),
    ],
)  # fmt: skip
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text
    assert formatting.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 webhooks"), (1, "1 webhook"), (1200, "1,200 webhooks")])
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert formatting.quantity(number, "webhook") == text


def test_amounts_keep_their_decimals() -> None:
    assert formatting.amount(Decimal("1249.00")) == "1,249.00"
    assert formatting.amount(Decimal(4900)) == "4,900"


@pytest.mark.parametrize(("change", "text"), [("49.00", "+49.00"), ("-1249.00", "-1,249.00"), ("0.00", "+0.00")])
def test_a_change_has_its_sign(change: str, text: str) -> None:
    assert formatting.signed_amount(Decimal(change)) == text


def test_currencies_are_ordered_by_their_rows_then_by_code() -> None:
    assert formatting.currency_order({"AED": 1, "USD": 3, "EUR": 3}) == ["EUR", "USD", "AED"]
    assert formatting.currency_order({"AED": (0, 9), "USD": (2, 1), "EUR": (2, 5)}) == ["EUR", "USD", "AED"]


def test_what_is_absent_is_empty() -> None:
    assert formatting.signed_amount(None) == ""
    assert formatting.timestamp(None) == ""


def test_a_timestamp_ends_with_the_second() -> None:
    assert formatting.timestamp(datetime(2026, 1, 1, 12, 0, 7, 999, tzinfo=UTC)) == "2026-01-01 12:00:07"


@pytest.mark.parametrize(
    ("seconds", "text"), [(720, "12 min ago"), (0.4, "just now"), (-18000, "in 5 h"), (172800, "2 days ago")]
)
def test_a_relative_time_is_past_or_future(seconds: float, text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert formatting.relative(now - timedelta(seconds=seconds), now) == text
