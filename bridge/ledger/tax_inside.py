"""The tax inside an amount: its rate, as bills show it, as tax rates state it, or as other prices make it likely."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from bridge.ledger.list_prices import ZERO
from bridge.ledger.measurements import Measurement
from bridge.ledger.valuation import ValuationContext
from processors.facts import Item, Price
from processors.money import Currency

HALF = Fraction(1, 2)
RATE_DECIMALS = 4  # of a percentage of tax


def rate_inside(
    item: Item, price: Price, measurement: Measurement | None, currency: Currency, context: ValuationContext
) -> tuple[Fraction | None, bool]:
    """The rate of the tax inside, and whether it is certain. None: a bill contradicts the list amount.

    A bill knows best: also that a customer is exempt. Then the tax rates on item and subscription; then the rate that
    a bill shows for another price of the subscription, which is only likely to be the same.
    """
    is_billed_inside = measurement is not None and bool(measurement.line.tax_inside)
    is_stated_inside = price.tax_inclusive or item.tax_inside is not None
    if measurement is not None and (is_billed_inside or is_stated_inside):
        rate = billed_rate(measurement, currency, item.tax_inside)
        if rate is not None or measurement.line.tax_inside is None:
            return rate, True
    if item.tax_inside is not None:
        return Fraction(item.tax_inside) / 100, True
    if price.tax_inclusive or (item.tax_by_account and measurement is None):
        return rate_of_others(price, currency, context), False
    return ZERO, True


def rate_of_others(price: Price, currency: Currency, context: ValuationContext) -> Fraction:
    """The rate that the latest bill shows for another price; 0: none shows any."""
    rates = (billed_rate(one, currency) for one in other_measurements(price, context))
    return next((rate for rate in rates if rate), ZERO)


def other_measurements(price: Price, context: ValuationContext) -> Iterator[Measurement]:
    """The measurements of other prices, the latest first."""
    several = [one for price_id, found in context.measured.items() if price_id != price.id for one in found]
    return iter(sorted(several, key=lambda one: abs(context.at - one.at)))


# ---- As a bill shows it ---------------------------------------------------------------------------------------------


def billed_rate(one: Measurement, currency: Currency, stated: Decimal | None = None) -> Fraction | None:
    """The rate of the tax inside the listed amount (1/5 is 20 %), as the bill shows it; None: it does not.

    `stated`: the percentage that the subscription states. A rate is used rather than the rounded tax, so that the
    next bill of another quantity gives the same.
    """
    line = one.line
    if line.tax_inside is None:
        return _tax_above(one) if one.currency == currency.code else None
    paid, tax = Fraction(line.amount - line.discount), Fraction(line.tax_inside)
    if not paid:
        return None
    if not tax:
        return tax
    named = (Fraction(rate) / 100 for rate in (line.tax_rate, stated) if rate)
    fitting = (rate for rate in named if abs(paid * rate / (1 + rate) - tax) <= 1)
    return next(fitting, None) or _plainest_rate(tax, paid - tax)


def _tax_above(one: Measurement) -> Fraction | None:
    """The rate of a line without tax: what makes its amount the listed one; None: neither its rate nor 0 does."""
    if one.listed is None:
        return None
    share = Fraction(one.line.share) if one.line.proration and one.line.share else Fraction(1)
    expected = one.listed * share
    slack = max(expected / 200, Fraction(1)) if one.line.proration else Fraction(1)
    rates = (Fraction(0), Fraction(one.line.tax_rate or 0) / 100)
    best = min(rates, key=lambda rate: abs(expected / (1 + rate) - Fraction(one.line.amount)))
    return best if abs(expected / (1 + best) - Fraction(one.line.amount)) <= slack else None


def _plainest_rate(tax: Fraction, net: Fraction) -> Fraction:
    """The rate with the fewest decimals of a percent that gives this tax, which is rounded to a minor unit."""
    exact = tax / net if net else Fraction(0)
    if net <= HALF or tax <= HALF:
        return exact
    low, high = (tax - HALF) / (net + HALF), (tax + HALF) / (net - HALF)
    for decimals in range(RATE_DECIMALS + 1):
        unit = Fraction(1, 100 * 10**decimals)
        nearest = round(exact / unit) * unit
        if low <= nearest <= high:
            return nearest
    return exact
