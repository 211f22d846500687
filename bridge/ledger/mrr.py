"""The MRR of a subscription's terms: exact, in minor units per month, and whether it is an estimate.

The rules are Stripe Billing's own if published (metered prices and tax excluded, active and past_due count, only
discounts without end subtract); otherwise exact conventions (a week is 12/52 month, a day 12/365 month).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from bridge.ledger.catalog import Catalog
from bridge.ledger.policy import ChurnAt, MrrDiscounts, Policy
from processors.facts import Coupon, Discount, Duration, Interval, Item, Line, Price, Status, Terms, Tier, TiersMode

ZERO = Fraction(0)
COUNTING = frozenset({Status.ACTIVE, Status.PAST_DUE})
NOT_YET_COUNTING = frozenset({Status.INCOMPLETE, Status.TRIALING})  # a payment may prove these active

PERIODS_PER_MONTH: Mapping[Interval, Fraction] = {
    Interval.DAY: Fraction(365, 12),
    Interval.WEEK: Fraction(52, 12),
    Interval.MONTH: Fraction(1),
    Interval.YEAR: Fraction(1, 12),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mrr:
    """MRR in minor units, exact. `estimated`: it rests on an assumption, since the payloads leave something out."""

    exact: Fraction
    estimated: bool = False


NO_MRR = Mrr(exact=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuationContext:
    """Everything that a subscription's MRR depends on, apart from its terms.

    `billed_lines`: by price, the last lines billed for a full period; used if a price leaves something out.
    """

    at: datetime
    policy: Policy
    catalog: Catalog
    billed_lines: Mapping[str, Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuationRules:
    """The part of the context that is the same for every subscription of a settlement."""

    policy: Policy
    catalog: Catalog

    def context(self, at: datetime, billed_lines: Mapping[str, Line]) -> ValuationContext:
        """The context of one subscription at one moment."""
        return ValuationContext(at=at, policy=self.policy, catalog=self.catalog, billed_lines=billed_lines)


# ---- Subscriptions ------------------------------------------------------------------------------------------------


def mrr_of(terms: Terms, context: ValuationContext, *, proven_active: bool = False) -> Mrr:
    """The MRR of the terms now: 0 unless the status counts, and 0 if scheduled to cancel under `CHURN_AT=request`.

    `proven_active`: a payment has shown that it is active although its status does not say so yet.
    """
    counts = terms.status in COUNTING or (proven_active and terms.status in NOT_YET_COUNTING)
    if not counts or is_scheduled_to_cancel(terms, context.policy):
        return NO_MRR
    return mrr_if_active(terms, context)


def is_scheduled_to_cancel(terms: Terms, policy: Policy) -> bool:
    """Whether a scheduled end already counts as churn."""
    return policy.churn_at is ChurnAt.REQUEST and terms.cancels_at is not None


def mrr_if_active(terms: Terms, context: ValuationContext) -> Mrr:
    """The MRR of the terms, whatever the status."""
    parts = [_item_mrr(item, terms, context) for item in terms.items if item.counts]
    total = parts[0].exact if len(parts) == 1 else sum((part.exact for part in parts), ZERO)
    estimated = not terms.items_complete or any(part.estimated for part in parts)
    reduced, certain = _after_discounts(total, terms.discounts, _most_frequent_price(terms.items), terms, context)
    return Mrr(exact=reduced, estimated=estimated or not certain)


def mrr_of_lines(lines: Iterable[Line], catalog: Catalog, policy: Policy) -> Mrr:
    """An estimate from an invoice's lines for full periods. The subscription's state corrects it later."""
    total = ZERO
    for line in lines:
        if line.proration or line.metered:
            continue
        rate = _line_periods_per_month(line, catalog)
        billed = Fraction(line.amount) - (0 if policy.mrr_discounts is MrrDiscounts.NONE else Fraction(line.discount))
        total += max(billed, ZERO) * rate
    return Mrr(exact=total, estimated=True)


def main_item(terms: Terms, catalog: Catalog) -> Item | None:
    """The item that names the plan: the one of the highest MRR; the first of equals."""
    recurring = [item for item in terms.items if item.price.interval is not None]
    if len(recurring) < 2:
        return recurring[0] if recurring else None
    return max(
        recurring, key=lambda item: monthly(item.price, list_amount(catalog.full_price(item.price), item.quantity))
    )


def _item_mrr(item: Item, terms: Terms, context: ValuationContext) -> Mrr:
    price = context.catalog.full_price(item.price)
    if price.interval is None or price.metered:
        return NO_MRR
    amount, amount_certain = _period_amount(item, price, terms, context)
    reduced, certain = _after_discounts(monthly(price, amount), item.discounts, price, terms, context)
    return Mrr(exact=reduced, estimated=not (amount_certain and certain))


def _period_amount(item: Item, price: Price, terms: Terms, context: ValuationContext) -> tuple[Fraction, bool]:
    """One period's amount before discounts, and whether it is certain.

    A price in another currency than the subscription, or with tax included, has a list amount that differs from the
    charged amount; the last invoice's line has the latter.
    """
    is_not_charged = price.currency.code != terms.currency.code or price.tax_inclusive
    listed = list_amount(price, item.quantity)
    if listed is not None and not is_not_charged:
        return listed, True
    line = context.billed_lines.get(price.id)
    if line is None:
        return listed or ZERO, False
    if line.quantity == item.quantity or not line.quantity:
        return Fraction(line.amount), True
    is_proportional = not (price.tiered or price.divide_by)
    return Fraction(line.amount) * Fraction(item.quantity) / Fraction(line.quantity), is_not_charged and is_proportional


def _line_periods_per_month(line: Line, catalog: Catalog) -> Fraction:
    """By the line's interval, else its price's, else the days that it covers."""
    if line.interval is not None:
        return periods_per_month(line.interval, line.interval_count)
    seen = catalog.entries.get(("price", line.price_id or ""))
    if isinstance(seen, Price) and seen.interval is not None:
        return periods_per_month(seen.interval, seen.interval_count)
    return periods_per_month_of_days(line.days)


# ---- Discounts ----------------------------------------------------------------------------------------------------


def is_active_at(discount: Discount, at: datetime) -> bool:
    """Whether the discount has begun and not ended at this time."""
    if discount.ends_at is not None and discount.ends_at <= at:
        return False
    return discount.starts_at is None or discount.starts_at <= at


def _after_discounts(
    amount: Fraction, discounts: tuple[Discount, ...], price: Price | None, terms: Terms, context: ValuationContext
) -> tuple[Fraction, bool]:
    """A monthly amount after discounts (percent before amount, never below 0), and whether it is certain.

    `price`: the one whose interval an amount off applies to. If a coupon is unknown, the share that the last invoice
    took off is the best estimate.
    """
    applied = _applied_discounts(discounts, context)
    if not applied:
        return max(amount, ZERO), True
    coupons = [one.coupon for one in applied if one.coupon is not None and _is_known(one.coupon, terms)]
    certain = len(coupons) == len(applied)
    share = None if certain else _billed_share(terms, context)
    if share is not None:
        return amount * share, False
    for coupon in coupons:
        if coupon.percent is not None:
            amount *= 1 - min(Fraction(coupon.percent), Fraction(100)) / 100
    for coupon in coupons:
        if coupon.percent is None and price is not None:
            amount -= monthly(price, Fraction(coupon.amount_off[terms.currency.code]))
    return max(amount, ZERO), certain


def _applied_discounts(discounts: tuple[Discount, ...], context: ValuationContext) -> tuple[Discount, ...]:
    """The discounts that lower MRR at this moment under the merchant's policy, including those of unknown coupons."""
    if not discounts or context.policy.mrr_discounts is MrrDiscounts.NONE:
        return ()
    full = (context.catalog.full_discount(discount) for discount in discounts)
    return tuple(discount for discount in full if _applies(discount, context))


