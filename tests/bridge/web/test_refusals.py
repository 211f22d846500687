"""Refused webhooks are counted by source and cause, and a flood of them costs one row and one write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bridge.errors import StoreUnavailable
from bridge.store import Store, inbox, refusals
from bridge.web.refusals import RefusalCounter
from processors.stripe import processor
from tests.settings import STRIPE_SECRET


@pytest.fixture
def counter(app: Flask) -> Iterator[RefusalCounter]:
    found: RefusalCounter = app.extensions["pulsora_bridge"].refusals
    yield found
    found.write()


def counted(store: Store) -> dict[tuple[str, str], int]:
    with store.reading() as tx:
        return {(one.source, one.cause): one.count for one in refusals.since(tx, datetime.now(UTC))}


def test_each_cause_is_counted_and_nothing_else_is_stored(
    client: FlaskClient, counter: RefusalCounter, sqlite_store: Store
) -> None:
    signed = processor.sign(b"not an event", STRIPE_SECRET, datetime.now(UTC))
    client.post("/webhooks/stripe", data=b"{}")
    client.post("/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": "t=1,v1=00"})
    client.post("/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"})
    client.post("/webhooks/stripe", data=signed.body, headers=dict(signed.headers))
    client.post("/webhooks/paddle", data=b"x" * (3 << 20))
    client.post("/webhooks/shop", data=b"{}")

    counter.write()

    found = counted(sqlite_store)
    assert sum(found.values()) == 6
    assert found[("stripe", "signature_missing")] == 1
    assert found[("stripe", "signature_mismatch")] == 1
    assert found[("stripe", "unreadable")] == 1
    assert found[("paddle", "too_large")] == 1
    assert found[("(unknown)", "unknown_source")] == 1  # without the name, which may be a secret
    with sqlite_store.reading() as tx:
        assert inbox.counts(tx) == {}


def test_a_flood_is_one_row_and_one_write(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    add = refusals.add
    monkeypatch.setattr(refusals, "add", lambda *args: (writes.append(1), add(*args)))
    flooded = RefusalCounter(sqlite_store, seconds=60)

    for _ in range(2000):
        flooded.count("stripe", "signature_mismatch")
    before = list(writes)
    flooded.write()
    flooded.write()

    assert (before, writes) == ([], [1])
    assert counted(sqlite_store) == {("stripe", "signature_mismatch"): 2000}


def test_what_was_counted_is_written_soon(sqlite_store: Store) -> None:
    soon = RefusalCounter(sqlite_store, seconds=0.05)

    soon.count("stripe", "signature_mismatch")

    deadline = time.monotonic() + 5
    while not counted(sqlite_store) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counted(sqlite_store) == {("stripe", "signature_mismatch"): 1}


def test_counts_are_kept_while_the_store_is_unavailable(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = RefusalCounter(sqlite_store, seconds=60)
    waiting.count("stripe", "signature_stale")

    def unavailable(*_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(refusals, "add", unavailable)
        waiting.write()
    waiting.count("stripe", "signature_stale")
    waiting.write()

    assert counted(sqlite_store) == {("stripe", "signature_stale"): 2}
