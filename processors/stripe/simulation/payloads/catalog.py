"""Prices, products, coupons and discounts."""

from __future__ import annotations

from datetime import datetime

from processors.stripe.simulation.payloads.envelope import Body, Shape, unix


def price(
    price_id: str,
    *,
    minor: int | None,
    decimal: str | None = None,
    currency: str = "usd",
    interval: str | None = "month",
    interval_count: int = 1,
    product_id: str = "prod_app",
    nickname: str | None = None,
    lookup_key: str | None = None,
    usage_type: str = "licensed",
    tiers_mode: str | None = None,
    transform_quantity: Body | None = None,
    tax_behavior: str = "unspecified",
) -> Body:
    """A price; `interval` None: one-time. Without tiers, as in every webhook since 2020-08-27."""
    recurring = {"interval": interval, "interval_count": interval_count, "usage_type": usage_type, "meter": None}
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if tiers_mode else "per_unit",
        "currency": currency,
        "lookup_key": lookup_key,
        "metadata": {},
        "nickname": nickname,
        "product": product_id,
        "recurring": recurring if interval else None,
        "tax_behavior": tax_behavior,
        "tiers_mode": tiers_mode,
        "transform_quantity": transform_quantity,
        "type": "recurring" if interval else "one_time",
        "unit_amount": minor,
        "unit_amount_decimal": decimal or (None if minor is None else str(minor)),
    }


def plan_of(priced: Body) -> Body | None:
    """The legacy plan object of a recurring price."""
    recurring = priced["recurring"]
    if recurring is None:
        return None
    return {
        "id": priced["id"],
        "object": "plan",
        "active": True,
        "amount": priced["unit_amount"],
        "amount_decimal": priced["unit_amount_decimal"],
        "billing_scheme": priced["billing_scheme"],
        "currency": priced["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "nickname": priced["nickname"],
        "product": priced["product"],
        "tiers_mode": priced["tiers_mode"],
        "transform_usage": priced["transform_quantity"],
        "usage_type": recurring["usage_type"],
    }


def product(product_id: str, *, name: str) -> Body:
    """A product."""
    return {"id": product_id, "object": "product", "active": True, "metadata": {}, "name": name}


def coupon(
    coupon_id: str,
    *,
    percent: float | None = None,
    amount_off: int | None = None,
    currency: str | None = None,
    duration: str = "forever",
    months: int | None = None,
    name: str | None = None,
) -> Body:
    """A coupon."""
    return {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": amount_off,
        "currency": currency if amount_off is not None else None,
        "duration": duration,
        "duration_in_months": months,
        "metadata": {},
        "name": name,
        "percent_off": percent,
        "valid": True,
    }


def discount(
    discount_id: str,
    taken: Body,
    *,
    customer: str,
    subscription: str | None,
    start: datetime,
    end: datetime | None = None,
    shape: Shape = Shape.CLOVER,
) -> Body:
    """A discount. Since clover it contains only the coupon's id."""
    source: Body = {"source": {"type": "coupon", "coupon": taken["id"]}}
    return {
        "id": discount_id,
        "object": "discount",
        "customer": customer,
        "subscription": subscription,
        "start": unix(start),
        "end": unix(end),
        "promotion_code": None,
        **(source if shape is Shape.CLOVER else {"coupon": taken}),
    }
