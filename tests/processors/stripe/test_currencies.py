"""Digits of Stripe's minor units: the list in its documentation, and ISO 4217 for the rest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from iso4217 import Currency

from processors.money import major
from processors.stripe.envelope import currency_of, money_of

# docs.stripe.com/currencies names these; everything else has two digits.
ZERO = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
THREE = "BHD JOD KWD OMR TND"

# ISO 4217 "List One" as its maintenance agency publishes it; the package's version carries the table's date.
MINOR_UNITS = {currency.code: currency.exponent for currency in Currency}
# Where Stripe counts differently, by its documentation: ISK and UGX in hundredths, MGA in whole ariary.
EXCEPTIONS = {"ISK": 2, "UGX": 2, "MGA": 0}
# No longer in List One, still on Stripe's list. XCG replaced ANG (2025), STN replaced STD (2018); both had two digits.
WITHDRAWN = {"ANG": 2, "STD": 2}
CODES = (
    "USD AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY "
    "COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK "
    "JMD JPY KES KGS KHR KMF KRW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL "
    "THB TJS TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW BHD JOD KWD OMR TND"
)
CHARGED = frozenset(CODES.split())


def digits(code: str) -> int:
    currency = currency_of(code)
    assert currency is not None
    return currency.digits


@pytest.mark.parametrize("code", ZERO.split())
def test_zero_decimal_currencies_are_whole(code: str) -> None:
    assert digits(code) == 0


@pytest.mark.parametrize("code", THREE.split())
def test_three_decimal_currencies_have_three(code: str) -> None:
    assert digits(code) == 3


@pytest.mark.parametrize("code", ["ISK", "UGX", "HUF", "TWD", "USD", "EUR"])
def test_isk_and_ugx_and_payout_currencies_are_charged_in_hundredths(code: str) -> None:
    assert digits(code) == 2


def test_every_currency_that_stripe_charges_has_the_digits_of_iso_4217_or_is_a_named_exception() -> None:
    expected = {**MINOR_UNITS, **WITHDRAWN, **EXCEPTIONS}

    assert {code: digits(code) for code in CHARGED} == {code: expected[code] for code in CHARGED}


def test_every_named_exception_still_differs_from_iso_4217() -> None:
    assert {code for code in CHARGED & MINOR_UNITS.keys() if digits(code) != MINOR_UNITS[code]} == EXCEPTIONS.keys()


def test_withdrawn_currencies_are_those_without_an_entry() -> None:
    assert CHARGED - MINOR_UNITS.keys() == WITHDRAWN.keys()


def test_five_ugx_are_500_and_five_yen_are_5() -> None:
    ugx, yen = money_of(500, "ugx"), money_of(5, "jpy")

    assert ugx is not None
    assert yen is not None
    assert (major(ugx), major(yen)) == (Decimal("5.00"), Decimal("5"))


@pytest.mark.parametrize("code", [None, "", "us", "usdc", "u$d", "üsd", 840, ["usd"]])
def test_what_is_no_code_of_three_letters_is_no_currency(code: object) -> None:
    assert currency_of(code) is None
    assert money_of(100, code) is None
