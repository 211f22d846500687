"""List prices: the amount of one period by unit amount, tiers and packages, and its share of a month."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from processors.facts import Interval, Price, Tier, TiersMode

ZERO = Fraction(0)

PERIODS_PER_MONTH: Mapping[Interval, Fraction] = {
    Interval.DAY: Fraction(365, 12),
    Interval.WEEK: Fraction(52, 12),
    Interval.MONTH: Fraction(1),
    Interval.YEAR: Fraction(1, 12),
}


def list_amount(price: Price, quantity: Decimal) -> Fraction | None:
    """One period's list amount in minor units, exact. None: the payload leaves it out."""
    units = _billable_units(price, quantity)
    if price.tiered:
        return _tiered_amount(price, units) if price.tiers else None
    return None if price.unit_amount is None else Fraction(price.unit_amount) * units


def monthly(price: Price, amount: Fraction | None) -> Fraction:
    """A period's amount per month."""
    if amount is None or price.interval is None:
        return ZERO
    return amount * periods_per_month(price.interval, price.interval_count)


@lru_cache(maxsize=64)
def periods_per_month(interval: Interval, count: int) -> Fraction:
    """How many periods of `count` intervals a month has."""
    return PERIODS_PER_MONTH[interval] / max(count, 1)


def periods_per_month_of_days(days: int | None) -> Fraction:
    """The same for a period of this length. Lengths of whole months and years count as such, others by the day."""
    if not days or 28 <= days <= 31:
        return Fraction(1)
    for months, least, most in ((3, 89, 92), (6, 181, 184), (12, 365, 366), (24, 730, 731)):
        if least <= days <= most:
            return Fraction(1, months)
    return Fraction(365, 12) / days


def _billable_units(price: Price, quantity: Decimal) -> Fraction:
    """Units after Stripe's `transform_quantity`: packages, rounded up or down."""
    count = Fraction(quantity)
    if not price.divide_by:
        return count
    packages = count / price.divide_by
    return Fraction(-(-packages.numerator // packages.denominator) if price.divide_rounds_up else int(packages))


def _tiered_amount(price: Price, count: Fraction) -> Fraction:
    if price.tiers_mode is TiersMode.VOLUME:
        return next(
            (_tier_amount(tier, count) for tier in price.tiers if tier.up_to is None or count <= tier.up_to), ZERO
        )
    total, reached = ZERO, ZERO
    for tier in price.tiers:
        top = count if tier.up_to is None else min(count, Fraction(tier.up_to))
        if top > reached or (count == 0 and reached == 0):  # Stripe charges the first tier's flat amount also for 0
            total += _tier_amount(tier, top - reached)
            reached = top
        if reached >= count:
            break
    return total


def _tier_amount(tier: Tier, count: Fraction) -> Fraction:
    return Fraction(tier.unit_amount) * count + Fraction(tier.flat_amount)
