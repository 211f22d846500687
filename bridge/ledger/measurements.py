"""Measurements: the amounts that bills charged for the prices of a subscription, and the items each discount touches.

A bill measures only the prices on its lines; what earlier bills measured of the others stays known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction

from bridge.ledger.catalog import Catalog
from bridge.ledger.list_prices import list_amount
from bridge.ledger.references import References, subscription_of
from processors.facts import Fact, Line, Payment, Price
from processors.money import Currency
from processors.values import Value, replace

MAX_PRICES = 50  # measurements and discounts kept of one subscription: the latest

Scopes = Mapping[str, Mapping[str, bool]]


class Measurement(Value):
    """One bill's lines for one price, added up: for one full period, or (`line.proration`) for the rest of one.

    `listed`: the list amount of the price for the line's quantity in `currency`; None: not known.
    """

    at: datetime
    line: Line
    listed: Fraction | None = None
    currency: str | None = None


Measurements = Mapping[str, tuple[Measurement, ...]]  # by price, the older first


class Bill(Value):
    """The recurring lines of one invoice or transaction, and the discounts on it, also those that no line shows.

    `is_primary`: of several webhooks about the bill, the one that names its time.
    """

    at: datetime
    currency: Currency
    lines: tuple[Line, ...]
    discount_ids: tuple[str, ...] = ()
    event_id: str = ""
    is_primary: bool = True


def bills_of(facts: Iterable[Fact], references: References) -> dict[str, list[Bill]]:
    """The bills in order, by subscription."""
    found: dict[str, list[Bill]] = {}
    for fact in facts:
        if not isinstance(fact, Payment) or not fact.lines:
            continue
        subscription_id = subscription_of(references, fact.ids)
        if subscription_id is not None:
            found.setdefault(subscription_id, []).append(_bill(fact, fact.lines))
    return found


def _bill(payment: Payment, lines: tuple[Line, ...]) -> Bill:
    return Bill(
        at=payment.at,
        currency=payment.amount.currency,
        lines=lines,
        discount_ids=_discount_ids(payment),
        event_id=payment.processor_event_id,
        is_primary=payment.is_primary and payment.is_total,
    )


def _discount_ids(payment: Payment) -> tuple[str, ...]:
    on_bill = (discount.id or discount.coupon_id for discount in payment.discounts)
    on_lines = (one for line in payment.lines or () for one in line.discount_ids)
    return tuple(dict.fromkeys(one for one in (*on_bill, *on_lines) if one))


def measurements_of(bills: Iterable[Bill], catalog: Catalog) -> Measurements:
    """All that these bills measure."""
    found: dict[str, list[Measurement]] = {}
    for bill in bills:
        for price_id, measurement in _measurements(bill, catalog):
            found.setdefault(price_id, []).append(measurement)
    return {price_id: _in_order(several) for price_id, several in found.items()}


def with_measurements(known: Measurements, new: Measurements) -> Measurements:
    """The measurements of earlier bills, and those of these."""
    if not known or not new:
        return known or new
    both = {price_id: _in_order((*known.get(price_id, ()), *several)) for price_id, several in new.items()}
    return {**known, **both}


def _in_order(several: Iterable[Measurement]) -> tuple[Measurement, ...]:
    return tuple(sorted(several, key=lambda one: one.at))


def to_store(measured: Measurements) -> dict[str, tuple[Measurement, ...]]:
    """Of each price the latest measurement of a full period, a later one of a part, and the latest that shows tax."""
    latest = {price_id: _latest(several) for price_id, several in measured.items()}
    ordered = sorted(latest.items(), key=lambda entry: (entry[1][-1].at, entry[0]))
    return dict(ordered[-MAX_PRICES:])


def scopes_with_bills(scopes: Scopes, bills: Iterable[Bill]) -> dict[str, Mapping[str, bool]]:
    """By discount: whether it comes off a product, for each product on a bill that it is on.

    A coupon that is limited to some products says so in no webhook; the lines of a bill show it.
    """
    found = dict(scopes)
    for bill in bills:
        for discount_id in bill.discount_ids:
            if seen := _scope_on(bill, discount_id):
                found[discount_id] = {**found.get(discount_id, {}), **seen}
    return dict(list(found.items())[-MAX_PRICES:])


def _scope_on(bill: Bill, discount_id: str) -> dict[str, bool]:
    """Whether a discount comes off the products on a bill.

    No line says so that others have discounted to 0. Prorations may list no discounts at all: they only say that it
    does not come off them where another line lists it.
    """
    is_listed = any(discount_id in line.discount_ids for line in bill.lines)
    return {
        scope_key(line): discount_id in line.discount_ids
        for line in bill.lines
        if line.amount > 0
        and (discount_id in line.discount_ids or (line.amount > line.discount and (is_listed or not line.proration)))
    }


def scope_key(sold: Line | Price) -> str:
    """The product of a line or price, to which coupons are limited; else the price."""
    own_id = sold.price_id if isinstance(sold, Line) else sold.id
    return sold.product_id or own_id or ""


def last_full_lines(measured: Measurements, by: datetime) -> list[Line]:
    """The lines for full periods of the last bill by this time, else of the first one."""
    full = [one for several in measured.values() for one in several if not one.line.proration]
    if not full:
        return []
    past = [one.at for one in full if one.at <= by]
    chosen = max(past) if past else min(one.at for one in full)
    last = {price_key(one.line): one.line for one in full if one.at == chosen}  # two webhooks may report one bill
    return list(last.values())


def _measurements(bill: Bill, catalog: Catalog) -> Iterable[tuple[str, Measurement]]:
    licensed = [line for line in bill.lines if not bills_usage(line, catalog)]
    for lines in (_full_period_lines(licensed), _prorated_lines(licensed)):
        for price_id, line in lines.items():
            known = catalog.price(line.price_id)
            listed = None if known is None else list_amount(known, line.quantity)
            currency = None if known is None else known.currency.code
            yield price_id, Measurement(at=bill.at, line=line, listed=listed, currency=currency)


def _full_period_lines(lines: Iterable[Line]) -> dict[str, Line]:
    """The lines for a full period, by price. Two lines of one price, as of two tiers, are added up."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.proration or line.amount <= 0:
            continue
        key = price_key(line)
        found[key] = _sum(found[key], line) if key in found else line
    return found


