"""How many digits Stripe's minor unit has in each currency (docs.stripe.com/currencies), and amounts read with it."""

from __future__ import annotations

from typing import Any

from processors.money import Currency, Money, whole_minor

# ISK and UGX have no minor unit in reality, but the API counts them in hundredths: "to charge 5 ISK, provide 500".
# HUF and TWD are whole only in payouts. MGA is whole for Stripe, though ISO 4217 knows an ariary of five iraimbilanja.
ZERO_DECIMAL = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
THREE_DECIMAL = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


def currency_of(code: Any) -> Currency | None:
    """The currency of a three-letter code in any case, as Stripe counts it, or None: it is no such code."""
    if not isinstance(code, str) or len(code) != 3 or not (code.isascii() and code.isalpha()):
        return None
    upper = code.upper()
    return Currency(code=upper, digits=_digits(upper))


def money_of(minor: Any, code: Any) -> Money | None:
    """The amount, or None: it is no whole number of minor units in a currency."""
    whole, currency = whole_minor(minor), currency_of(code)
    if whole is None or currency is None:
        return None
    return Money(minor=whole, currency=currency)


def _digits(code: str) -> int:
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2
