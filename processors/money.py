"""Amounts in whole minor units, exact decimals, and the number of digits of each currency."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from processors.values import Value

# Digits after the point, where they are not two: the minor units of ISO 4217; tests compare them.
ZERO_DIGITS = frozenset(
    {
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
        "ISK",
    }
)
THREE_DIGITS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
TOO_MUCH = 10**18  # minor units: sums of smaller amounts stay exact in decimals of 28 digits
EXACT = Context(prec=5000)  # for sums of what is stored: earlier versions read amounts of any length from JSON


class Currency:
    """A currency as one processor uses it. `digits`: decimals of its minor unit (USD 2, JPY 0).

    Not a `Value`, which would be stored as an object: a currency is stored as one text, such as "USD:2".
    """

    __slots__ = ("code", "digits")

    def __init__(self, *, code: str, digits: int) -> None:
        self.code: Final = code
        self.digits: Final = digits

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Currency):
            return NotImplemented
        return self is other or (self.code == other.code and self.digits == other.digits)

    def __hash__(self) -> int:
        return hash((self.code, self.digits))

    def __repr__(self) -> str:
        return f"Currency(code={self.code!r}, digits={self.digits!r})"


class Money(Value):
    """An amount in the currency's minor unit: 4900 USD is 49.00. May be negative."""

    minor: int
    currency: Currency


def iso_digits(code: str) -> int:
    """Digits of a currency by ISO 4217; two for an unknown code."""
    if code in ZERO_DIGITS:
        return 0
    return 3 if code in THREE_DIGITS else 2


def major(money: Money) -> Decimal:
    """The amount in major units: 4900 USD is Decimal("49.00")."""
    return Decimal(money.minor).scaleb(-money.currency.digits)


def round_minor(exact: Fraction) -> int:
    """The nearest whole minor unit, halves away from zero, as invoices round."""
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return whole if exact.numerator >= 0 else -whole


def whole_minor(value: Any) -> int | None:
    """Whole minor units from a payload's int or string of digits, or None: it is neither, or beyond `TOO_MUCH`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < TOO_MUCH else None
    number = exact_decimal(value)
    if number is None or abs(number) >= TOO_MUCH:
        return None
    return int(number) if number == number.to_integral_value() else None


def exact_decimal(value: Any) -> Decimal | None:
    """An exact number from a payload's int or decimal string, or None: it is neither, or not finite.

    A float is read as its shortest text, so 0.1 is one tenth.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | float | Decimal):
        return None
    if isinstance(value, str) and len(value) > 40:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return None
    return number


def minor_of_major(value: Any, currency: Currency) -> int | None:
    """Minor units of an amount in major units ("215.16"), rounded half up; None: not a number, or beyond `TOO_MUCH`."""
    number = exact_decimal(value)
    if number is None:
        return None
    return whole_minor(number.scaleb(currency.digits).to_integral_value(ROUND_HALF_UP))
