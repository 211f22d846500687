"""Digits of currencies, for processors that follow ISO 4217."""

from __future__ import annotations

from iso4217 import Currency

from processors.money import THREE_DIGITS, ZERO_DIGITS


def test_the_currencies_without_two_digits_are_those_of_iso_4217() -> None:
    assert {currency.code for currency in Currency if currency.exponent == 0} == ZERO_DIGITS
    assert {currency.code for currency in Currency if currency.exponent == 3} == THREE_DIGITS
