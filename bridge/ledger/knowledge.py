"""What is known of prices, coupons and products whoever the customer is, and what a settlement needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.ledger.state import State
from bridge.ledger.writing import text_of, value_of
from processors.facts import (
    Coupon,
    Discount,
    Fact,
    Known,
    Payment,
    Price,
    Product,
    SubscriptionState,
    Terms,
)

Key = tuple[str, str]  # kind and id

KINDS: Mapping[str, type[Known]] = {"price": Price, "coupon": Coupon, "discount": Discount, "product": Product}
_KIND_OF = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """The part of the catalogue that one settlement looks at, by kind and id."""

    entries: Mapping[Key, Known] = field(default_factory=dict)

    def price(self, price: Price) -> Price:
        """The price, completed by what was seen of it elsewhere: tiers and a name."""
        seen = self.entries.get(("price", price.id))
        if price.tiered and not price.tiers and isinstance(seen, Price) and seen.tiers:
            return seen
        return price

    def product_name(self, product_id: str | None) -> str | None:
        """The product's name, or None."""
        seen = self.entries.get(("product", product_id or ""))
        return seen.name if isinstance(seen, Product) else None

    def bought(self, payment: Payment) -> str | None:
        """What a payment without a subscription was for: the product's name, else the price's, else its id."""
        price = self.entries.get(("price", payment.price_id or ""))
        seen = price if isinstance(price, Price) else None
        product = self.product_name(payment.product_id or (seen.product_id if seen else None))
        return product or payment.plan or (seen.name if seen else None) or payment.price_id

    def discount(self, discount: Discount) -> Discount:
        """The discount with its coupon, where either was seen elsewhere."""
        seen = self.entries.get(("discount", discount.id or ""))
        if discount.coupon is None and discount.coupon_id is None and isinstance(seen, Discount):
            discount = seen
        coupon = self.entries.get(("coupon", discount.coupon_id or ""))
        if discount.coupon is not None or not isinstance(coupon, Coupon):
            return discount
        return Discount(
            id=discount.id,
            coupon_id=discount.coupon_id,
            coupon=coupon,
            starts_at=discount.starts_at,
            ends_at=discount.ends_at,
        )

    def coupon_name(self, discount: Discount) -> str | None:
        """What the discount's coupon is called, else its id; None: neither was seen."""
        full = self.discount(discount)
        return (full.coupon.name or full.coupon.id) if full.coupon is not None else full.coupon_id


NOTHING_KNOWN = Knowledge()


def key_of(known: Known) -> Key | None:
    """Under which kind and id a piece of knowledge is kept. None: it has no id."""
    return (_KIND_OF[type(known)], known.id) if known.id else None


def dump(known: Known) -> str:
    """One catalogue entry as JSON text."""
    return text_of(known, sort_keys=True)


def load(kind: str, text: str) -> Known:
    """The catalogue entry that `dump` wrote."""
    return value_of(text, KINDS[kind])


def wanted(state: State, facts: Iterable[Fact]) -> frozenset[Key]:
    """Every catalogue entry that settling these facts may look at."""
    found: set[Key] = set()
    for terms in _all_terms(state, facts):
        for item in terms.items:
            found.add(("price", item.price.id))
            found.add(("product", item.price.product_id or ""))
            found.update(_of_discounts(item.discounts))
        found.update(_of_discounts(terms.discounts))
    for fact in facts:
        if isinstance(fact, Payment):
            found.update((("price", fact.price_id or ""), ("product", fact.product_id or "")))
            for line in fact.lines or ():
                found.add(("price", line.price_id or ""))
                found.add(("product", line.product_id or ""))
            found.update(_of_discounts(fact.discounts))
    return frozenset(key for key in found if key[1])


def coupons_behind(entries: Mapping[Key, Known]) -> frozenset[Key]:
    """The coupons that recalled discounts point at, to be recalled in a second step."""
    ids = {known.coupon_id for known in entries.values() if isinstance(known, Discount) and known.coupon is None}
    return frozenset(("coupon", coupon_id) for coupon_id in ids if coupon_id) - entries.keys()


def missing(state: State, facts: Iterable[Fact], knowledge: Knowledge) -> frozenset[Key]:
    """What these facts rest on and nobody has told yet: tiers and coupons that only the API can say."""
    found: set[Key] = set()
    for terms in _all_terms(state, facts):
        for item in terms.items:
            price = knowledge.price(item.price)
            if price.tiered and not price.tiers:
                found.add(("price", price.id))
        for discount in _all_discounts(terms):
            full = knowledge.discount(discount)
            if full.coupon is None and full.coupon_id:
                found.add(("coupon", full.coupon_id))
            elif full.coupon is None and full.id:
                found.add(("discount", full.id))
    return frozenset(found)


def _all_terms(state: State, facts: Iterable[Fact]) -> Iterator[Terms]:
    for subscription in state.subscriptions.values():
        if subscription.terms is not None and not subscription.ended:
            yield subscription.terms
    for fact in facts:
        if isinstance(fact, SubscriptionState):
            yield fact.now
            if fact.before is not None:
                yield fact.before


def _all_discounts(terms: Terms) -> Iterator[Discount]:
    yield from terms.discounts
    for item in terms.items:
        yield from item.discounts


def _of_discounts(discounts: Iterable[Discount]) -> Iterator[Key]:
    for discount in discounts:
        yield ("discount", discount.id or "")
        yield ("coupon", discount.coupon_id or "")
