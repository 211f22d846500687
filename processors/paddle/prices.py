"""Prices, products and discounts, as entities and inside other entities."""

from __future__ import annotations

from decimal import Decimal

from processors.facts import Coupon, Discount, Duration, Interval, Price, Product
from processors.interface import Translation
from processors.money import Currency, exact_decimal, whole_minor
from processors.paddle.envelope import Notification, currency, ignored
from processors.payload import Json, at, first, has, ident, instant, rows, table, text

REMEMBERED = "remembered for later: it belongs to no customer"
# The amount may contain tax: the account's setting is in no payload. Lines of transactions are without tax.
TAX_MAYBE_INSIDE = frozenset({"internal", "location", "account_setting"})


def price(found: Json, product: Json, other: Currency | None = None) -> Price | None:
    """The price in an item. `other`: the currency to assume where the price states none."""
    price_id = ident(found.get("id"))
    stated = currency(at(found, "unit_price.currency_code")) or other
    if price_id is None or stated is None:
        return None
    interval, count = cycle(found)
    return Price(
        id=price_id,
        currency=stated,
        unit_amount=exact_decimal(at(found, "unit_price.amount")),
        interval=interval,
        interval_count=count,
        product_id=ident(found.get("product_id")),
        name=text(product.get("name")) or text(found.get("name")) or text(found.get("description")),
        tax_inclusive=text(found.get("tax_mode")) in TAX_MAYBE_INSIDE or _differs_by_country(found, stated),
    )


def _differs_by_country(found: Json, stated: Currency) -> bool:
    """Whether some countries pay another amount in the same currency. No payload states which one applies."""
    usual = exact_decimal(at(found, "unit_price.amount"))
    others = (table(row, "unit_price") for row in rows(found, "unit_price_overrides"))
    return any(
        currency(one.get("currency_code")) == stated and exact_decimal(one.get("amount")) != usual for one in others
    )


def cycle(found: Json) -> tuple[Interval | None, int]:
    """The billing cycle of a price: unit and count; None: one-time."""
    unit = text(at(found, "billing_cycle.interval"))
    count = whole_minor(at(found, "billing_cycle.frequency")) or 1
    return (Interval(unit), max(count, 1)) if unit in list(Interval) else (None, 1)


def from_price(notification: Notification) -> Translation:
    """`price.*`: later events may name it by its id alone."""
    entry = price(notification.entity, {})
    return ignored(REMEMBERED, () if entry is None else (entry,))


def from_product(notification: Notification) -> Translation:
    """`product.*`: its name."""
    product_id, name = ident(notification.entity.get("id")), text(notification.entity.get("name"))
    return ignored(REMEMBERED, () if product_id is None or name is None else (Product(id=product_id, name=name),))


def from_discount(notification: Notification) -> Translation:
    """`discount.*`: the coupon behind a subscription's discount id."""
    entry = coupon(notification.entity)
    return ignored(REMEMBERED, () if entry is None else (entry,))


def coupon(found: Json) -> Coupon | None:
    """The terms of a discount, which may be restricted to some products or prices."""
    coupon_id, amount = ident(found.get("id")), exact_decimal(found.get("amount"))
    if coupon_id is None or amount is None:
        return None
    kind = text(found.get("type"))
    return Coupon(
        id=coupon_id,
        percent=amount if kind == "percentage" else None,
        amount_off=_amount_off(found) if kind == "flat" else {},
        duration=_duration(found),
        name=text(found.get("code")) or text(found.get("description")),
        applies_to=_restricted_to(found),
    )


def _restricted_to(found: Json) -> tuple[str, ...] | None:
    if not has(found, "restrict_to"):
        return None
    listed = found["restrict_to"]
    ids = map(ident, listed) if isinstance(listed, list) else ()
    return tuple(one for one in ids if one is not None)


def discounts(subscription: Json) -> tuple[Discount, ...]:
    """The discount on a subscription: payloads have only its id, its dates and (since 2026) its type."""
    found = table(subscription, "discount")
    coupon_id = ident(first(found, "id", "discount_id"))
    if coupon_id is None:
        return ()
    once = Coupon(id=coupon_id, percent=Decimal(0), duration=Duration.ONCE) if found.get("type") == "one-off" else None
    return (
        Discount(
            coupon_id=coupon_id,
            coupon=once,
            starts_at=instant(found.get("starts_at")),
            ends_at=instant(found.get("ends_at")),
        ),
    )


def _amount_off(found: Json) -> dict[str, int]:
    code, minor = text(found.get("currency_code"), 3), whole_minor(found.get("amount"))
    return {} if code is None or minor is None else {code.upper(): minor}


def _duration(found: Json) -> Duration:
    if found.get("recur") is not True:
        return Duration.ONCE
    return Duration.FOREVER if found.get("maximum_recurring_intervals") is None else Duration.REPEATING
