"""The MRR of terms, for tests, and the values that it is compared with."""

from __future__ import annotations

from fractions import Fraction

from bridge.ledger import Policy
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog
from bridge.ledger.measurements import Measurement
from bridge.ledger.mrr import Mrr, mrr_of
from bridge.ledger.policy import MrrDiscounts
from bridge.ledger.valuation import ValuationContext
from processors.facts import Line, Price, Terms
from tests.builders import NOON, an_item, terms


def mrr(
    found: Terms,
    *,
    discounts: MrrDiscounts = MrrDiscounts.FOREVER,
    catalog: Catalog = EMPTY_CATALOG,
    lines: list[Line] | None = None,
) -> Mrr:
    """The MRR of terms at noon, with a catalog and lines of earlier bills."""
    measured = {line.price_id or "": (Measurement(at=NOON, line=line),) for line in lines or []}
    context = ValuationContext(at=NOON, policy=Policy(mrr_discounts=discounts), catalog=catalog, measured=measured)
    return mrr_of(found, context)


def certain(exact: Fraction | int) -> Mrr:
    """An exact MRR, in minor units."""
    return Mrr(exact=Fraction(exact))


def estimate(exact: Fraction | int) -> Mrr:
    """An estimated MRR, in minor units."""
    return Mrr(exact=Fraction(exact), estimated=True)


def of_price(price: Price, seats: float | str = 1) -> Terms:
    """A subscription to so many seats of a price."""
    return terms(items=(an_item(price=price, seats=seats),))
