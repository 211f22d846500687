"""Digits of currencies, for processors that follow ISO 4217, and amounts that are too large to be one."""

from __future__ import annotations

import pytest
from iso4217 import Currency

from processors.money import THREE_DIGITS, ZERO_DIGITS, minor_of_major, whole_minor
from processors.money import Currency as PaidIn


def test_the_currencies_without_two_digits_are_those_of_iso_4217() -> None:
    assert {currency.code for currency in Currency if currency.exponent == 0} == ZERO_DIGITS
    assert {currency.code for currency in Currency if currency.exponent == 3} == THREE_DIGITS


@pytest.mark.parametrize("sign", [1, -1])
def test_an_amount_of_more_than_18_digits_is_none(sign: int) -> None:
    largest = sign * (10**18 - 1)
    dollars = PaidIn(code="USD", digits=2)

    assert [whole_minor(largest), whole_minor(str(largest))] == [largest, largest]
    assert minor_of_major(str(sign * (10**16 - 1)), dollars) == sign * (10**18 - 100)
    assert [whole_minor(sign * 10**18), whole_minor(str(sign * 10**18)), whole_minor(sign * 10**4000)] == [None] * 3
    assert minor_of_major(str(sign * 10**16), dollars) is None
