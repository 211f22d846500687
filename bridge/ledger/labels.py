"""How a plan is called in `metadata`: by what a subscription's terms say, else by the lines of its bills."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.ledger.drafts import NO_LABELS, Labels
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.mrr import main_item, runs
from bridge.ledger.prices import interval_name
from processors.facts import Discount, Item, Line, Terms


def labels_of(terms: Terms, at: datetime, knowledge: Knowledge) -> Labels:
    """Plan, interval, coupon and seats of the item that is worth most; the plan by product, price name, else id."""
    item = main_item(terms, knowledge)
    if item is None or item.price.interval is None:
        return NO_LABELS
    return Labels(
        plan=_plan(item, knowledge),
        interval=interval_name(item.price.interval, item.price.interval_count),
        coupon=_coupon((*item.discounts, *terms.discounts), at, knowledge),
        seats=int(item.quantity),
    )


def labels_of_lines(lines: Iterable[Line], knowledge: Knowledge) -> Labels:
    """The same of the line that billed most, where the subscription itself is not known yet."""
    line = max(lines, key=lambda line: line.amount, default=None)
    if line is None:
        return NO_LABELS
    return Labels(
        plan=knowledge.product_name(line.product_id) or line.name or line.price_id,
        interval=interval_name(line.interval, line.interval_count) if line.interval is not None else None,
        seats=int(line.quantity),
    )


def _plan(item: Item, knowledge: Knowledge) -> str:
    seen = knowledge.price(item.price)
    return knowledge.product_name(item.price.product_id) or item.price.name or seen.name or item.price.id


def _coupon(discounts: Iterable[Discount], at: datetime, knowledge: Knowledge) -> str | None:
    """The name of the first coupon that is running, else its id."""
    running = (discount for discount in discounts if runs(knowledge.discount(discount), at))
    return next(filter(None, map(knowledge.coupon_name, running)), None)
