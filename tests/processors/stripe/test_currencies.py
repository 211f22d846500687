"""Digits of Stripe's minor units: the list of its documentation, and babel's data for the rest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from babel.core import get_global
from babel.numbers import get_currency_precision, list_currencies

from processors.money import major
from processors.stripe.currencies import currency_of, money_of

# docs.stripe.com/currencies names these; everything else has two digits.
ZERO = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
THREE = "BHD JOD KWD OMR TND"

# Where Stripe's API departs from the digits in babel's data (CLDR), and why.
IN_HUNDREDTHS = {"ISK": "kept in hundredths for compatibility", "UGX": "kept in hundredths for compatibility"}
# Countries that no longer use their small coins: CLDR rounds their prices to whole units, ISO 4217 and Stripe do not.
WITHOUT_SMALL_COINS = frozenset({"AFN", "ALL", "LAK", "LBP", "MMK", "RSD", "SOS", "STD", "YER"})
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


@pytest.mark.parametrize("code", sorted(CHARGED - IN_HUNDREDTHS.keys() - WITHOUT_SMALL_COINS))
def test_every_other_currency_that_stripe_charges_has_the_digits_of_babels_data(code: str) -> None:
    assert digits(code) == get_currency_precision(code)


def test_the_exceptions_to_babels_data_are_exceptions() -> None:
    departing = {code for code in CHARGED if digits(code) != get_currency_precision(code)}

    assert departing == IN_HUNDREDTHS.keys() | WITHOUT_SMALL_COINS


def test_the_currencies_stripe_charges_are_known_to_babel() -> None:
    assert set(list_currencies()) >= CHARGED
    assert get_global("currency_fractions")


def test_five_ugx_are_500_and_five_yen_are_5() -> None:
    ugx, yen = money_of(500, "ugx"), money_of(5, "jpy")

    assert ugx is not None
    assert yen is not None
    assert (major(ugx), major(yen)) == (Decimal("5.00"), Decimal("5"))


@pytest.mark.parametrize("code", [None, "", "us", "usdc", "u$d", "üsd", 840, ["usd"]])
def test_what_is_no_code_of_three_letters_is_no_currency(code: object) -> None:
    assert currency_of(code) is None
    assert money_of(100, code) is None
