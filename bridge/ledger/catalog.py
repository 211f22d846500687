"""Prices, products, coupons and discounts seen so far, and which of them a settlement needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bridge.ledger.serialization import decode, encode
from processors.facts import (
    CatalogEntry,
    Coupon,
    CouponProducts,
    Discount,
    Fact,
    Link,
    Payment,
    Price,
    PriceOption,
    Product,
    SubscriptionState,
    Terms,
    option_id,
)
from processors.money import Currency
from processors.values import Value, field, replace

CatalogKey = tuple[str, str]  # kind and id

KINDS: Mapping[str, type[CatalogEntry]] = {
    "price": Price,
    "price_option": PriceOption,
    "coupon": Coupon,
    "coupon_products": CouponProducts,
    "discount": Discount,
    "product": Product,
}
_KIND_OF = {kind: name for name, kind in KINDS.items()}


class Catalog(Value):
    """The catalog entries that one settlement may use, by kind and id."""

    entries: Mapping[CatalogKey, CatalogEntry] = field(default_factory=dict)

    def full_price(self, price: Price) -> Price:
        """The price with its tiers, if an earlier payload had them."""
        seen = self.entries.get(("price", price.id))
        if price.tiered and not price.tiers and isinstance(seen, Price) and seen.tiers:
            return seen
        return price

    def price_in(self, price: Price, currency: Currency) -> Price:
        """The price with its tiers, in this currency if the API had it, else in its own."""
        option = self.entries.get(("price_option", option_id(price, currency)))
        is_other = price.currency.code != currency.code
        return option.price if is_other and isinstance(option, PriceOption) else self.full_price(price)

    def price(self, price_id: str | None) -> Price | None:
        """The price of this id, if an earlier payload had it."""
        seen = self.entries.get(("price", price_id or ""))
        return seen if isinstance(seen, Price) else None

    def full_discount(self, discount: Discount) -> Discount:
        """The discount with its coupon and the products that this is limited to, if an earlier payload had them."""
        seen = self.entries.get(("discount", discount.id or ""))
        if discount.coupon is None and discount.coupon_id is None and isinstance(seen, Discount):
            discount = seen
        seen = self.entries.get(("coupon", discount.coupon_id or ""))
        coupon = discount.coupon or (seen if isinstance(seen, Coupon) else None)
        if coupon is None:
            return discount
        limits = self.entries.get(("coupon_products", coupon.id))
        if coupon.applies_to is None and isinstance(limits, CouponProducts):
            coupon = replace(coupon, applies_to=limits.applies_to)
        return discount if coupon is discount.coupon else replace(discount, coupon=coupon)

    def product_name(self, product_id: str | None) -> str | None:
        """The product's name, or None."""
        seen = self.entries.get(("product", product_id or ""))
        return seen.name if isinstance(seen, Product) else None

    def purchase_name(self, payment: Payment) -> str | None:
        """The item bought by a payment without a subscription: the product's name, else the price's, else its id."""
        price = self.entries.get(("price", payment.price_id or ""))
        seen = price if isinstance(price, Price) else None
        product = self.product_name(payment.product_id or (seen.product_id if seen else None))
        return product or payment.plan or (seen.name if seen else None) or payment.price_id

    def coupon_name(self, discount: Discount) -> str | None:
        """The name of the discount's coupon, else its id; None: neither is known."""
        full = self.full_discount(discount)
        return (full.coupon.name or full.coupon.id) if full.coupon is not None else full.coupon_id


EMPTY_CATALOG = Catalog()


def key_of(entry: CatalogEntry) -> CatalogKey | None:
    """The kind and id under which an entry is stored. None: it has no id."""
    return (_KIND_OF[type(entry)], entry.id) if entry.id else None


def dump_entry(entry: CatalogEntry) -> str:
    """A catalog entry as JSON text."""
    return encode(entry)


def load_entry(kind: str, text: str) -> CatalogEntry:
    """The catalog entry stored by `dump_entry`."""
    return decode(text, KINDS[kind])


