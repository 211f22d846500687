"""The amount of one item: by its price where that says it all, else by what bills charged, else by assumption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from bridge.ledger.billed_amounts import PeriodAmount, best_measurement, billed_period, tax_inside
from bridge.ledger.list_prices import ZERO, list_amount
from bridge.ledger.measurements import Measurement, shows_tax
from bridge.ledger.valuation import ValuationContext
from processors.facts import Item, Price
from processors.money import Currency

BILLED_WITHIN = timedelta(hours=1)  # a state's invoice follows it within this time


def period_amount(item: Item, price: Price, currency: Currency, context: ValuationContext) -> PeriodAmount:
    """One period's amount of an item before discounts.

    The list amount of a price counts in its own currency, less the tax inside. Where it is not known, or in another
    currency, or its tax is not: the amount that a bill charged. Else the list amount in proportion to what bills
    charged for other prices, which is only an estimate.
    """
    listed = list_amount(price, item.quantity)
    several = context.measured.get(price.id, ())
    measurement = best_measurement(item, several, context.at, BILLED_WITHIN)
    taxed = best_measurement(item, tuple(filter(shows_tax, several)), context.at, BILLED_WITHIN)
    if listed is not None and price.currency.code == currency.code:
        rate, certain = _rate_inside(item, price, taxed, currency, context)
        if rate is not None:
            return PeriodAmount(gross=listed, net=listed / (1 + rate), certain=certain)
    assumed = _assumed(price, listed, currency, context)
    if measurement is None:
        return assumed
    billed = billed_period(measurement, item, price, assumed.gross, currency, context.periods) or assumed
    return billed if shows_tax(measurement) else _with_rate_inside(billed, item, price, taxed, currency, context)


# ---- The tax inside a list amount ---------------------------------------------------------------------------------


def _with_rate_inside(
    billed: PeriodAmount,
    item: Item,
    price: Price,
    taxed: Measurement | None,
    currency: Currency,
    context: ValuationContext,
) -> PeriodAmount:
    """The amount of a bill that was discounted to 0, less the tax that another bill shows."""
    rate, certain = _rate_inside(item, price, taxed, currency, context)
    return replace(billed, net=billed.gross / (1 + (rate or ZERO)), certain=billed.certain and certain)


def _rate_inside(
    item: Item, price: Price, measurement: Measurement | None, currency: Currency, context: ValuationContext
) -> tuple[Fraction | None, bool]:
    """The rate of the tax inside, and whether it is certain. None: a bill contradicts the list amount.

    A bill knows best: also that a customer is exempt. Then the tax rates on item and subscription; then the rate that
    a bill shows for another price of the subscription, which is only likely to be the same.
    """
    is_billed_inside = measurement is not None and bool(measurement.line.tax_inside)
    is_stated_inside = price.tax_inclusive or item.tax_inside is not None
    if measurement is not None and (is_billed_inside or is_stated_inside):
        rate = tax_inside(measurement, currency, item.tax_inside)
        if rate is not None or measurement.line.tax_inside is None:
            return rate, True
    if item.tax_inside is not None:
        return Fraction(item.tax_inside) / 100, True
    if price.tax_inclusive or (item.tax_by_account and measurement is None):
        return _rate_of_others(price, currency, context), False
    return ZERO, True


def _rate_of_others(price: Price, currency: Currency, context: ValuationContext) -> Fraction:
    """The rate that the latest bill shows for another price; 0: none shows any."""
    rates = (tax_inside(one, currency) for one in _others(price, context))
    return next((rate for rate in rates if rate), ZERO)


# ---- By assumption ------------------------------------------------------------------------------------------------


def _assumed(price: Price, listed: Fraction | None, currency: Currency, context: ValuationContext) -> PeriodAmount:
    """The list amount, converted as the bills converted other prices, less the tax that they showed."""
    if listed is None:
        return PeriodAmount(gross=ZERO, net=ZERO, certain=False)
    rate = _rate_of_others(price, currency, context) if price.tax_inclusive else ZERO
    gross = listed * (_conversion(price, context) if price.currency.code != currency.code else 1)
    return PeriodAmount(gross=gross, net=gross / (1 + rate), certain=False)


def _conversion(price: Price, context: ValuationContext) -> Fraction:
    """Minor units charged for one listed minor unit of the price's currency; 1 where no bill shows it."""
    found = (
        Fraction(one.line.amount) / one.listed
        for one in _others(price, context)
        if one.listed and one.currency == price.currency.code and not one.line.proration
    )
    return next(found, Fraction(1))


def _others(price: Price, context: ValuationContext) -> Iterator[Measurement]:
    """The measurements of other prices, the latest first."""
    several = [one for price_id, found in context.measured.items() if price_id != price.id for one in found]
    return iter(sorted(several, key=lambda one: abs(context.at - one.at)))
