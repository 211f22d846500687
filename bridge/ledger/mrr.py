"""The level of MRR that a subscription's terms are worth: exact, in minor units per month, and how sure it is.

The rules are Stripe Billing's own where they are published (metered prices excluded, tax excluded, active and
past_due count, only endless discounts subtract); where they are not, conventions made exact (week 52/12, day 365/12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from bridge.ledger.events import ChurnAt, MrrDiscounts, Policy
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.prices import ZERO, listed, monthly, periods_a_month, rate_of_days
from processors.facts import Coupon, Discount, Duration, Item, Line, Price, Status, Terms

COUNTING = frozenset({Status.ACTIVE, Status.PAST_DUE})
UNPROVEN = frozenset({Status.INCOMPLETE, Status.TRIALING})


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


def main_item(terms: Terms, knowledge: Knowledge) -> Item | None:
    """The item that names the plan: the one worth most a month; of equals, the first."""
    recurring = [item for item in terms.items if item.price.interval is not None]
    if len(recurring) < 2:
        return recurring[0] if recurring else None
    return max(recurring, key=lambda item: monthly(item.price, listed(knowledge.price(item.price), item.quantity)))


def _item(item: Item, terms: Terms, view: View) -> Level:
    price = view.knowledge.price(item.price)
    if price.interval is None or price.metered:
        return NOTHING
    amount, sure = _period_amount(item, price, terms, view)
    reduced, certain = _reduced(monthly(price, amount), item.discounts, price, terms, view)
    return Level(exact=reduced, estimated=not (sure and certain))


def _period_amount(item: Item, price: Price, terms: Terms, view: View) -> tuple[Fraction, bool]:
    """One period's amount before discounts, and whether it is certain."""
    foreign = price.currency.code != terms.currency.code or price.tax_inclusive
    stated = listed(price, item.quantity)
    if stated is not None and not foreign:
        return stated, True
    line = view.lines.get(price.id)
    if line is None:
        return stated or ZERO, False
    if line.quantity == item.quantity or not line.quantity:
        return Fraction(line.amount), True
    in_proportion = not (price.tiered or price.divide_by)
    return Fraction(line.amount) * Fraction(item.quantity) / Fraction(line.quantity), foreign and in_proportion


def _shortest(items: Iterable[Item]) -> Price | None:
    """The price billed most often: a subscription's amount off comes off each of its invoices."""
    recurring = [item.price for item in items if item.price.interval is not None and not item.price.metered]
    return max(recurring, key=lambda price: monthly(price, Fraction(1)), default=None)


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
    amount: Fraction, stated: tuple[Discount, ...], price: Price | None, terms: Terms, view: View
) -> tuple[Fraction, bool]:
    """A monthly amount after discounts (percent before amount, never below 0), and whether it is certain."""
    discounts = _at_work(stated, view)
    if not discounts:
        return max(amount, ZERO), True
    coupons = [one.coupon for one in discounts if one.coupon is not None and _is_known(one.coupon, terms)]
    sure = len(coupons) == len(discounts)
    share = None if sure else _billed_share(terms, view)
    if share is not None:
        return amount * share, False
    for coupon in coupons:
        if coupon.percent is not None:
            amount *= 1 - min(Fraction(coupon.percent), Fraction(100)) / 100
    for coupon in coupons:
        if coupon.percent is None and price is not None:
            amount -= monthly(price, Fraction(coupon.amount_off[terms.currency.code]))
    return max(amount, ZERO), sure


def _is_known(coupon: Coupon, terms: Terms) -> bool:
    """Whether it says what comes off in this currency."""
    return coupon.percent is not None or terms.currency.code in coupon.amount_off


def _billed_share(terms: Terms, view: View) -> Fraction | None:
    """What share of the list amount the last invoice asked for, after all discounts; None: nothing was billed."""
    lines = [view.lines[item.price.id] for item in terms.items if item.price.id in view.lines]
    amount = sum((Fraction(line.amount) for line in lines), ZERO)
    if amount <= 0:
        return None
    return max(1 - sum((Fraction(line.discount) for line in lines), ZERO) / amount, ZERO)


def _line_rate(line: Line, knowledge: Knowledge) -> Fraction:
    """Periods a month of what a line billed: its interval, else its price's, else the days it covers."""
    if line.interval is not None:
        return periods_a_month(line.interval, line.interval_count)
    seen = knowledge.entries.get(("price", line.price_id or ""))
    if isinstance(seen, Price) and seen.interval is not None:
        return periods_a_month(seen.interval, seen.interval_count)
    return rate_of_days(line.days)
