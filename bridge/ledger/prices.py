"""What a price asks for a quantity: units, packages and tiers, and how many of its periods make a month."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from processors.facts import Interval, Price, Tier, TiersMode

ZERO = Fraction(0)

PER_MONTH: Mapping[Interval, Fraction] = {
    Interval.DAY: Fraction(365, 12),
    Interval.WEEK: Fraction(52, 12),
    Interval.MONTH: Fraction(1),
    Interval.YEAR: Fraction(1, 12),
}

NAMES: Mapping[tuple[Interval, int], str] = {
    (Interval.DAY, 1): "daily",
    (Interval.WEEK, 1): "weekly",
    (Interval.MONTH, 1): "monthly",
    (Interval.MONTH, 3): "quarterly",
    (Interval.MONTH, 6): "semiannual",
    (Interval.MONTH, 12): "annual",
    (Interval.YEAR, 1): "annual",
}


def listed(price: Price, quantity: Decimal) -> Fraction | None:
    """One period's amount after the price itself, or None: the payload leaves out what it is."""
    count = _units(price, quantity)
    if price.tiered:
        return _tiered(price, count) if price.tiers else None
    return None if price.unit_amount is None else Fraction(price.unit_amount) * count


def monthly(price: Price, amount: Fraction | None) -> Fraction:
    """What a period's amount comes to a month."""
    if amount is None or price.interval is None:
        return ZERO
    return amount * periods_a_month(price.interval, price.interval_count)


@lru_cache(maxsize=64)
def periods_a_month(interval: Interval, count: int) -> Fraction:
    """How many periods of an interval make a month."""
    return PER_MONTH[interval] / max(count, 1)


def rate_of_days(days: int | None) -> Fraction:
    """Whole months and years are told by their length; anything else counts by the day."""
    if not days or 28 <= days <= 31:
        return Fraction(1)
    for months, least, most in ((3, 89, 92), (6, 181, 184), (12, 365, 366), (24, 730, 731)):
        if least <= days <= most:
            return Fraction(1, months)
    return Fraction(365, 12) / days


def interval_name(interval: Interval, count: int) -> str:
    """How Pulsora's `metadata.interval` calls it: monthly, annual, …, else every-2-weeks."""
    return NAMES.get((interval, count)) or f"every-{count}-{interval}s"


def _units(price: Price, quantity: Decimal) -> Fraction:
    """Units to be paid after `transform_quantity`: packages, rounded up or down."""
    count = Fraction(quantity)
    if not price.divide_by:
        return count
    packages = count / price.divide_by
    return Fraction(-(-packages.numerator // packages.denominator) if price.divide_rounds_up else int(packages))


def _tiered(price: Price, count: Fraction) -> Fraction:
    if price.tiers_mode is TiersMode.VOLUME:
        return next((_tier(tier, count) for tier in price.tiers if tier.up_to is None or count <= tier.up_to), ZERO)
    total, reached = ZERO, ZERO
    for tier in price.tiers:
        top = count if tier.up_to is None else min(count, Fraction(tier.up_to))
        if top > reached or (count == 0 and reached == 0):
            total += _tier(tier, top - reached)
            reached = top
        if reached >= count:
            break
    return total


def _tier(tier: Tier, count: Fraction) -> Fraction:
    return Fraction(tier.unit_amount) * count + Fraction(tier.flat_amount)
