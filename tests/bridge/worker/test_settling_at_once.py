"""What is complete is settled at once, but never before all webhooks that arrived until then are routed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.ledger import Settlement, State, settle
from bridge.ledger.catalog import Catalog
from bridge.ledger.policy import Policy
from bridge.store import Store, inbox
from bridge.worker import batch, settling
from bridge.worker.batch import StreamBatch
from bridge.worker.routing import route
from bridge.worker.settling import Enrich, settle_due
from processors.facts import Fact, Ids, Link
from processors.stripe.simulation.customer import STARTER, Customer
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker, after


def settled_while_unrouted(worker: VirtualWorker) -> list[str]:
    """A signup is complete and quiet at 6 s; a change that arrived at 5 s is routed a quarter of a minute late."""
    signup = Customer.begin("ada", NOON).subscribe()
    change = signup.later(seconds=5).change(STARTER).webhooks[len(signup.webhooks) :]
    worker.receive(signup.webhooks, after(4))
    while route(worker.store, worker.settings, "worker", after(4)):
        pass
    worker.receive(change, after(5))
    settle_due(worker.store, worker.settings, "worker", after(6.5))
    return worker.rows()


def test_a_complete_stream_waits_for_what_has_arrived_and_is_not_routed(store: Store) -> None:
    worker = VirtualWorker(store)

    early = settled_while_unrouted(worker)
    worker.work(after(20))
    worker.work_until(after(120))

    assert early == []
    assert worker.rows() == ["subscription 49.00 +49.00", "downgrade 0.00 -30.00"]


def test_without_that_wait_it_would_be_settled_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "routed_until", lambda tx, now: now)

    assert settled_while_unrouted(VirtualWorker(store)) == ["subscription 49.00 +49.00"]


def settled_facts(store: Store, monkeypatch: pytest.MonkeyPatch, enrich: Enrich | None = None) -> list[int]:
    """How many facts each settlement of a complete signup is of."""
    counts: list[int] = []

    def counted(state: State, facts: Sequence[Fact], policy: Policy, catalog: Catalog) -> Settlement:
        counts.append(len(facts))
        return settle(state, facts, policy, catalog)

    for module in (batch, settling):
        monkeypatch.setattr(module, "settle", counted)
    worker = VirtualWorker(store)
    worker.receive(Customer.begin("ada", NOON).subscribe().webhooks, after(4))
    while route(worker.store, worker.settings, "worker", after(4)):
        pass
    settle_due(worker.store, worker.settings, "worker", after(7), enrich=enrich)
    assert worker.rows() == ["subscription 49.00 +49.00"]
    return counts


def test_what_was_complete_on_trial_is_not_settled_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(settled_facts(store, monkeypatch)) == 1


def test_facts_that_come_from_the_api_after_the_trial_are_settled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link(at=NOON, ids=Ids(payment_id="pi_other", invoice_id="in_other"))

    def enrich(batches: Sequence[StreamBatch]) -> None:
        for one in batches:
            one.api_facts.append(link)

    on_trial, for_good = settled_facts(store, monkeypatch, enrich)

    assert for_good == on_trial + 1


def test_a_catalog_that_comes_from_the_api_after_the_trial_is_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enrich(batches: Sequence[StreamBatch]) -> None:
        for one in batches:
            one.catalog = Catalog(entries=dict(one.catalog.entries))

    assert len(settled_facts(store, monkeypatch, enrich)) == 2
