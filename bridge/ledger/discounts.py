"""Discounts: which of them lower MRR, the items that each comes off, and their order.

Stripe applies the discounts of an item before those of its subscription, each list in its order: "20% off then 5 USD
off" is not "5 USD off then 20% off" (docs.stripe.com/billing/subscriptions/coupons, stackable coupons). "When a
subscription has no discounts, the customer-level discount, if any, applies to invoices" (the same page).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from math import ceil, floor

from bridge.ledger.list_prices import ZERO, monthly
from bridge.ledger.measurements import Measurement, scope_key
from bridge.ledger.policy import MrrDiscounts
from bridge.ledger.valuation import ValuationContext
from processors.facts import Coupon, Discount, Duration, Fact, Line, Link, Price, Terms
from processors.money import Currency
from processors.values import Value, replace

ROUNDING = Fraction(1, 2)  # of a line's discount, in minor units
MAX_CUSTOMER_DISCOUNTS = 20  # a customer has one at a time; the latest are kept


class Part(Value):
    """One item's amount per month in minor units, with and without the tax inside.

    A discount comes off the amount with tax, so an amount off counts without its share of the tax.
    """

    price: Price
    gross: Fraction
    net: Fraction
    certain: bool

    def scaled(self, factor: Fraction) -> Part:
        """The part after a reduction."""
        return replace(self, gross=self.gross * factor, net=self.net * factor)


def is_active_at(discount: Discount, at: datetime) -> bool:
    """Whether the discount has begun and not ended at this time."""
    if discount.ends_at is not None and discount.ends_at <= at:
        return False
    return discount.starts_at is None or discount.starts_at <= at


def discounts_of(terms: Terms, context: ValuationContext) -> tuple[Discount, ...]:
    """The subscription's discounts; without any, the customer's latest one that is active."""
    if terms.discounts:
        return terms.discounts
    active = [one for one in context.customer_discounts if is_active_at(one, context.at)]
    latest = max(active, key=lambda one: (one.starts_at is not None, one.starts_at or context.at), default=None)
    return () if latest is None else (latest,)


def with_customer_discounts(known: tuple[Discount, ...], facts: Iterable[Fact]) -> tuple[Discount, ...]:
    """The customer's discounts after these facts. One that was said to have ended has ended, in whatever order."""
    found = {discount.id or discount.coupon_id: discount for discount in known}
    for fact in facts:
        discount = fact.customer_discount if isinstance(fact, Link) else None
        if discount is None:
            continue
        key = discount.id or discount.coupon_id
        same = found.get(key, discount)
        ends = [one.ends_at for one in (same, discount) if one.ends_at is not None]
        found[key] = replace(discount, coupon=discount.coupon or same.coupon, ends_at=min(ends, default=None))
    return tuple(found.values())[-MAX_CUSTOMER_DISCOUNTS:]


def customer_discounts_changed_at(known: datetime | None, facts: Iterable[Fact]) -> datetime | None:
    """When the latest of the customer's discounts began or ended, after these facts."""
    times = [fact.at for fact in facts if isinstance(fact, Link) and fact.customer_discount is not None]
    return max(times if known is None else [known, *times], default=None)


def after_discounts(
    parts: Sequence[Part], discounts: tuple[Discount, ...], currency: Currency, context: ValuationContext
) -> tuple[list[Part], bool]:
    """The parts after the discounts in their order, never below 0, and whether that is certain.

    If a coupon is unknown, the share that the last bill took off is the best estimate.
    """
    applied = _applied_discounts(discounts, context)
    coupons = [one.coupon for one in applied if one.coupon is not None and _is_known(one.coupon, currency)]
    if len(coupons) < len(applied):
        share = _billed_share(parts, context)
        if share is not None:
            return [part.scaled(share) for part in parts], False
    reduced, certain = list(parts), len(coupons) == len(applied)
    for discount in applied:
        if discount.coupon is None or not _is_known(discount.coupon, currency):
            continue
        eligible = [_is_eligible(part.price, discount, context) for part in reduced]
        has_others = len({scope_key(part.price) for part in reduced}) > 1
        uncertain = [part for part, (_, is_certain) in zip(reduced, eligible, strict=True) if not is_certain]
        certain = certain and not (has_others and any(part.gross for part in uncertain))
        reduced = _reduced(reduced, [is_eligible for is_eligible, _ in eligible], discount.coupon, currency)
    return reduced, certain


