"""Exports: every revenue event and customer once, and the same sums as the merchant's own records and the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event

from bridge.store import Store, exports, inbox, subscriptions, totals
from bridge.store.exports import ExportFilter, Record
from bridge.store.inbox import NewWebhook
from processors import processors
from tests.audit_merchant import Merchant, merchant
from tests.bridge.store.builders import a_delivery, a_subscription_row, added, updated
from tests.bridge.store.builders import an_update as an_update_of
from tests.settings import some_settings
from tests.working import settle_all

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
LATER = END + timedelta(days=90)
ALL = ExportFilter()
CUSTOMERS = 6


def settled(store: Store, seed: int) -> Merchant:
    """A random merchant's webhooks, stored and settled."""
    made, settings = merchant(CUSTOMERS, seed, BEGIN, END), some_settings("sqlite:///unused.db", UNATTRIBUTED="send")
    envelope = processors()["stripe"].envelope
    with store.transaction() as tx:
        webhooks = [NewWebhook.of_event("stripe", envelope(one, {}), one, END) for one in made.webhooks]
        inbox.insert_new(tx, [inbox.encode_row(one) for one in webhooks])
    settle_all(store, settings, LATER)
    return made


def summed(rows: Iterable[Record], key: str, value: str) -> dict[Any, Any]:
    found: dict[Any, Any] = defaultdict(Decimal)
    for row in rows:
        found[row[key]] += row[value]
    return {name: amount for name, amount in found.items() if amount}


@pytest.mark.parametrize("seed", range(2))
def test_the_sums_of_every_export_are_those_of_the_merchants_own_records_and_of_the_ledger(
    store: Store, seed: int
) -> None:
    merchant = settled(store, seed)

    moves, paid, people = (list(read(store, ALL)) for read in (exports.movements, exports.revenue, exports.customers))

    mrr = {
        f"sub_{one.simulated.tag}_{name}": Decimal(minor) / 100
        for one in merchant.buyers
        for name, minor in one.mrr.items()
        if minor
    }
    assert summed(moves, "subscription_id", "mrr_impact") == mrr
    assert sum(row["mrr"] for row in people) == sum(mrr.values())  # type: ignore[misc]
    with store.reading() as tx:
        stored = totals.sums(tx)
    assert sum(row["amount"] for row in paid) == sum(one.amount for one in stored) != 0  # type: ignore[misc]
    assert summed(people, "customer", "revenue") == summed(paid, "customer", "amount")
    assert sum(row["revenue_events"] for row in people) == sum(one.count for one in stored)  # type: ignore[misc]
    assert max(Counter(row["id"] for row in [*moves]).values()) == 1
    assert len(people) == CUSTOMERS


def test_every_row_comes_once_whatever_the_size_of_a_chunk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(store, 1)
    whole = [list(read(store, ALL)) for read in (exports.movements, exports.revenue, exports.customers)]
    monkeypatch.setattr(exports, "CHUNK", 2)

    assert [list(read(store, ALL)) for read in (exports.movements, exports.revenue, exports.customers)] == whole


def test_a_period_a_source_and_the_mode_choose_rows(store: Store) -> None:
    body = '{"metadata": {"occurred_at": "%sT23:59:59Z"}}'
    scopes = {"a": ("stripe", True), "b": ("shop", True), "c": ("stripe", False), "d": ("stripe", True)}
    for key, (source, livemode) in scopes.items():
        scope = f"{source}||{'live' if livemode else 'test'}"
        stream = f"{scope}|cus_{key}"
        day = "2026-03-02" if key == "d" else "2026-03-01"
        updated(store, an_update_of(stream, scope=scope))
        added(
            store,
            a_delivery(key, scope=scope, stream_id=stream, source=source, livemode=livemode, body=body % day),
        )  # fmt: skip
    first = date(2026, 3, 1)

    def chosen(**filters: Any) -> list[list[object]]:
        wanted = ExportFilter(**filters)
        return [[row["customer"] for row in read(store, wanted)] for read in (exports.revenue, exports.customers)]

    assert chosen() == [["cus_a", "cus_b", "cus_d"], ["cus_b", "cus_a", "cus_d"]]
    assert chosen(source="shop") == [["cus_b"], ["cus_b"]]
    assert chosen(livemode=False) == [["cus_c"], ["cus_c"]]
    assert chosen(first=first, last=first, source="stripe") == [["cus_a"], ["cus_a"]]
    assert chosen(first=date(2026, 3, 2)) == [["cus_d"], ["cus_d"]]
    assert chosen(last=date(2026, 2, 28)) == [[], []]


def test_a_customer_has_a_row_for_each_currency_and_none_without_money(store: Store) -> None:
    anna, bert = "stripe||live|cus_anna", "stripe|acct_1|live|~pi_2"
    updated(
        store, an_update_of(anna), an_update_of(bert, scope="stripe|acct_1|live"), an_update_of("stripe||live|cus_0")
    )
    added(
        store,
        a_delivery("1", stream_id=anna, currency="USD", amount=Decimal("9.00")),
        a_delivery("2", stream_id=anna, currency="USD", amount=Decimal("-4.00"), event_type="refund"),
        a_delivery("3", stream_id=bert, scope="stripe|acct_1|live", currency="EUR", amount=Decimal("5.50")),
    )
    with store.transaction() as tx:
        subscriptions.save(
            tx, [a_subscription_row(stream_id=anna, currency="EUR", mrr=Decimal(20), baseline=Decimal(5))]
        )

    rows = list(exports.customers(store, ALL))

    shown = ("account", "customer", "currency", "mrr", "baseline", "subscriptions", "revenue", "revenue_events")
    assert [tuple(row[name] for name in shown) for row in rows] == [
        ("acct_1", None, "EUR", 0, 0, 0, Decimal("5.50"), 1),
        (None, "cus_anna", "EUR", 20, 5, 1, 0, 0),
        (None, "cus_anna", "USD", 0, 0, 0, Decimal("5.00"), 2),
    ]


def test_no_chunk_sorts_the_whole_table(sqlite_store: Store) -> None:
    plans: list[str] = []
    with sqlite_store.reading() as tx:
        engine = tx.engine

    @event.listens_for(engine, "before_cursor_execute")
    def _explain(connection: Connection, cursor: Any, statement: str, values: Any, *_: object) -> None:
        if statement.startswith("SELECT") and "LIMIT" in statement:
            plans.extend(str(row) for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    wanted = ExportFilter(source="stripe", first=date(2026, 1, 1))
    for read in (exports.movements, exports.revenue, exports.customers):
        list(read(sqlite_store, wanted))

    assert len(plans) == 3
    assert [one for one in plans if "SEARCH" not in one] == []
    assert [one for one in plans if "PRIMARY KEY" not in one and "stream_id>?" not in one] == []
