"""Compares the acknowledged webhooks, the stored webhooks and the requests that arrived at Pulsora."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import inbox, leases, open_store, outbox, streams
from tests.faults.clients import LoadGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyReport:
    """The differences, by event and payment id."""

    acknowledged: int
    lost: Sequence[str]  # acknowledged, but not stored with the same bytes
    phantom: Sequence[str]  # stored, but never sent
    missing: Sequence[str]  # stored, but not at Pulsora
    location: str  # how far the first of them got
    unknown: Sequence[str]  # at Pulsora, but not stored
    resends: int
    altered: Sequence[str]  # sent again with different bytes

    def assert_consistent(self, resends: int) -> None:
        """Asserts that nothing is lost, unexpected or missing, with at most `resends` resends of identical bytes."""
        assert not self.lost, f"{len(self.lost)} acknowledged events are lost: {self.lost[:5]}"
        assert not self.phantom, f"{len(self.phantom)} events were never sent: {self.phantom[:5]}"
        assert not self.missing, f"{len(self.missing)} payments never arrived: {self.missing[:5]}; {self.location}"
        assert not self.unknown, f"{len(self.unknown)} payments were unexpected: {self.unknown[:5]}"
        assert not self.altered, f"{len(self.altered)} payments were sent in different bytes: {self.altered[:5]}"
        assert self.resends <= resends, f"{self.resends} were sent again, at most {resends} were in flight"


def check_consistency(
    client_groups: Sequence[LoadGenerator], database_url: str, pulsora: FakePulsora, *, patience: float = 20
) -> ConsistencyReport:
    """Compares once everything stored has arrived, or nothing has arrived for `patience` seconds."""
    stored = stored_events(database_url)
    _await_arrivals(pulsora, len(stored), patience)
    acknowledged = {event_id: body for clients in client_groups for event_id, body in clients.acknowledged.items()}
    sent = {event_id for clients in client_groups for event_id in clients.sent}
    posts = posts_by_payment(pulsora)
    paid = {event_id.replace("evt_", "pi_", 1) for event_id in stored}
    missing = sorted(paid - set(posts))
    return ConsistencyReport(
        acknowledged=len(acknowledged),
        lost=sorted(event_id for event_id, body in acknowledged.items() if stored.get(event_id) != body),
        phantom=sorted(set(stored) - sent),
        missing=missing,
        location=_location(database_url, missing[0]) if missing else "",
        unknown=sorted(set(posts) - paid),
        resends=sum(len(bodies) - 1 for bodies in posts.values()),
        altered=sorted(payment for payment, bodies in posts.items() if len(set(bodies)) > 1),
    )


def stored_events(database_url: str) -> dict[str, bytes]:
    """The body of every stored webhook, by event id."""
    store = open_store(database_url)
    found: dict[str, bytes] = {}
    before = None
    try:
        with store.reading() as tx:
            while rows := inbox.listing(tx, limit=500, before_id=before):
                before = rows[-1].id
                whole = (inbox.find(tx, row.event_id) for row in rows)
                found |= {row.event_id: row.body or b"" for row in whole if row is not None}
    finally:
        store.close()
    return found


def _location(database_url: str, payment: str) -> str:
    """How far a missing payment got."""
    store = open_store(database_url)
    try:
        with store.reading() as tx:
            row = inbox.find(tx, payment.replace("pi_", "evt_", 1))
            stream_id = row.stream_id if row is not None and row.stream_id else ""
            sent = [one for one in outbox.listing(tx, limit=10**6) if one.stream_id == stream_id]
            return f"inbox {row}, stream {streams.find(tx, [stream_id])}, outbox {sent}, alive {leases.heartbeats(tx)}"
    finally:
        store.close()


def posts_by_payment(pulsora: FakePulsora) -> dict[str, list[bytes]]:
    """The bodies that arrived, by payment."""
    posts: dict[str, list[bytes]] = defaultdict(list)
    for request in pulsora.received:
        if request.data is not None:
            posts[str(request.data["transaction_id"])].append(request.body)
    return posts


def integrity(path: Path) -> str:
    """The result of SQLite's own check."""
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def _await_arrivals(pulsora: FakePulsora, count: int, patience: float) -> None:
    """Waits until `count` payments arrived, or none has for `patience` seconds."""
    seen, last = -1, time.monotonic()
    while seen < count and time.monotonic() - last < patience:
        now = len({request.data["transaction_id"] for request in pulsora.received if request.data is not None})
        if now != seen:
            seen, last = now, time.monotonic()
        time.sleep(0.05)