def _reduced(parts: list[Part], eligible: list[bool], coupon: Coupon, currency: Currency) -> list[Part]:
    """The parts after one coupon. An amount off is spread over the parts that it comes off."""
    reduced = [part for part, is_eligible in zip(parts, eligible, strict=True) if is_eligible]
    if coupon.percent is not None:
        factor = 1 - min(Fraction(coupon.percent), Fraction(100)) / 100
    else:
        total, price = sum((part.gross for part in reduced), ZERO), _most_frequent(part.price for part in reduced)
        off = monthly(price, Fraction(coupon.amount_off[currency.code])) if price is not None else ZERO
        factor = max(total - off, ZERO) / total if total else Fraction(1)
    return [part.scaled(factor) if is_eligible else part for part, is_eligible in zip(parts, eligible, strict=True)]


def _most_frequent(prices: Iterable[Price]) -> Price | None:
    """The price of the shortest interval: an amount off a subscription comes off each of its invoices."""
    return max(prices, key=lambda price: monthly(price, Fraction(1)), default=None)


# ---- Which discounts, and which items -----------------------------------------------------------------------------


def _is_eligible(price: Price, discount: Discount, context: ValuationContext) -> tuple[bool, bool]:
    """Whether a discount comes off a price, and whether that is certain.

    Stripe's webhooks leave out a coupon's `applies_to`; the lines of bills show which items it came off. A product
    that no bill has shown is assumed to be excluded if the bills excluded any other.
    """
    stated = discount.coupon.applies_to if discount.coupon is not None else None
    if stated:
        return bool({price.product_id, price.id} & set(stated)), True
    scope = context.scopes.get(discount.id or discount.coupon_id or "", {})
    shown = scope.get(scope_key(price))
    return (shown, True) if shown is not None else (all(scope.values()), stated is not None)


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


def _is_known(coupon: Coupon, currency: Currency) -> bool:
    """Whether it states its reduction in this currency."""
    return coupon.percent is not None or currency.code in coupon.amount_off


def _billed_share(parts: Sequence[Part], context: ValuationContext) -> Fraction | None:
    """The share of the list amount that the last bill charged, after all discounts; None: nothing was billed."""
    measured = [context.measured.get(part.price.id, ()) for part in parts]
    lines = [_discounted_line(several) for several in measured if several]
    amount = sum((Fraction(line.amount) for line in lines), ZERO)
    off = sum((Fraction(line.discount) for line in lines), ZERO)
    if amount <= 0:
        return None
    return max(1 - _share_off(off, amount, ROUNDING * len(lines)), ZERO)


def _share_off(off: Fraction, amount: Fraction, error: Fraction) -> Fraction:
    """The share that was taken off: the only whole percentage that it may be the rounding of, else the quotient."""
    low, high = ceil((off - error) / amount * 100), floor((off + error) / amount * 100)
    return Fraction(low, 100) if low == high else off / amount


def _discounted_line(several: Sequence[Measurement]) -> Line:
    """The last line, or the last one for a full period if its discount, rounded, is that of the last line too.

    Of 0.31 for the rest of a month, half is 0.16 when rounded: half of a whole month is the more exact measure.
    """
    last = several[-1].line
    full = next((one.line for one in reversed(several) if not one.line.proration), None)
    if full is None:
        return last
    expected = Fraction(full.discount) * Fraction(last.amount) / Fraction(full.amount)
    return full if abs(Fraction(last.discount) - expected) <= ROUNDING else last
