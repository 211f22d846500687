"""What was seen of prices and coupons is known later, each ledger's for itself."""

from __future__ import annotations

from bridge.store import Store, catalog
from tests.bridge.store.builders import SCOPE


def test_what_was_learnt_is_recalled_by_kind_and_id(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [("price", "x", '{"a": 1}'), ("coupon", "x", '{"b": 2}'), ("price", "y", "{}")])
        catalog.upsert(tx, "stripe||test", [("price", "x", "test")])

    with store.reading() as tx:
        known = catalog.lookup(tx, SCOPE, [("price", "x"), ("coupon", "x"), ("coupon", "y"), ("product", "x")])

    assert known == {("price", "x"): '{"a": 1}', ("coupon", "x"): '{"b": 2}'}


def test_the_last_that_is_learnt_holds(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [("price", "x", "first"), ("price", "x", "second")])
        catalog.upsert(tx, SCOPE, [("price", "x", "third"), ("price", "y", "é🦊")])

    with store.reading() as tx:
        assert catalog.lookup(tx, SCOPE, [("price", "x"), ("price", "y")]) == {
            ("price", "x"): "third",
            ("price", "y"): "é🦊",
        }


def test_nothing_learnt_and_nothing_asked_is_nothing(store: Store) -> None:
    with store.transaction() as tx:
        catalog.upsert(tx, SCOPE, [])
        assert catalog.lookup(tx, SCOPE, []) == {}