def required_keys(
    current: Iterable[Terms], facts: Iterable[Fact], customer_discounts: Iterable[Discount] = ()
) -> frozenset[CatalogKey]:
    """Every entry that settling these facts may use. `current`: the terms in the stream's state.

    `customer_discounts`: those in the stream's state; the facts may begin a subscription that they apply to, or end the
    discount that replaced them.
    """
    found = set(_discount_keys(customer_discounts))
    for terms in _all_terms(current, facts):
        for item in terms.items:
            found.add(("price", item.price.id))
            found.add(("product", item.price.product_id or ""))
            if item.price.currency.code != terms.currency.code:
                found.add(("price_option", option_id(item.price, terms.currency)))
        found.update(_discount_keys(_all_discounts(terms)))
    for fact in facts:
        if isinstance(fact, Payment):
            found.update((("price", fact.price_id or ""), ("product", fact.product_id or "")))
            for line in fact.lines or ():
                found.add(("price", line.price_id or ""))
                found.add(("product", line.product_id or ""))
            found.update(_discount_keys(fact.discounts))
        elif isinstance(fact, Link) and fact.customer_discount is not None:
            found.update(_discount_keys((fact.customer_discount,)))
    return frozenset(key for key in found if key[1])


def coupon_keys(entries: Mapping[CatalogKey, CatalogEntry]) -> frozenset[CatalogKey]:
    """The coupons that stored discounts refer to, and their products: only a second lookup can find them."""
    ids = {entry.coupon_id for entry in entries.values() if isinstance(entry, Discount) and entry.coupon is None}
    kinds = ("coupon", "coupon_products")
    return frozenset((kind, coupon_id) for coupon_id in ids if coupon_id for kind in kinds) - entries.keys()


def missing_keys(
    current: Iterable[Terms], facts: Iterable[Fact], catalog: Catalog, customer_discounts: Iterable[Discount] = ()
) -> frozenset[CatalogKey]:
    """Tiers and coupons that MRR depends on and no payload has contained: only the processor's API has them."""
    found = set(_missing_coupons(customer_discounts, catalog))
    for terms in _all_terms(current, facts):
        for item in terms.items:
            price = catalog.full_price(item.price)
            if price.tiered and not price.tiers:
                found.add(("price", price.id))
        found.update(_missing_coupons(_all_discounts(terms), catalog))
    return frozenset(found)


def _missing_coupons(discounts: Iterable[Discount], catalog: Catalog) -> Iterator[CatalogKey]:
    for discount in discounts:
        full = catalog.full_discount(discount)
        if full.coupon is None and full.coupon_id:
            yield "coupon", full.coupon_id
        elif full.coupon is None and full.id:
            yield "discount", full.id


def unlimited_keys(current: Iterable[Terms], facts: Iterable[Fact], catalog: Catalog) -> frozenset[CatalogKey]:
    """Coupons on subscriptions to several products of which no payload has stated to which of them it is limited."""
    coupons = (
        catalog.full_discount(discount).coupon
        for terms in _all_terms(current, facts)
        if len({item.price.product_id for item in terms.items}) > 1
        for discount in terms.discounts
    )
    return frozenset(("coupon", coupon.id) for coupon in coupons if coupon is not None and coupon.applies_to is None)


def unpriced_keys(current: Iterable[Terms], facts: Iterable[Fact], catalog: Catalog) -> frozenset[CatalogKey]:
    """Prices of items that are billed in another currency, of which no payload has stated the amount."""
    return frozenset(
        ("price_option", option_id(item.price, terms.currency))
        for terms in _all_terms(current, facts)
        for item in terms.items
        if catalog.price_in(item.price, terms.currency).currency.code != terms.currency.code
    )


def _all_terms(current: Iterable[Terms], facts: Iterable[Fact]) -> Iterator[Terms]:
    yield from current
    for fact in facts:
        if isinstance(fact, SubscriptionState):
            yield fact.now
            if fact.before is not None:
                yield fact.before


def _all_discounts(terms: Terms) -> Iterator[Discount]:
    yield from terms.discounts
    for item in terms.items:
        yield from item.discounts


def _discount_keys(discounts: Iterable[Discount]) -> Iterator[CatalogKey]:
    for discount in discounts:
        yield ("discount", discount.id or "")
        yield from (("coupon", discount.coupon_id or ""), ("coupon_products", discount.coupon_id or ""))
