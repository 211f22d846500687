"""From the inbox to the outbox, on both databases: webhooks are routed and settled into deliveries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.errors import Deadlock, StoreUnavailable
from bridge.internal_events import attributions, imports
from bridge.ledger import State
from bridge.settings import Settings
from bridge.store import Store, inbox, outbox, streams
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.worker import batch, settling
from bridge.worker.loop import Worker
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors.facts import Stage, SubscriptionState
from processors.paddle.simulation import customer as paddle
from processors.stripe.account import of_subscription
from processors.stripe.simulation.customer import Customer
from processors.values import replace
from tests.settings import some_settings
from tests.working import settle_all, store_webhooks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BORN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return some_settings(database_url)


def receive(store: Store, bodies: Iterable[bytes], *, at: datetime = NOW) -> None:
    """Stores Stripe webhooks as the web process does."""
    store_webhooks(store, "stripe", bodies, at)


def work(store: Store, settings: Settings, at: datetime = NOW) -> None:
    """Does everything a worker would do at that time, except sending."""
    settle_all(store, settings, at)


def deliveries_in(store: Store) -> list[Delivery]:
    with store.reading() as tx:
        return outbox.listing(tx, limit=1000)[::-1]


def summaries(deliveries: Sequence[Delivery]) -> list[tuple[str, str, str]]:
    return [
        (one.event_type, f"{one.amount:f}", "" if one.mrr_impact is None else f"{one.mrr_impact:f}")
        for one in deliveries
    ]


def row(store: Store, event_id: str) -> InboxRow:
    with store.reading() as tx:
        found = inbox.find(tx, event_id)
    assert found is not None
    return found


def data(delivery: Delivery) -> dict[str, Any]:
    return dict(json.loads(delivery.body))


def test_a_signup_becomes_one_event_and_every_webhook_has_its_end(store: Store, settings: Settings) -> None:
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)

    work(store, settings)

    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]
    with store.reading() as tx:
        rows = inbox.listing(tx, limit=100)
    assert {one.status for one in rows} <= {InboxStatus.SETTLED, InboxStatus.IGNORED}
    assert sum(one.revenue_event_count for one in rows) == 1


def test_nothing_is_settled_before_the_customer_has_been_quiet(store: Store, database_url: str) -> None:
    settings = some_settings(database_url, SETTLE_SECONDS="90")
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)

    work(store, settings, NOW + timedelta(seconds=89))
    early = deliveries_in(store)
    work(store, settings, NOW + timedelta(seconds=91))

    assert early == []
    assert len(deliveries_in(store)) == 1


def test_what_a_failing_store_kept_from_being_settled_is_settled_as_soon_as_it_is_back(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(store=store, settings=settings, owner="worker")
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)
    route(store, settings, "worker", NOW)
    with monkeypatch.context() as broken:
        broken.setattr(streams, "save", _disk_is_full)
        with pytest.raises(StoreUnavailable):
            worker.settle(NOW)

    worker.settle(NOW + timedelta(seconds=2))

    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


def _disk_is_full(*_: object) -> None:
    raise StoreUnavailable("the disk is full")


def test_a_batch_that_the_database_undid_for_another_transaction_is_written_again_at_once(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)
    route(store, settings, "worker", NOW)
    save, undone = streams.save, iter([True, True])

    def save_at_the_third_try(*given: Any) -> None:
        save(*given)
        if next(undone, False):
            raise Deadlock("two transactions waited for each other")

    monkeypatch.setattr(streams, "save", save_at_the_third_try)

    assert settle_due(store, settings, "worker", NOW) == 1

    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


def test_webhooks_that_come_again_later_give_nothing_more(store: Store, settings: Settings) -> None:
    customer = Customer.begin("ada", BORN).subscribe()
    receive(store, customer.webhooks)
    work(store, settings)
    with store.transaction() as tx:
        inbox.replay(tx, [one.id for one in inbox.listing(tx, limit=100)])

    work(store, settings, NOW + timedelta(hours=1))

    assert len(deliveries_in(store)) == 1


def test_an_invoice_payment_waits_until_its_customer_is_named(store: Store, settings: Settings) -> None:
    webhooks = Customer.begin("ada", BORN).subscribe().webhooks
    nameless = [body for body in webhooks if json.loads(body)["type"] == "invoice_payment.paid"]
    rest = [body for body in webhooks if body not in nameless]

    receive(store, nameless)
    work(store, settings)
    waiting = deliveries_in(store)
    receive(store, rest, at=NOW + timedelta(minutes=1))
    work(store, settings, NOW + timedelta(minutes=2))

    assert waiting == []
    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


@pytest.mark.parametrize("named", [{"customer_id": "cus_ada"}, {"transaction_id": "cs_ada_1"}])
def test_an_unattributed_event_is_held_and_released_by_a_registration(
    store: Store, settings: Settings, named: dict[str, str]
) -> None:
    receive(store, Customer.begin("ada", BORN, visit={}).subscribe().webhooks)
    work(store, settings)
    held = deliveries_in(store)[0]
    visit = {**named, "visitor_fingerprint": "fp_late", "session_id": "sess_late"}

    store.accept(attributions.encode(settings.sources["stripe"], visit, livemode=True, now=NOW))
    work(store, settings, NOW + timedelta(minutes=1))

    released = deliveries_in(store)[0]
    assert (held.status, held.hold_until) == (DeliveryStatus.HELD, NOW + timedelta(hours=1))
    assert data(held)["visitor_fingerprint"].startswith("unattributed:")
    assert released.status is DeliveryStatus.PENDING
    assert (data(released)["visitor_fingerprint"], data(released)["session_id"]) == ("fp_late", "sess_late")
    assert data(released)["metadata"]["attribution"] == "registered"


@pytest.mark.parametrize(("policy", "status"), [("send", DeliveryStatus.PENDING), ("drop", DeliveryStatus.DROPPED)])
def test_the_policy_says_what_becomes_of_the_unattributed(
    store: Store, database_url: str, policy: str, status: DeliveryStatus
) -> None:
    settings = some_settings(database_url, UNATTRIBUTED=policy)
    receive(store, Customer.begin("ada", BORN, visit={}).buy(2900, guest=True).webhooks)

    work(store, settings)

    assert [one.status for one in deliveries_in(store)] == [status]


def test_test_mode_keeps_a_ledger_of_its_own_and_is_not_sent(store: Store, settings: Settings) -> None:
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)
    receive(store, Customer.begin("tess", BORN, livemode=False).subscribe().webhooks)

    work(store, settings)

    assert sorted((one.scope, one.status.value) for one in deliveries_in(store)) == [
        ("stripe||live", "pending"),
        ("stripe||test", "not_forwarded"),
    ]


def test_one_odd_event_does_not_stop_the_others(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = Customer.begin("ada", BORN).subscribe().webhooks
    odd = json.dumps({**json.loads(webhooks[0]), "id": "evt_odd", "type": "charge.succeeded"}).encode()
    receive(store, [*webhooks, odd])
    fold = settling.settle

    def breaks(state: Any, facts: Sequence[Any], *more: Any) -> Any:
        if any(fact.processor_event_id == webhook_id for fact in facts):
            raise ZeroDivisionError("an odd event")
        return fold(state, facts, *more)

    webhook_id = json.loads(webhooks[1])["id"]
    monkeypatch.setattr(settling, "settle", breaks)
    work(store, settings)

    failed = row(store, webhook_id)
    assert failed.status is InboxStatus.FAILED
    assert "ZeroDivisionError: an odd event" in (failed.reason or "")
    assert len(deliveries_in(store)) == 1


def test_a_ledger_state_that_cannot_be_read_is_kept_and_tried_again_in_an_hour(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = Customer.begin("ada", BORN).subscribe()
    receive(store, customer.webhooks)
    work(store, settings)
    receive(store, customer.renew().webhooks[len(customer.webhooks) :], at=NOW + timedelta(minutes=1))

    with monkeypatch.context() as broken:
        broken.setattr(batch, "load", _unreadable)
        work(store, settings, NOW + timedelta(minutes=2))
    with store.reading() as tx:
        stream = streams.find(tx, ["stripe||live|cus_ada"])["stripe||live|cus_ada"]
    work(store, settings, NOW + timedelta(minutes=63))

    assert stream.due_at == NOW + timedelta(minutes=62)
    assert stream.reason == "the ledger state cannot be read: Expecting value"
    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00"), ("renewal", "49.00", "0.00")]


def _unreadable(text: str | None) -> State:
    raise ValueError("Expecting value")


def test_the_first_charge_after_a_trial_meets_its_start_though_it_comes_an_hour_later(
    store: Store, settings: Settings
) -> None:
    trial_end = NOW - timedelta(minutes=1)
    customer = Customer.begin("ada", trial_end - timedelta(days=14)).subscribe(trial_days=14)
    webhooks = customer.end_trial().webhooks[len(customer.webhooks) :]
    at_the_end = [body for body in webhooks if json.loads(body)["type"].startswith("customer.subscription")]
    an_hour_later = [body for body in webhooks if body not in at_the_end]
    receive(store, customer.webhooks, at=NOW - timedelta(days=14))
    work(store, settings, NOW - timedelta(days=13))

    receive(store, at_the_end)
    work(store, settings, NOW + timedelta(minutes=1))
    waiting = deliveries_in(store)
    receive(store, an_hour_later, at=NOW + timedelta(hours=1))
    work(store, settings, NOW + timedelta(hours=1, minutes=1))

    assert waiting == []
    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


def test_a_trial_that_ends_without_a_payment_is_reported_alone_after_two_hours(
    store: Store, settings: Settings
) -> None:
    trial_end = NOW - timedelta(minutes=1)
    customer = Customer.begin("ada", trial_end - timedelta(days=14)).subscribe(trial_days=14)
    webhooks = customer.end_trial().webhooks[len(customer.webhooks) :]
    receive(store, customer.webhooks, at=NOW - timedelta(days=14))
    receive(store, [body for body in webhooks if json.loads(body)["type"].startswith("customer.subscription")])

    work(store, settings, NOW + timedelta(hours=1))
    early = deliveries_in(store)
    work(store, settings, NOW + timedelta(hours=2))

    assert early == []
    assert summaries(deliveries_in(store)) == [("subscription", "0.00", "49.00")]


def test_a_start_that_announces_its_payment_waits_for_it_ten_minutes(store: Store, settings: Settings) -> None:
    webhooks = paddle.Customer.begin("pia", NOW).subscribe().webhooks
    before = [body for body in webhooks if json.loads(body)["event_type"] != "transaction.completed"]
    completed = [body for body in webhooks if body not in before]

    store_webhooks(store, "paddle", before, NOW)
    work(store, settings, NOW + timedelta(seconds=99))
    waiting = deliveries_in(store)
    store_webhooks(store, "paddle", completed, NOW + timedelta(seconds=100))
    work(store, settings, NOW + timedelta(seconds=101))

    assert waiting == []
    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


def test_a_source_that_is_gone_keeps_its_events(store: Store, settings: Settings, database_url: str) -> None:
    receive(store, Customer.begin("ada", BORN).subscribe().webhooks)
    without = some_settings(database_url, STRIPE_WEBHOOK_SECRET="")

    work(store, without)
    kept = row(store, "evt_ada_1")
    work(store, settings, NOW + timedelta(hours=2))

    assert (kept.status, "not configured any more" in (kept.reason or "")) == (InboxStatus.FAILED, True)
    assert len(deliveries_in(store)) == 1


def test_an_imported_subscription_is_a_silent_baseline_and_its_renewal_a_renewal(
    store: Store, settings: Settings
) -> None:
    customer = Customer.begin("ada", BORN).subscribe()
    born = next(body for body in customer.webhooks if json.loads(body)["type"] == "customer.subscription.created")
    state = of_subscription(json.loads(born)["data"]["object"], BORN).facts[0]
    assert isinstance(state, SubscriptionState)

    first = store.accept(imports.encode(settings.sources["stripe"], state, livemode=True, now=NOW))
    again = store.accept(imports.encode(settings.sources["stripe"], state, livemode=True, now=NOW))
    work(store, settings)
    silent = deliveries_in(store)
    renewal = customer.renew().webhooks[len(customer.webhooks) :]
    receive(store, renewal, at=NOW + timedelta(hours=1))
    work(store, settings, NOW + timedelta(hours=2))

    assert (first, again, silent) == (True, False, [])
    assert summaries(deliveries_in(store)) == [("renewal", "49.00", "0.00")]


def test_what_is_still_to_be_routed_is_waited_for_by_what_it_belongs_to(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = some_settings(database_url, SETTLE_SECONDS="90")
    signup, after_outage = Customer.begin("ada", BORN).subscribe().webhooks, NOW + timedelta(hours=5)
    receive(store, signup)
    receive(store, Customer.begin("bob", BORN).buy(2900).webhooks, at=NOW + timedelta(hours=1))

    monkeypatch.setattr("bridge.worker.routing.BATCH", 3)
    route(store, settings, "worker", after_outage)
    too_early = settle_due(store, settings, "worker", after_outage)
    while row(store, json.loads(signup[-1])["id"]).status is InboxStatus.RECEIVED:
        route(store, settings, "worker", after_outage)
    settle_due(store, settings, "worker", after_outage)

    assert too_early == 0
    assert summaries(deliveries_in(store)) == [("subscription", "49.00", "49.00")]


def test_what_happens_now_goes_out_before_what_was_imported(store: Store, settings: Settings) -> None:
    old = Customer.begin("ada", BORN).subscribe()
    born = next(body for body in old.webhooks if json.loads(body)["type"] == "customer.subscription.created")
    state = of_subscription(json.loads(born)["data"]["object"], BORN).facts[0]
    assert isinstance(state, SubscriptionState)
    as_a_start = replace(state, stage=Stage.CREATED)
    store.accept(imports.encode(settings.sources["stripe"], as_a_start, livemode=True, now=NOW))
    work(store, settings, NOW + timedelta(hours=1))

    receive(store, Customer.begin("bob", BORN).subscribe().webhooks, at=NOW + timedelta(hours=1))
    work(store, settings, NOW + timedelta(hours=2))

    with store.transaction() as tx:
        first, second = outbox.claim(tx, NOW + timedelta(days=1), 10, "worker", NOW + timedelta(days=2))
    assert (first.stream_id, second.stream_id) == ("stripe||live|cus_bob", "stripe||live|cus_ada")


def test_a_flood_of_one_customer_is_settled_though_it_never_falls_quiet(store: Store, database_url: str) -> None:
    settings = some_settings(database_url, SETTLE_SECONDS="60")
    webhooks = Customer.begin("ada", BORN).subscribe().webhooks
    for number, body in enumerate(webhooks):
        receive(store, [body], at=NOW + timedelta(seconds=50 * number))
        route(store, settings, "worker", NOW + timedelta(seconds=50 * number))

    with store.reading() as tx:
        due = streams.find(tx, ["stripe||live|cus_ada"])["stripe||live|cus_ada"].due_at

    # The first webhook contains no fact; the window opens with the second, 50 s later, and lasts four quiet windows.
    assert due == NOW + timedelta(seconds=50 + 4 * 60)
