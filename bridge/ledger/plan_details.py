"""The plan as `metadata` shows it: from a subscription's terms, else from the lines of its invoice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from bridge.ledger.catalog import Catalog
from bridge.ledger.discounts import discounts_of, is_active_at
from bridge.ledger.events import NO_PLAN_DETAILS, PlanDetails
from bridge.ledger.mrr import licensed_lines, main_item
from bridge.ledger.valuation import ValuationContext
from processors.facts import Discount, Interval, Item, Line, Terms

_INTERVAL_NAMES: Mapping[tuple[Interval, int], str] = {
    (Interval.DAY, 1): "daily",
    (Interval.WEEK, 1): "weekly",
    (Interval.MONTH, 1): "monthly",
    (Interval.MONTH, 3): "quarterly",
    (Interval.MONTH, 6): "semiannual",
    (Interval.MONTH, 12): "annual",
    (Interval.YEAR, 1): "annual",
}


def plan_details_of(terms: Terms, context: ValuationContext) -> PlanDetails:
    """Plan, interval, coupon and seats of the main item. The plan is the product's name, the price's, else its id."""
    item, catalog = main_item(terms, context), context.catalog
    if item is None or item.price.interval is None:
        return NO_PLAN_DETAILS
    return PlanDetails(
        plan=_plan_name(item, catalog),
        interval=interval_name(item.price.interval, item.price.interval_count),
        coupon=_coupon_name((*item.discounts, *discounts_of(terms, context)), context.at, catalog),
        seats=int(item.quantity),
    )


def plan_details_of_lines(lines: Iterable[Line], catalog: Catalog) -> PlanDetails:
    """The same from the line of the highest amount, for a subscription that is known from payments only."""
    line = max(licensed_lines(lines, catalog), key=lambda line: line.amount, default=None)
    if line is None:
        return NO_PLAN_DETAILS
    return PlanDetails(
        plan=catalog.product_name(line.product_id) or line.name or line.price_id,
        interval=interval_name(line.interval, line.interval_count) if line.interval is not None else None,
        seats=int(line.quantity),
    )


def interval_name(interval: Interval, count: int) -> str:
    """Pulsora's `metadata.interval`: monthly, annual, …, else every-2-weeks."""
    return _INTERVAL_NAMES.get((interval, count)) or f"every-{count}-{interval}s"


def _plan_name(item: Item, catalog: Catalog) -> str:
    seen = catalog.full_price(item.price)
    return catalog.product_name(item.price.product_id) or item.price.name or seen.name or item.price.id


def _coupon_name(discounts: Iterable[Discount], at: datetime, catalog: Catalog) -> str | None:
    """The name, else the id, of the first coupon that is active."""
    active = (discount for discount in discounts if is_active_at(catalog.full_discount(discount), at))
    return next(filter(None, map(catalog.coupon_name, active)), None)
