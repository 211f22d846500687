"""The amount of one item: by its price where that says it all, else by what bills charged, else by assumption."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil, floor

from bridge.ledger.list_prices import ZERO, list_amount
from bridge.ledger.measurements import Measurement, shows_tax
from bridge.ledger.tax_inside import HALF, billed_rate, other_measurements, rate_inside, rate_of_others
from bridge.ledger.valuation import ValuationContext
from processors.facts import Interval, Item, Line, Period, Price
from processors.money import Currency
from processors.values import Value, replace

BILLED_WITHIN = timedelta(hours=1)  # a state's invoice follows it within this time
SECOND = timedelta(seconds=1)
MONTHS: Mapping[Interval, int] = {Interval.MONTH: 1, Interval.YEAR: 12}
DAYS: Mapping[Interval, int] = {Interval.DAY: 1, Interval.WEEK: 7}
SHARE_DECIMALS = 5  # of a stated share of a period, at least


class PeriodAmount(Value):
    """One period's amount of an item, in minor units before discounts, with and without the tax inside."""

    gross: Fraction
    net: Fraction
    certain: bool = True


def period_amount(item: Item, price: Price, currency: Currency, context: ValuationContext) -> PeriodAmount:
    """One period's amount of an item before discounts.

    The list amount of a price counts in its own currency, less the tax inside. Where it is not known, or in another
    currency, or its tax is not: the amount that a bill charged. Else the list amount in proportion to what bills
    charged for other prices, which is only an estimate.
    """
    listed = list_amount(price, item.quantity)
    several = context.measured.get(price.id, ())
    measurement = best_measurement(item, several, context.at)
    taxed = best_measurement(item, tuple(filter(shows_tax, several)), context.at)
    if listed is not None and price.currency.code == currency.code:
        rate, certain = rate_inside(item, price, taxed, currency, context)
        if rate is not None:
            return PeriodAmount(gross=listed, net=listed / (1 + rate), certain=certain)
    assumed = _assumed(price, listed, currency, context)
    if measurement is None:
        return assumed
    billed = billed_period(measurement, item, price, assumed.gross, currency, context.periods) or assumed
    return billed if shows_tax(measurement) else _less_tax_inside(billed, item, price, taxed, currency, context)


def best_measurement(item: Item, several: tuple[Measurement, ...], at: datetime) -> Measurement | None:
    """The measurement that fits an item at this time best, or None.

    A full period is better than a part, the same quantity better than another (first of all for a price whose amount
    is not proportional), and the latest by then better than a later one: a bill may be dated before or after the state.
    """

    def rank(one: Measurement) -> tuple[bool, bool, bool, timedelta]:
        is_same, is_full = one.line.quantity == item.quantity, not one.line.proration
        first, second = (is_full, is_same) if is_proportional(item.price) else (is_same, is_full)
        return (first, second, one.at <= at + BILLED_WITHIN, -abs(at - one.at))

    return max(several, key=rank, default=None)


def is_proportional(price: Price) -> bool:
    """Whether the amount is proportional to the quantity."""
    return not (price.tiered or price.divide_by)


def _less_tax_inside(
    billed: PeriodAmount,
    item: Item,
    price: Price,
    taxed: Measurement | None,
    currency: Currency,
    context: ValuationContext,
) -> PeriodAmount:
    """The amount of a bill that was discounted to 0, less the tax that another bill shows."""
    rate, certain = rate_inside(item, price, taxed, currency, context)
    return replace(billed, net=billed.gross / (1 + (rate or ZERO)), certain=billed.certain and certain)


# ---- As a bill shows it ---------------------------------------------------------------------------------------------


def billed_period(
    one: Measurement, item: Item, price: Price, assumed: Fraction, currency: Currency, periods: Mapping[str, Period]
) -> PeriodAmount | None:
    """The amount of a full period of the item by a bill; None: the bill does not show it. `assumed`: without a bill."""
    if one.line.proration:
        rate, share = _rate_of_rest(one, price, currency), _share_of_period(one.line, price, periods)
        return _from_rest(one.line, item, price, rate, share, assumed)
    line = one.line
    is_same = line.quantity == item.quantity or not line.quantity
    seats = Fraction(1) if is_same else Fraction(item.quantity) / Fraction(line.quantity)
    gross = Fraction(line.amount)
    return PeriodAmount(gross=gross * seats, net=_net(gross, line) * seats, certain=is_same or is_proportional(price))


