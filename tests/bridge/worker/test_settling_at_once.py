"""What is complete is settled at once, but never before all webhooks that arrived until then are routed."""

from __future__ import annotations

import pytest

from bridge.store import Store, inbox
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
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
