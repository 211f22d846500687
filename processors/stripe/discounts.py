"""Discounts, coupons and promotion codes, in the formats of old, basil and clover API versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.facts import CatalogEntry, Coupon, CouponProducts, Discount, Duration, Ids, Link
from processors.interface import Translation
from processors.money import exact_decimal, whole_minor
from processors.payload import Json, at, first, has, ident, instant, table, text
from processors.stripe.envelope import Snapshot, customer_of, ignored, with_facts, word
from processors.values import replace

NARROWER = ("subscription", "subscription_item", "invoice", "invoice_item", "checkout_session")
DURATIONS: Mapping[str, Duration] = {duration.value: duration for duration in Duration}


def from_discount(event: Snapshot) -> Translation:
    """`customer.discount.*`: the discount, and the link to its customer and subscription."""
    discount = discount_of(event.object)
    if discount is None:
        return ignored("a discount without id or coupon")
    if event.type.endswith(".deleted"):
        discount = replace(discount, ends_at=min(discount.ends_at or event.at, event.at))
    entries = catalog_of((discount,))
    ids = Ids(customer_id=customer_of(event.object), subscription_id=ident(event.object.get("subscription")))
    if ids.customer_id is None and ids.subscription_id is None:
        return ignored("a discount without a customer, remembered", catalog=entries)
    of_customer = None if any(event.object.get(key) for key in NARROWER) else discount
    fact = Link(at=event.at, ids=ids, customer_discount=of_customer, processor_event_id=event.id)
    return with_facts(fact, catalog=entries)


def on_customer(event: Snapshot) -> tuple[Discount, ...]:
    """The discount on the customer of `customer.created` or `customer.updated`, and the one that the update removed.

    It may be older than the bridge, so that `customer.discount.created` was never received.
    """
    present = discount_of(event.object.get("discount"))
    removed = discount_of(first(event.previous or {}, "discount"))
    if removed is None or removed.id is None or (present is not None and present.id == removed.id):
        return () if present is None else (present,)
    ended = replace(removed, ends_at=min(removed.ends_at or event.at, event.at))
    return (ended,) if present is None else (ended, present)


def from_coupon(event: Snapshot) -> Translation:
    """`coupon.*`: the coupon."""
    coupon = coupon_of(event.object)
    if coupon is None:
        return ignored("a coupon without percent or amount")
    return ignored("a coupon, remembered for later", catalog=entries_of(coupon))


def from_promotion_code(event: Snapshot) -> Translation:
    """`promotion_code.*`: its coupon, where the payload contains it as an object."""
    coupon = coupon_of(first(event.object, "promotion.coupon", "coupon"))
    if coupon is None:
        return ignored("a promotion code that only names its coupon")
    return ignored("a promotion code's coupon, remembered for later", catalog=entries_of(coupon))


def discounts_on(holder: Json) -> tuple[Discount, ...]:
    """The discounts on a subscription, an item or an invoice, each once.

    `discounts` contains ids or objects (since 2020-08); `discount` (removed in basil) an object, often the same one.
    """
    listed = holder.get("discounts")
    entries = listed if isinstance(listed, list) else []
    found = [discount for discount in map(discount_of, [*entries, holder.get("discount")]) if discount is not None]
    whole = {discount.id: discount for discount in found if discount.coupon or discount.coupon_id}
    return _once(found, whole)


def discount_of(value: Any) -> Discount | None:
    """One discount from its id or its object; None: neither."""
    if not isinstance(value, Mapping):
        bare = ident(value)
        return Discount(id=bare) if bare else None
    stated = first(value, "source.coupon", "coupon")  # `source` since clover, with the coupon's id only
    discount_id, coupon_id = ident(value.get("id")), ident(stated)
    if discount_id is None and coupon_id is None:
        return None
    return Discount(
        id=discount_id,
        coupon_id=coupon_id,
        coupon=coupon_of(stated),
        starts_at=instant(value.get("start")),
        ends_at=instant(value.get("end")),
    )


def coupon_of(value: Any) -> Coupon | None:
    """The coupon of an object that states percent or amount; None: a bare id, or nothing."""
    coupon_id = ident(value)
    if coupon_id is None or not isinstance(value, Mapping):
        return None
    percent, amounts = exact_decimal(value.get("percent_off")), _amounts_off(value)
    if percent is None and not amounts:
        return None
    return Coupon(
        id=coupon_id,
        percent=percent,
        amount_off=amounts,
        duration=DURATIONS.get(word(value.get("duration"))),
        name=text(value.get("name")),
        applies_to=_products_of(value),
    )


def _products_of(coupon: Json) -> tuple[str, ...] | None:
    """The products that it is limited to; None: not stated, since no API request expanded `applies_to`."""
    if not has(coupon, "applies_to"):
        return None
    listed = at(coupon, "applies_to.products")
    found = map(ident, listed) if isinstance(listed, list) else ()
    return tuple(product_id for product_id in found if product_id is not None)


def catalog_of(discounts: tuple[Discount, ...]) -> tuple[CatalogEntry, ...]:
    """The catalog entries in these discounts: complete coupons, and discounts that name their coupon."""
    coupons = [entry for discount in discounts if discount.coupon for entry in entries_of(discount.coupon)]
    return (*coupons, *(discount for discount in discounts if discount.id and discount.coupon_id))


def entries_of(coupon: Coupon) -> tuple[CatalogEntry, ...]:
    """The coupon, and the products that it is limited to where they are stated."""
    if coupon.applies_to is None:
        return (coupon,)
    return coupon, CouponProducts(id=coupon.id, applies_to=coupon.applies_to)


def _once(found: list[Discount], whole: Mapping[str | None, Discount]) -> tuple[Discount, ...]:
    """Each discount once, as its object rather than its bare id."""
    kept: dict[str | None, Discount] = {}
    for discount in found:
        kept.setdefault(discount.id or discount.coupon_id, whole.get(discount.id, discount))
    return tuple(kept.values())


def _amounts_off(coupon: Json) -> dict[str, int]:
    """Minor units off by upper-case currency code: the coupon's own currency and its options."""
    stated = {word(coupon.get("currency")): coupon.get("amount_off")}
    stated |= {code: table(option).get("amount_off") for code, option in table(coupon, "currency_options").items()}
    amounts = ((code, whole_minor(amount)) for code, amount in stated.items())
    return {code.upper(): amount for code, amount in amounts if code and amount is not None}
