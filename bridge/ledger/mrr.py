"""The MRR of a subscription's terms: exact, in minor units per month, and whether it is an estimate.

The rules are Stripe Billing's own if published (metered prices and tax excluded, active and past_due count, only
discounts without end subtract); otherwise exact conventions (a week is 12/52 month, a day 12/365 month).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from bridge.ledger.catalog import Catalog
from bridge.ledger.discounts import Part, after_discounts, discounts_of
from bridge.ledger.item_amounts import period_amount
from bridge.ledger.list_prices import ZERO, monthly, periods_per_month, periods_per_month_of_days
from bridge.ledger.measurements import bills_usage
from bridge.ledger.policy import ChurnAt, MrrDiscounts, Policy
from bridge.ledger.valuation import ValuationContext
from processors.facts import Item, Line, Status, Terms
from processors.money import Currency
from processors.values import Value

COUNTING = frozenset({Status.ACTIVE, Status.PAST_DUE})
NOT_YET_COUNTING = frozenset({Status.INCOMPLETE, Status.TRIALING})  # a payment may prove these active


class Mrr(Value):
    """MRR in minor units, exact. `estimated`: it rests on an assumption, since the payloads leave something out."""

    exact: Fraction
    estimated: bool = False


NO_MRR = Mrr(exact=ZERO)


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
    """Whether a scheduled end already counts as churn: it was asked for, and is not the end of a fixed term."""
    return policy.churn_at is ChurnAt.REQUEST and terms.cancels_at is not None and not terms.fixed_term


def mrr_if_active(terms: Terms, context: ValuationContext) -> Mrr:
    """The MRR of the terms, whatever the status."""
    parts = [part for part in (_part(item, terms.currency, context) for item in terms.items) if part is not None]
    reduced, certain = after_discounts(parts, discounts_of(terms, context), terms.currency, context)
    certain = certain and terms.items_complete and all(part.certain for part in parts)
    total = reduced[0].net if len(reduced) == 1 else sum((part.net for part in reduced), ZERO)
    return Mrr(exact=max(total, ZERO), estimated=not certain)


def mrr_of_lines(lines: Iterable[Line], catalog: Catalog, policy: Policy) -> Mrr:
    """An estimate from an invoice's lines for full periods. The subscription's state corrects it later."""
    total = ZERO
    for line in licensed_lines(lines, catalog):
        if line.proration:
            continue
        total += max(_net_of_line(line, policy), ZERO) * _line_periods_per_month(line, catalog)
    return Mrr(exact=total, estimated=True)


def licensed_lines(lines: Iterable[Line], catalog: Catalog) -> list[Line]:
    """The lines that bill no usage. Next to prices that are known, one that is not known may bill usage."""
    licensed = [line for line in lines if not bills_usage(line, catalog)]
    known = [line for line in licensed if line.interval is not None or catalog.price(line.price_id) is not None]
    return known or licensed


def main_item(terms: Terms, context: ValuationContext) -> Item | None:
    """The item that names the plan: of those that bill no usage the one of the highest MRR; the first of equals.

    One whose amount is not known (tiers) ranks with the highest.
    """
    recurring = [item for item in terms.items if item.price.interval is not None]
    licensed = [item for item in recurring if not context.catalog.full_price(item.price).metered]
    candidates = licensed or recurring
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    amounts = [_listed_part(item, terms.currency, context) for item in candidates]
    highest = max(part.gross for part in amounts)
    ranked = zip(candidates, amounts, strict=True)
    return next(item for item, part in ranked if part.gross == highest or not (part.gross or part.certain))


def _part(item: Item, currency: Currency, context: ValuationContext) -> Part | None:
    """The item's amount per month after its own discounts; None: it does not count towards MRR."""
    price = context.catalog.price_in(item.price, currency)
    if not item.counts or price.interval is None or price.metered:
        return None
    part = _listed_part(item, currency, context)
    if not item.discounts:
        return part
    (reduced,), certain = after_discounts([part], item.discounts, currency, context)
    return Part(price=reduced.price, gross=reduced.gross, net=reduced.net, certain=part.certain and certain)


def _listed_part(item: Item, currency: Currency, context: ValuationContext) -> Part:
    price = context.catalog.price_in(item.price, currency)
    amount = period_amount(item, price, currency, context)
    return Part(price=price, gross=monthly(price, amount.gross), net=monthly(price, amount.net), certain=amount.certain)


def _net_of_line(line: Line, policy: Policy) -> Fraction:
    """The line's amount without tax, after its discounts unless no discount lowers MRR."""
    paid = Fraction(line.amount - line.discount)
    net = paid - Fraction(line.tax_inside or 0)
    if policy.mrr_discounts is not MrrDiscounts.NONE:
        return net
    return Fraction(line.amount) * net / paid if paid else Fraction(line.amount)


def _line_periods_per_month(line: Line, catalog: Catalog) -> Fraction:
    """By the line's interval, else its price's, else the days that it covers."""
    if line.interval is not None:
        return periods_per_month(line.interval, line.interval_count)
    seen = catalog.price(line.price_id)
    if seen is not None and seen.interval is not None:
        return periods_per_month(seen.interval, seen.interval_count)
    return periods_per_month_of_days(line.days)