def _applies(discount: Discount, context: ValuationContext) -> bool:
    if not is_active_at(discount, context.at):
        return False
    duration = _duration(discount)
    if context.policy.mrr_discounts is MrrDiscounts.RECURRING:
        return duration is not Duration.ONCE
    return duration is Duration.FOREVER


def _duration(discount: Discount) -> Duration:
    """The coupon's duration; if it is unknown, repeating if the discount has an end, else forever."""
    if discount.coupon is not None and discount.coupon.duration is not None:
        return discount.coupon.duration
    return Duration.FOREVER if discount.ends_at is None else Duration.REPEATING


def _is_known(coupon: Coupon, terms: Terms) -> bool:
    """Whether it states its reduction in this currency."""
    return coupon.percent is not None or terms.currency.code in coupon.amount_off


def _billed_share(terms: Terms, context: ValuationContext) -> Fraction | None:
    """The share of the list amount that the last invoice charged, after all discounts; None: nothing was billed."""
    lines = [context.billed_lines[item.price.id] for item in terms.items if item.price.id in context.billed_lines]
    amount = sum((Fraction(line.amount) for line in lines), ZERO)
    if amount <= 0:
        return None
    return max(1 - sum((Fraction(line.discount) for line in lines), ZERO) / amount, ZERO)


def _most_frequent_price(items: Iterable[Item]) -> Price | None:
    """The price of the shortest interval: an amount off a subscription comes off each of its invoices."""
    recurring = [item.price for item in items if item.price.interval is not None and not item.price.metered]
    return max(recurring, key=lambda price: monthly(price, Fraction(1)), default=None)


# ---- Prices -------------------------------------------------------------------------------------------------------


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
