"""What was seen of prices and coupons is known later, each ledger's for itself."""

from __future__ import annotations

from bridge.store import Store, catalog
from tests.bridge.store.builders import SCOPE


def test_a_catalog_entry_is_found_by_kind_and_id(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [("price", "x", '{"a": 1}'), ("coupon", "x", '{"b": 2}'), ("price", "y", "{}")])
        catalog.upsert(tx, "stripe||test", [("price", "x", "test")])

    with store.reading() as tx:
        known = catalog.lookup(tx, SCOPE, [("price", "x"), ("coupon", "x"), ("coupon", "y"), ("product", "x")])

    assert known == {("price", "x"): '{"a": 1}', ("coupon", "x"): '{"b": 2}'}


def test_the_last_entry_is_kept(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [("price", "x", "first"), ("price", "x", "second")])
        catalog.upsert(tx, SCOPE, [("price", "x", "third"), ("price", "y", "é🦊")])

    with store.reading() as tx:
        assert catalog.lookup(tx, SCOPE, [("price", "x"), ("price", "y")]) == {
            ("price", "x"): "third",
            ("price", "y"): "é🦊",
        }


def test_nothing_stored_and_nothing_looked_up_is_an_empty_catalog(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [])
        assert catalog.lookup(tx, SCOPE, []) == {}
