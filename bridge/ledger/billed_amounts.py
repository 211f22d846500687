"""The amount and the tax of one full period, as far as a bill shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from bridge.ledger.measurements import Measurement
from processors.facts import Interval, Item, Line, Period, Price
from processors.money import Currency

HALF = Fraction(1, 2)
SECOND = timedelta(seconds=1)
MONTHS: Mapping[Interval, int] = {Interval.MONTH: 1, Interval.YEAR: 12}
DAYS: Mapping[Interval, int] = {Interval.DAY: 1, Interval.WEEK: 7}
RATE_DECIMALS = 4  # of a percentage of tax
SHARE_DECIMALS = 5  # of a stated share of a period, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodAmount:
    """One period's amount of an item, in minor units before discounts, with and without the tax inside."""

    gross: Fraction
    net: Fraction
    certain: bool = True


def best_measurement(
    item: Item, several: tuple[Measurement, ...], at: datetime, tolerance: timedelta
) -> Measurement | None:
    """The measurement that fits an item at this time best, or None.

    A full period is better than a part, the same quantity better than another (first of all for a price whose amount
    is not proportional), and the latest by then better than a later one: a bill may be dated before or after the state.
    """

    def rank(one: Measurement) -> tuple[bool, bool, bool, timedelta]:
        is_same, is_full = one.line.quantity == item.quantity, not one.line.proration
        first, second = (is_full, is_same) if is_proportional(item.price) else (is_same, is_full)
        return (first, second, one.at <= at + tolerance, -abs(at - one.at))

    return max(several, key=rank, default=None)


def is_proportional(price: Price) -> bool:
    """Whether the amount is proportional to the quantity."""
    return not (price.tiered or price.divide_by)


# ---- The tax inside -----------------------------------------------------------------------------------------------


def tax_inside(one: Measurement, currency: Currency, stated: Decimal | None = None) -> Fraction | None:
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


# ---- The amount of a full period ----------------------------------------------------------------------------------


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
    rate = tax_inside(one, currency)
    if rate is None and price.tax_inclusive:
        return Fraction(one.line.tax_rate or 0) / 100
    return rate or Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
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
