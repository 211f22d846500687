"""Prices, plans and products (docs.stripe.com/api/prices)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from processors.facts import CatalogEntry, Interval, Price, PriceOption, Product, Tier, TiersMode, option_id
from processors.interface import Translation
from processors.money import Currency, exact_decimal, whole_minor
from processors.payload import NOTHING, Json, at, first, ident, rows, table, text
from processors.stripe.envelope import Snapshot, currency_of, ignored, word

INTERVALS: Mapping[str, Interval] = {interval.value: interval for interval in Interval}
TIERS_MODES: Mapping[str, TiersMode] = {mode.value: mode for mode in TiersMode}


def from_price(event: Snapshot) -> Translation:
    """`price.*` and `plan.*`: the price, and its product's name."""
    price = price_of(event.object)
    if price is None:
        return ignored("a price without id or currency")
    if event.type.endswith(".updated") and not is_complete(price):
        # An incomplete entry must not replace a complete one.
        return ignored("a tiered price, whose tiers webhooks leave out")
    return ignored("a price, remembered for later", catalog=(price, *products_of(event.object)))


def from_product(event: Snapshot) -> Translation:
    """`product.*`: the product's name."""
    product_id, name = ident(event.object.get("id")), text(event.object.get("name"))
    if product_id is None or name is None:
        return ignored("a product without a name")
    return ignored("a product's name, remembered for later", catalog=(Product(id=product_id, name=name),))


def price_of(price: Any, plan: Any = None, currency: Currency | None = None) -> Price | None:
    """The price of a `price` object, a legacy `plan`, or both together; None: it has no id or no currency.

    `currency`: the currency of the subscription; the price's option for it is used where the payload has one.
    """
    price, plan = _sides(price, plan)
    price_id = ident(first(price, "id") or first(plan, "id"))
    own = currency_of(first(price, "currency") or first(plan, "currency"))
    if price_id is None or own is None:
        return None
    amounts = (price, plan)
    option = table(price, f"currency_options.{currency.code.lower()}") if currency else NOTHING
    if option and currency:
        own, amounts = currency, (option, NOTHING)
    tiered = "tiered" in (price.get("billing_scheme"), plan.get("billing_scheme"))
    divide_by, rounds_up = _division(price, plan)
    return Price(
        id=price_id,
        currency=own,
        unit_amount=None if tiered else _unit_amount(*amounts),
        interval=INTERVALS.get(word(_recurring(price, plan, "interval"))),
        interval_count=whole_minor(_recurring(price, plan, "interval_count")) or 1,
        product_id=ident(first(price, "product") or first(plan, "product")),
        name=_name(price, plan),
        metered=_is_metered(price, plan),
        tiered=tiered,
        tiers=_tiers(amounts[0]) or _tiers(amounts[1]),
        tiers_mode=TIERS_MODES.get(word(first(price, "tiers_mode") or first(plan, "tiers_mode"))),
        divide_by=divide_by,
        divide_rounds_up=rounds_up,
        tax_inclusive=first(amounts[0], "tax_behavior") == "inclusive",
    )


def options_of(price: Any) -> tuple[PriceOption, ...]:
    """The price in each further currency: only where an API request expanded `currency_options`."""
    currencies = map(currency_of, table(price, "currency_options"))
    found = (price_of(price, currency=one) for one in currencies if one is not None)
    return tuple(PriceOption(id=option_id(one, one.currency), price=one) for one in found if one is not None)


def inclusive_percentage(holder: Any, key: str) -> Decimal | None:
    """The percentage of tax inside, by a list of tax rates: 0 if all come on top, None without any rate."""
    listed = list(rows(holder, key))
    inside = (exact_decimal(first(rate, "effective_percentage", "percentage")) for rate in listed if _is_inside(rate))
    return sum((rate for rate in inside if rate is not None), Decimal(0)) if listed else None


def is_tax_behavior_unspecified(price: Any) -> bool:
    """Whether the price leaves it to the account's setting whether tax is inside."""
    return text(at(price, "tax_behavior")) == "unspecified"


def _is_inside(rate: Json) -> bool:
    return rate.get("inclusive") is True


def is_complete(price: Price) -> bool:
    """Whether the price has everything that MRR is computed from."""
    return bool(price.tiers) if price.tiered else price.unit_amount is not None


def products_of(price: Any) -> tuple[CatalogEntry, ...]:
    """The product of a price, where the payload contains it as an object."""
    product_id, name = ident(at(price, "product")), text(at(price, "product.name"))
    if product_id is None or name is None:
        return ()
    return (Product(id=product_id, name=name),)


def _sides(price: Any, plan: Any) -> tuple[Json, Json]:
    """The price and the plan as objects; a single one counts as both."""
    price, plan = table(price), table(plan)
    if price and not plan:
        return price, price
    return (price, plan) if price else (plan, plan)


def _recurring(price: Json, plan: Json, key: str) -> Any:
    """A term of the billing period: under `recurring` in prices, bare in plans."""
    return first(price, f"recurring.{key}", key) or first(plan, key)


def _is_metered(price: Json, plan: Json) -> bool:
    if "metered" in (_recurring(price, plan, "usage_type"), plan.get("usage_type")):
        return True
    return _recurring(price, plan, "meter") is not None  # billing meters, since 2024


def _unit_amount(price: Json, plan: Json) -> Decimal | None:
    """Minor units, exact, with up to twelve decimals. Plans name it `amount`."""
    names = ("unit_amount_decimal", "unit_amount", "amount_decimal", "amount")
    stated = first(price, *names)
    return exact_decimal(first(plan, *names) if stated is None else stated)


def _tiers(holder: Json) -> tuple[Tier, ...]:
    """The tiers: inline in plans before 2020-08-27, later only where an API request expanded them."""
    return tuple(
        Tier(
            up_to=whole_minor(first(tier, "up_to")),
            unit_amount=exact_decimal(first(tier, "unit_amount_decimal", "unit_amount", "amount")) or Decimal(0),
            flat_amount=exact_decimal(first(tier, "flat_amount_decimal", "flat_amount")) or Decimal(0),
        )
        for tier in rows(holder, "tiers")
    )


def _division(price: Json, plan: Json) -> tuple[int | None, bool]:
    """The units of a package, and whether a part counts as a whole one. (None, False): the price has no packages.

    `transform_quantity` of a price, `transform_usage` of a plan.
    """
    found = table(price, "transform_quantity") or table(plan, "transform_usage")
    divide_by = whole_minor(found.get("divide_by"))
    return (divide_by, found.get("round") == "up") if divide_by and divide_by > 0 else (None, False)


def _name(price: Json, plan: Json) -> str | None:
    """The name for people. Plans had their own before products (2018-02-05)."""
    candidates = (
        at(price, "product.name"),
        at(plan, "product.name"),
        plan.get("name"),
        price.get("nickname"),
        plan.get("nickname"),
        price.get("lookup_key"),
    )
    return next((name for name in map(text, candidates) if name is not None), None)
