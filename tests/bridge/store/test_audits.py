"""Results of audits are kept, the newest of each source, with the rows that differed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import insert

from bridge.store import Store, audits, schema
from processors.values import replace
from tests.bridge.store.builders import ANNA, BERT, NOON, a_differing_row, an_audit


def test_a_result_is_read_as_it_was_kept(store: Store) -> None:
    with store.transaction() as tx:
        audit_id = audits.add(tx, an_audit(), [a_differing_row(), a_differing_row(day=None, key="sub_1")])

    with store.reading() as tx:
        assert audits.latest(tx, "stripe") == replace(an_audit(), id=audit_id)
        assert audits.find(tx, audit_id) == audits.recent(tx)[0]
        assert audits.rows_of(tx, audit_id) == [a_differing_row(), a_differing_row(day=None, key="sub_1")]
        assert audits.find(tx, audit_id + 1) is None


def test_only_a_last_result_with_unexplained_rows_is_a_difference(store: Store) -> None:
    with store.transaction() as tx:
        audits.add(tx, an_audit(), [])
        audits.add(tx, an_audit(source="paddle"), [])
        audits.add(tx, an_audit(source="paddle", unexplained=0), [])

    with store.reading() as tx:
        found = audits.latest_audit_difference(tx, ["stripe", "paddle", "never"])

    assert {source: one.unexplained for source, one in found.items()} == {"stripe": 1}


def test_the_last_hundred_of_a_source_are_kept_each_with_a_thousand_rows(sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        other = audits.add(tx, an_audit(source="paddle"), [a_differing_row()])
        ids = [audits.add(tx, an_audit(at=NOON + timedelta(hours=n)), [a_differing_row()]) for n in range(103)]
        long = audits.add(tx, an_audit(), [a_differing_row()] * 1001)

    with sqlite_store.reading() as tx:
        kept = [one.id for one in audits.recent(tx, 1000)]
        assert kept == [long, *ids[:3:-1], other]
        assert [len(audits.rows_of(tx, one, 2000)) for one in (long, ids[4], ids[3], other)] == [1000, 1, 0, 1]


def test_the_levels_of_a_customer_with_thousands_of_subscriptions_are_all_read(store: Store) -> None:
    names = [f"sub_{number:04}" for number in range(2001)]  # read in parts of 2000
    row = {
        "source": "stripe",
        "livemode": True,
        "currency": "USD",
        "plan": "Pro",
        "mrr": Decimal(9),
        "changed_at": NOON,
    }
    with store.transaction() as tx:
        tx.execute(insert(schema.subscriptions), [{**row, "stream_id": ANNA, "subscription_id": one} for one in names])
        tx.execute(insert(schema.subscriptions), {**row, "stream_id": BERT, "subscription_id": "sub_b"})

    assert [one.subscription_id for one in audits.levels(store, "stripe", True)] == [*names, "sub_b"]
