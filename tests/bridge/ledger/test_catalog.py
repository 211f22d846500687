"""Catalog: the entries that a settlement needs, those that are missing, and their stored form."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge.ledger.catalog import (
    EMPTY_CATALOG,
    coupon_keys,
    dump_entry,
    key_of,
    load_entry,
    missing_keys,
    required_keys,
    unlimited_keys,
    unpriced_keys,
)
from bridge.ledger.state import EMPTY
from processors.facts import (
    CatalogEntry,
    Coupon,
    CouponProducts,
    Discount,
    Duration,
    Fact,
    PriceOption,
    Product,
    Tier,
    TiersMode,
)
from processors.values import replace
from tests.bridge.ledger.harness import catalog_of, settled
from tests.builders import (
    EUR,
    NOON,
    a_coupon,
    a_created,
    a_discount,
    a_line,
    a_price,
    a_purchase,
    an_ended,
    an_invoice,
    an_item,
    terms,
)

TIERED = a_price(None, id="price_t", tiered=True, tiers_mode=TiersMode.VOLUME)
COMPLETE = a_price(
    None, id="price_t", tiered=True, tiers_mode=TiersMode.VOLUME, tiers=(Tier(up_to=None, unit_amount=Decimal("0.5")),)
)


@pytest.mark.parametrize(
    "entry",
    [
        COMPLETE,
        a_price("0.000000000001", product_id=None),
        a_coupon(12.5, name="Eighth"),
        Coupon(id="FIVE", amount_off={"USD": 500, "EUR": 450}, duration=Duration.ONCE),
        a_discount(a_coupon(10), starts_at=NOON),
        Coupon(id="ALL", percent=Decimal(10), applies_to=()),
        CouponProducts(id="FIVE", applies_to=("prod_1",)),
        PriceOption(id="price_4900:EUR", price=replace(a_price("4500"), currency=EUR)),
        Product(id="prod_1", name="Acme Pro"),
    ],
)
def test_an_entry_is_the_same_after_it_was_written_down(entry: CatalogEntry) -> None:
    key = key_of(entry)

    assert key is not None
    assert load_entry(key[0], dump_entry(entry)) == entry


def test_what_has_no_id_is_not_kept() -> None:
    assert key_of(Discount(coupon_id="SAVE")) is None


def test_everything_that_terms_and_lines_rest_on_is_wanted() -> None:
    item = an_item(price=TIERED, discounts=(Discount(id="di_item"),))
    facts: list[Fact] = [
        a_created(now=terms(items=(item,), discounts=(Discount(coupon_id="SAVE"),))),
        an_invoice(lines=(a_line(product_id="prod_2"),), discounts=(Discount(id="di_invoice"),)),
    ]

    assert required_keys(EMPTY.current_terms, facts) == {
        ("price", "price_t"),
        ("product", "prod_1"),
        ("discount", "di_item"),
        ("coupon", "SAVE"),
        ("coupon_products", "SAVE"),
        ("price", "price_4900"),
        ("product", "prod_2"),
        ("discount", "di_invoice"),
    }


def test_the_present_terms_are_looked_up_again_until_they_have_ended() -> None:
    running = settled([a_created(now=terms(items=(an_item(price=TIERED),)))]).state
    ended = settled([an_ended()]).state

    assert ("price", "price_t") in required_keys(running.current_terms, [a_purchase()])
    assert required_keys(ended.current_terms, [a_purchase()]) == frozenset()


def test_the_discounts_of_a_customer_are_wanted_while_none_of_the_subscriptions_has_them() -> None:
    remembered = (Discount(id="di_customer", coupon_id="FIFTH"),)

    assert required_keys([], [], remembered) == {
        ("discount", "di_customer"),
        ("coupon", "FIFTH"),
        ("coupon_products", "FIFTH"),
    }
    assert missing_keys([], [], EMPTY_CATALOG, remembered) == {("coupon", "FIFTH")}
    assert missing_keys([], [], catalog_of(a_coupon(20, id="FIFTH")), remembered) == frozenset()


def test_tiers_and_coupons_that_are_not_in_the_catalog_are_missing() -> None:
    found = terms(items=(an_item(price=TIERED),), discounts=(Discount(coupon_id="SAVE"), Discount(id="di_1")))
    facts = [a_created(now=found)]

    assert missing_keys(EMPTY.current_terms, facts, EMPTY_CATALOG) == {
        ("price", "price_t"),
        ("coupon", "SAVE"),
        ("discount", "di_1"),
    }
    known = catalog_of(COMPLETE, a_coupon(10), a_discount(a_coupon(10)))
    assert missing_keys(EMPTY.current_terms, facts, known) == frozenset()


def test_a_discount_that_was_seen_leads_to_its_coupon() -> None:
    seen = catalog_of(
        Discount(id="di_1", coupon_id="SAVE"), Discount(id="di_2", coupon_id="KNOWN"), a_coupon(10, id="KNOWN")
    )

    assert coupon_keys(seen.entries) == {
        ("coupon", "SAVE"),
        ("coupon_products", "SAVE"),
        ("coupon_products", "KNOWN"),
    }


def test_a_price_in_another_currency_is_asked_for_until_its_option_is_known() -> None:
    euros = replace(a_price("4500"), currency=EUR)
    option = PriceOption(id="price_4900:EUR", price=euros)
    foreign = replace(terms(items=(an_item(price=a_price("4900", id="price_4900")),)), currency=EUR)

    known = catalog_of(option)

    assert unpriced_keys([foreign], [], EMPTY_CATALOG) == {("price_option", "price_4900:EUR")}
    assert unpriced_keys([terms(items=(an_item(),))], [], EMPTY_CATALOG) == frozenset()
    assert unpriced_keys([foreign], [], known) == frozenset()
    assert ("price_option", "price_4900:EUR") in required_keys([foreign], [])
    assert known.price_in(foreign.items[0].price, EUR) == euros


def test_the_products_of_a_coupon_are_asked_for_where_there_are_several() -> None:
    coupon, products = a_coupon(10), CouponProducts(id=a_coupon(10).id, applies_to=("prod_2",))
    own = Discount(coupon_id=coupon.id)
    two = terms(items=(an_item(), an_item(price=a_price(id="price_2", product_id="prod_2"))), discounts=(own,))
    one = terms(items=(an_item(),), discounts=(own,))

    asked = unlimited_keys([two], [], catalog_of(coupon))
    of_one = unlimited_keys([one], [], catalog_of(coupon))
    known = catalog_of(coupon, products)

    assert asked == {("coupon", coupon.id)}
    assert of_one == frozenset()
    assert unlimited_keys([two], [], known) == frozenset()
    assert known.full_discount(own).coupon == replace(coupon, applies_to=("prod_2",))
