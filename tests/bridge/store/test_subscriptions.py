"""The subscriptions of the ledger as a table: which have MRR, and which have MRR that was never reported."""

from __future__ import annotations

from decimal import Decimal

from bridge.store import Store, subscriptions
from tests.bridge.store.builders import ANNA, BERT, a_subscription_row


def filled(store: Store) -> None:
    with store.transaction() as tx:
        subscriptions.save(
            tx,
            [
                a_subscription_row("sub_1"),
                a_subscription_row("sub_2", baseline=Decimal(49)),
                a_subscription_row("sub_3", mrr=Decimal(0), baseline=Decimal("0.01")),
                a_subscription_row("sub_1", stream_id=BERT, mrr=Decimal(0)),
                a_subscription_row("sub_4", stream_id=BERT),
                a_subscription_row("sub_5", stream_id=BERT, livemode=False, baseline=Decimal(49)),
                a_subscription_row("sub_6", stream_id=BERT, source="paddle", baseline=Decimal(49)),
            ],
        )


def test_those_with_mrr_are_read_page_by_page(store: Store) -> None:
    filled(store)
    found, after = [], ("", "")
    with store.reading() as tx:
        while page := subscriptions.with_mrr(tx, ["stripe"], after, 2):
            found += [(row.stream_id, row.subscription_id) for row in page]
            after = found[-1]

    assert found == [(ANNA, "sub_1"), (ANNA, "sub_2"), (BERT, "sub_4")]


def test_those_with_a_baseline_are_found_also_when_they_have_ended(store: Store) -> None:
    filled(store)

    with store.reading() as tx:
        live = subscriptions.with_baseline(tx, "stripe", True)
        test = subscriptions.with_baseline(tx, "stripe", False)

    assert [(row.subscription_id, row.baseline) for row in live] == [("sub_2", 49), ("sub_3", Decimal("0.01"))]
    assert [row.subscription_id for row in test] == ["sub_5"]
