"""The level of MRR that a subscription's terms are worth: exact, in minor units per month, and how sure it is.

The rules are Stripe Billing's own where they are published (metered prices excluded, tax excluded, active and
past_due count, only endless discounts subtract); where they are not, conventions made exact (week 52/12, day 365/12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from bridge.ledger.events import ChurnAt, MrrDiscounts, Policy
from bridge.ledger.knowledge import Knowledge
from processors.facts import Coupon, Discount, Duration, Interval, Item, Line, Price, Status, Terms, Tier, TiersMode

ZERO = Fraction(0)

COUNTING = frozenset({Status.ACTIVE, Status.PAST_DUE})
UNPROVEN = frozenset({Status.INCOMPLETE, Status.TRIALING})

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """MRR in minor units, exact. `estimated`: it rests on a guess, since the payloads leave something out."""

    exact: Fraction
    estimated: bool = False


NOTHING = Level(exact=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """With what eyes terms are read: the moment, the merchant's policy, what is known, and what was billed last."""

    at: datetime
    policy: Policy
    knowledge: Knowledge
    lines: Mapping[str, Line]


def worth(terms: Terms, view: View, *, proven: bool = False) -> Level:
    """What the terms add to MRR now: 0 unless the status counts, and not cancelled under `CHURN_AT=request`.

    `proven`: a payment has shown that it runs although its status does not say so yet.
    """
    counts = terms.status in COUNTING or (proven and terms.status in UNPROVEN)
    if not counts or leaving(terms, view.policy):
        return NOTHING
    return potential(terms, view)


def leaving(terms: Terms, policy: Policy) -> bool:
    """Whether a scheduled end already counts as churn."""
    return policy.churn_at is ChurnAt.REQUEST and terms.cancels_at is not None


def potential(terms: Terms, view: View) -> Level:
    """What the terms would add to MRR if their status counted."""
    parts = [_item(item, terms, view) for item in terms.items if item.counts]
    total = parts[0].exact if len(parts) == 1 else sum((part.exact for part in parts), ZERO)
    estimated = not terms.items_complete or any(part.estimated for part in parts)
    reduced, sure = _reduced(total, terms.discounts, _shortest(terms.items), terms, view)
    return Level(exact=reduced, estimated=estimated or not sure)


def of_lines(lines: Iterable[Line], knowledge: Knowledge, policy: Policy) -> Level:
    """An estimate of the level from what an invoice billed for full periods. The state corrects it when it comes."""
    total = ZERO
    for line in lines:
        if line.proration or line.metered:
            continue
        rate = _line_rate(line, knowledge)
        billed = Fraction(line.amount) - (0 if policy.mrr_discounts is MrrDiscounts.NONE else Fraction(line.discount))
        total += max(billed, ZERO) * rate
    return Level(exact=total, estimated=True)


def interval_name(interval: Interval, count: int) -> str:
    """How Pulsora's `metadata.interval` calls it: monthly, annual, …, else every-2-weeks."""
    return NAMES.get((interval, count)) or f"every-{count}-{interval}s"


def main_item(terms: Terms, knowledge: Knowledge) -> Item | None:
    """The item that names the plan: the one worth most a month; of equals, the first."""
    recurring = [item for item in terms.items if item.price.interval is not None]
    if len(recurring) < 2:
        return recurring[0] if recurring else None
    return max(recurring, key=lambda item: _monthly(item.price, _listed(knowledge.price(item.price), item.quantity)))


def _item(item: Item, terms: Terms, view: View) -> Level:
    price = view.knowledge.price(item.price)
    if price.interval is None or price.metered:
        return NOTHING
    amount, sure = _period_amount(item, price, terms, view)
    monthly = _monthly(price, amount)
    reduced, certain = _reduced(monthly, item.discounts, price, terms, view)
    return Level(exact=reduced, estimated=not (sure and certain))


def _period_amount(item: Item, price: Price, terms: Terms, view: View) -> tuple[Fraction, bool]:
    """One period's amount before discounts, and whether it is certain."""
    foreign = price.currency.code != terms.currency.code or price.tax_inclusive
    listed = _listed(price, item.quantity)
    if listed is not None and not foreign:
        return listed, True
    line = view.lines.get(price.id)
    if line is None:
        return listed or ZERO, False
    if line.quantity == item.quantity or not line.quantity:
        return Fraction(line.amount), True
    in_proportion = not (price.tiered or price.divide_by)
    return Fraction(line.amount) * Fraction(item.quantity) / Fraction(line.quantity), foreign and in_proportion