def _prorated_lines(lines: Iterable[Line]) -> dict[str, Line]:
    """The charges for the rest of a period, by price: of several changes on one bill the last."""
    found: dict[str, Line] = {}
    for line in lines:
        is_measurable = line.share or (line.starts_at and line.ends_at)
        if not line.proration or line.amount <= 0 or not is_measurable:
            continue
        key = price_key(line)
        known = found.get(key)
        if known is not None and known.starts_at == line.starts_at:
            found[key] = _sum(known, line)
        elif known is None or (known.starts_at and line.starts_at and known.starts_at < line.starts_at):
            found[key] = line
    return found


def price_key(line: Line) -> str:
    """The price of a line, else its product or name."""
    return line.price_id or line.product_id or line.name or ""


def _latest(several: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    full = [one for one in several if not one.line.proration][-1:]
    parts = [one for one in several if one.line.proration and not (full and one.at < full[0].at)][-1:]
    taxed = [one for one in several if shows_tax(one)][-1:]
    return tuple(one for one in several if one in (*full, *parts, *taxed))


def shows_tax(one: Measurement) -> bool:
    """Whether it shows the tax inside: not one from which the discounts left nothing to tax."""
    return one.line.tax_inside is None or one.line.amount > one.line.discount


def _sum(one: Line, other: Line) -> Line:
    has_tax = one.tax_inside is not None and other.tax_inside is not None
    return replace(
        one,
        amount=one.amount + other.amount,
        discount=one.discount + other.discount,
        quantity=one.quantity + other.quantity,
        tax_inside=one.tax_inside + other.tax_inside if has_tax else None,  # type: ignore[operator]  # both are set
        discount_ids=tuple(dict.fromkeys((*one.discount_ids, *other.discount_ids))),
    )


def bills_usage(line: Line, catalog: Catalog) -> bool:
    """Whether a line bills usage. Since basil a line does not say so itself."""
    price = catalog.price(line.price_id)
    return line.metered or (price is not None and price.metered)