def _net(gross: Fraction, line: Line) -> Fraction:
    """The amount without the tax inside, which was computed after the discounts."""
    paid = Fraction(line.amount - line.discount)
    return gross * (paid - Fraction(line.tax_inside or 0)) / paid if paid else gross


def _rate_of_rest(one: Measurement, price: Price, currency: Currency) -> Fraction:
    rate = billed_rate(one, currency)
    if rate is None and price.tax_inclusive:
        return Fraction(one.line.tax_rate or 0) / 100
    return rate or Fraction(0)


class _Share(Value):
    """The share of a period that a line charges, how far it may be off, and whether the period is certain."""

    of_period: Fraction
    error: Fraction = Fraction(0)
    certain: bool = True


def _from_rest(
    line: Line, item: Item, price: Price, rate: Fraction, share: _Share | None, assumed: Fraction
) -> PeriodAmount | None:
    """From the charge for the rest of a period: it is a known share of the whole, rounded to a minor unit.

    The whole is a whole number of minor units for each seat. Of several such numbers the assumed one is right if it
    is among them: merchants convert all their prices alike. Else the nearest one is an estimate.
    """
    if share is None or (line.discount_ids and not line.discount):  # a charge that is stated after discounts
        return None
    on_top = 1 + rate if line.tax_inside is None else Fraction(1)
    seats = Fraction(line.quantity) if is_proportional(price) and line.quantity else Fraction(1)
    charged, half = Fraction(line.amount) * on_top, HALF * on_top
    low = ceil((charged - half) / (share.of_period + share.error) / seats)
    high = floor((charged + half) / (share.of_period - share.error) / seats)
    scale = Fraction(item.quantity) if is_proportional(price) else Fraction(1)
    exact = charged / share.of_period / seats
    is_assumed = bool(assumed) and low <= assumed / scale <= high
    whole = assumed / scale if is_assumed else Fraction(round(exact)) if low <= high else exact
    is_same = line.quantity == item.quantity or is_proportional(price)
    certain = is_same and (is_assumed or (share.certain and low == high))
    return PeriodAmount(gross=whole * scale, net=whole * scale / (1 + rate), certain=certain)


def _share_of_period(line: Line, price: Price, periods: Mapping[str, Period]) -> _Share | None:
    """The share of a period that a line charges; None: it is not known."""
    if line.share is not None:
        decimals = max(SHARE_DECIMALS, -int(line.share.as_tuple().exponent))
        return _Share(of_period=Fraction(line.share), error=HALF / 10**decimals) if line.share > 0 else None
    if line.starts_at is None or line.ends_at is None:
        return None
    known = periods.get(price.id)
    is_known = known is not None and known.ends_at == line.ends_at
    begun = known.starts_at if known is not None and is_known else _one_period_before(line.ends_at, price)
    rest, whole = line.ends_at - line.starts_at, line.ends_at - begun
    if not timedelta(0) < rest <= whole:
        return None
    return _Share(of_period=Fraction(rest // SECOND, whole // SECOND), certain=is_known)


def _one_period_before(end: datetime, price: Price) -> datetime:
    if price.interval is None:
        return end
    if price.interval in DAYS:
        return end - timedelta(days=DAYS[price.interval] * price.interval_count)
    months = end.year * 12 + end.month - 1 - MONTHS[price.interval] * price.interval_count
    first = end.replace(year=months // 12, month=months % 12 + 1, day=1)
    last_day = ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day
    return first.replace(day=min(end.day, last_day))


# ---- By assumption --------------------------------------------------------------------------------------------------


def _assumed(price: Price, listed: Fraction | None, currency: Currency, context: ValuationContext) -> PeriodAmount:
    """The list amount, converted as the bills converted other prices, less the tax that they showed."""
    if listed is None:
        return PeriodAmount(gross=ZERO, net=ZERO, certain=False)
    rate = rate_of_others(price, currency, context) if price.tax_inclusive else ZERO
    gross = listed * (_conversion(price, context) if price.currency.code != currency.code else 1)
    return PeriodAmount(gross=gross, net=gross / (1 + rate), certain=False)


def _conversion(price: Price, context: ValuationContext) -> Fraction:
    """Minor units charged for one listed minor unit of the price's currency; 1 where no bill shows it."""
    found = (
        Fraction(one.line.amount) / one.listed
        for one in other_measurements(price, context)
        if one.listed and one.currency == price.currency.code and not one.line.proration
    )
    return next(found, Fraction(1))
