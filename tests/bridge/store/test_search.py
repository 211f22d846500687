"""Search of webhooks and deliveries, on both databases."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from bridge.scope import StreamId
from bridge.store import Store, inbox, outbox, search, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.search import DeliveryFilter, WebhookFilter
from tests.bridge.store.builders import ANNA, BERT, NOON, SCOPE, a_delivery, a_webhook, an_update, stored

BODY = '{"customer_id":"user_7","transaction_id":"in_1","customer_subscription_id":"sub_1","metadata":{"plan":"Pro"}}'


@pytest.fixture
def stocked(store: Store) -> Store:
    """Anna's webhooks evt_1 and evt_2, settled together; Bert's evt_3, ignored; a delivery of Anna's and of Bert's."""
    first, second, third = stored(store, "evt_1", "evt_2", "evt_3")
    store.accept(a_webhook("import_1", type="bridge.import"))
    with store.transaction() as tx:
        streams.upsert(tx, [an_update(ANNA), an_update(BERT)])
        streams.link(tx, SCOPE, {"in_1": ANNA, "sub_1": ANNA})
        inbox.assign(tx, [(first, ANNA), (second, ANNA)])
        inbox.mark_settled(tx, [(first, 1, ["reported as renewal"]), (second, 0, [])], NOON)
        inbox.ignore(tx, [(third, "a draft: no money yet")], NOON)
        outbox.add(tx, [a_delivery("payment:in_1", body=BODY, event_ids=("evt_1",))])
        outbox.add(tx, [a_delivery("payment:in_2", stream_id=BERT, event_type="purchase", event_ids=("evt_9",))])
    return store


def found(store: Store, **values: object) -> list[str]:
    with store.reading() as tx:
        return [row.event_id for row in search.find_webhooks(tx, WebhookFilter(**values), 50)]  # type: ignore[arg-type]


def found_deliveries(store: Store, **values: object) -> list[str]:
    with store.reading() as tx:
        wanted = DeliveryFilter(**values)  # type: ignore[arg-type]
        assert search.count_deliveries(tx, wanted) == len(search.delivery_ids(tx, wanted))
        return [one.output_key for one in search.find_deliveries(tx, wanted, 50)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("evt_1", ["evt_1"]),
        ("cus_anna", ["evt_2", "evt_1"]),
        ("in_1", ["evt_2", "evt_1"]),
        ("user_7", ["evt_2", "evt_1"]),
        ("INVOICE.paid", ["evt_3", "evt_2", "evt_1"]),
        ("draft", ["evt_3"]),
        ("as renewal", ["evt_1"]),
        ("100%", []),
        ("nothing like it", []),
    ],
)
def test_webhooks_are_found_by_any_id_or_a_part_of_type_and_reason(
    stocked: Store, text: str, expected: list[str]
) -> None:
    assert found(stocked, text=text) == expected


def test_facets_of_webhooks_narrow_each_other(stocked: Store) -> None:
    assert found(stocked, status=InboxStatus.SETTLED, source="stripe", livemode=True) == ["evt_2", "evt_1"]
    assert found(stocked, status=InboxStatus.SETTLED, livemode=False) == []
    assert found(stocked, account="acct_1") == []
    assert found(stocked, stream_id=BERT) == []


def test_imported_subscriptions_hide_no_webhook_unless_asked_for(stocked: Store) -> None:
    assert "import_1" not in found(stocked)
    assert found(stocked, with_imports=True)[0] == "import_1"
    assert found(stocked, type="bridge.import") == ["import_1"]


def test_a_search_finds_an_imported_subscription_as_the_rows_of_an_audit_link_to_it(stocked: Store) -> None:
    with stocked.transaction() as tx:
        imported = inbox.find(tx, "import_1", "stripe")
        assert imported is not None
        streams.link(tx, SCOPE, {"sub_old": BERT})
        inbox.assign(tx, [(imported.id, BERT)])

    assert found(stocked, text="sub_old") == ["import_1"]


def test_a_period_includes_its_first_and_last_day(store: Store) -> None:
    for number in range(5):  # 1 to 5 March
        store.accept(a_webhook(f"evt_{number + 1}", received_at=NOON + timedelta(days=number)))

    assert found(store, first=date(2026, 3, 2), last=date(2026, 3, 4)) == ["evt_4", "evt_3", "evt_2"]
    assert found(store, first=date(2026, 3, 6)) == []
    assert found(store, last=date(2026, 2, 28)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in_1", ["payment:in_1"]),
        ("sub_1", ["payment:in_1"]),
        ("user_7", ["payment:in_1"]),
        ("cus_anna", ["payment:in_1"]),
        ("cus_bert", ["payment:in_2"]),
        ("evt_1", ["payment:in_1"]),
        ("PRO", ["payment:in_1"]),
        ("purchase", ["payment:in_2"]),
        ("no such text", []),
    ],
)
def test_deliveries_are_found_by_any_id_or_a_part_of_a_text(stocked: Store, text: str, expected: list[str]) -> None:
    assert found_deliveries(stocked, text=text) == expected


def test_facets_of_deliveries_narrow_each_other(stocked: Store) -> None:
    assert found_deliveries(stocked, type="purchase", status=DeliveryStatus.PENDING) == ["payment:in_2"]
    assert found_deliveries(stocked, plan="") == ["payment:in_2"]
    assert found_deliveries(stocked, plan="Pro", currency="USD") == ["payment:in_1"]
    assert found_deliveries(stocked, attribution="none") == ["payment:in_2", "payment:in_1"]
    assert found_deliveries(stocked, first=date(2026, 3, 2)) == []


def test_an_export_reads_every_row_once_in_chunks(stocked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK", 2)

    rows = [row.event_id for row in search.every_webhook(stocked, WebhookFilter())]

    assert rows == ["evt_3", "evt_2", "evt_1"]
    assert len(list(search.every_delivery(stocked, DeliveryFilter()))) == 2


def test_the_customer_of_a_stream_that_looks_like_a_pattern_is_not_one(stocked: Store) -> None:
    assert found(stocked, text="cus_anna%") == []
    assert StreamId.parse(ANNA).key == "cus_anna"