def _listed(price: Price, quantity: Decimal) -> Fraction | None:
    """One period's amount after the price itself, or None: the payload leaves out what it is."""
    count = _units(price, quantity)
    if price.tiered:
        return _tiered(price, count) if price.tiers else None
    return None if price.unit_amount is None else Fraction(price.unit_amount) * count


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


def _monthly(price: Price, amount: Fraction | None) -> Fraction:
    if amount is None or price.interval is None:
        return ZERO
    return amount * _periods_a_month(price.interval, price.interval_count)


@lru_cache(maxsize=64)
def _periods_a_month(interval: Interval, count: int) -> Fraction:
    return PER_MONTH[interval] / max(count, 1)


def _shortest(items: Iterable[Item]) -> Price | None:
    """The price billed most often: a subscription's amount off comes off each of its invoices."""
    recurring = [item.price for item in items if item.price.interval is not None and not item.price.metered]
    return max(recurring, key=lambda price: _monthly(price, Fraction(1)), default=None)


def _at_work(discounts: tuple[Discount, ...], view: View) -> tuple[Discount, ...]:
    """The discounts that lower MRR at this moment under the merchant's policy; unknown coupons among them."""
    if not discounts or view.policy.mrr_discounts is MrrDiscounts.NONE:
        return ()
    full = (view.knowledge.discount(discount) for discount in discounts)
    return tuple(discount for discount in full if _applies(discount, view))


def runs(discount: Discount, at: datetime) -> bool:
    """Whether the discount has begun and not ended at this moment."""
    if discount.ends_at is not None and discount.ends_at <= at:
        return False
    return discount.starts_at is None or discount.starts_at <= at


def _applies(discount: Discount, view: View) -> bool:
    if not runs(discount, view.at):
        return False
    duration = _duration(discount)
    if view.policy.mrr_discounts is MrrDiscounts.RECURRING:
        return duration is not Duration.ONCE
    return duration is Duration.FOREVER


def _duration(discount: Discount) -> Duration:
    """How long it lasts, where its coupon does not say: one that has an end repeats until then."""
    if discount.coupon is not None and discount.coupon.duration is not None:
        return discount.coupon.duration
    return Duration.FOREVER if discount.ends_at is None else Duration.REPEATING


def _reduced(
    monthly: Fraction, stated: tuple[Discount, ...], price: Price | None, terms: Terms, view: View
) -> tuple[Fraction, bool]:
    """The monthly amount after discounts (percent before amount, never below 0), and whether it is certain."""
    discounts = _at_work(stated, view)
    if not discounts:
        return _not_below_0(monthly), True
    coupons = [discount.coupon for discount in discounts if discount.coupon is not None]
    sure = len(coupons) == len(discounts)
    for coupon in coupons:
        if coupon.percent is not None:
            monthly *= 1 - min(Fraction(coupon.percent), Fraction(100)) / 100
    for coupon in coupons:
        if price is not None and coupon.percent is None:
            off, known = _amount_off(coupon, terms)
            monthly -= _monthly(price, off)
            sure = sure and known
    if not sure:
        monthly *= _billed_share(terms, view)
    return _not_below_0(monthly), sure


def _not_below_0(monthly: Fraction) -> Fraction:
    return monthly if monthly.numerator > 0 else ZERO


def _amount_off(coupon: Coupon, terms: Terms) -> tuple[Fraction, bool]:
    minor = coupon.amount_off.get(terms.currency.code)
    return (ZERO, False) if minor is None else (Fraction(minor), True)


def _billed_share(terms: Terms, view: View) -> Fraction:
    """What share of the list amount the last invoice asked for, when a coupon is known by its id alone."""
    lines = [view.lines[item.price.id] for item in terms.items if item.price.id in view.lines]
    amount = sum((Fraction(line.amount) for line in lines), ZERO)
    if amount <= 0:
        return Fraction(1)
    return max(1 - sum((Fraction(line.discount) for line in lines), ZERO) / amount, ZERO)


def _line_rate(line: Line, knowledge: Knowledge) -> Fraction:
    """Periods a month of what a line billed: its interval, else its price's, else the days it covers."""
    if line.interval is not None:
        return _periods_a_month(line.interval, line.interval_count)
    seen = knowledge.entries.get(("price", line.price_id or ""))
    if isinstance(seen, Price) and seen.interval is not None:
        return _periods_a_month(seen.interval, seen.interval_count)
    return _rate_of_days(line.days)


def _rate_of_days(days: int | None) -> Fraction:
    """Whole months and years are told by their length; anything else counts by the day."""
    if not days or 28 <= days <= 31:
        return Fraction(1)
    for months, least, most in ((3, 89, 92), (6, 181, 184), (12, 365, 366), (24, 730, 731)):
        if least <= days <= most:
            return Fraction(1, months)
    return Fraction(365, 12) / days
