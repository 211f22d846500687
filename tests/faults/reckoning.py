"""The reckoning after trouble: what was acknowledged, what is on disk, and what arrived at Pulsora."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import inbox, leases, open_store, outbox, streams
from tests.faults.clients import Crowd


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """Ids of events and payments, and the number of posts beyond the first."""

    acknowledged: int
    lost: Sequence[str]  # acknowledged, and not on disk or not the same bytes
    phantom: Sequence[str]  # on disk, and never sent
    missing: Sequence[str]  # on disk, and not at Pulsora
    where: str  # the first of them stands
    unknown: Sequence[str]  # at Pulsora, and not on disk
    resends: int
    altered: Sequence[str]  # sent again in other bytes

    def demand_truth(self, resends: int) -> None:
        """Nothing lost, nothing invented, nothing missing; sent again at most so often, in the same bytes."""
        assert not self.lost, f"{len(self.lost)} acknowledged events are lost: {self.lost[:5]}"
        assert not self.phantom, f"{len(self.phantom)} events were never sent: {self.phantom[:5]}"
        assert not self.missing, f"{len(self.missing)} payments never arrived: {self.missing[:5]}; {self.where}"
        assert not self.unknown, f"{len(self.unknown)} payments were invented: {self.unknown[:5]}"
        assert not self.altered, f"{len(self.altered)} payments were sent in different bytes: {self.altered[:5]}"
        assert self.resends <= resends, f"{self.resends} were sent again, at most {resends} were in flight"


def reckon(crowds: Sequence[Crowd], database_url: str, ingest: FakePulsora, *, patience: float = 20) -> Reckoning:
    """Waits until all that is stored has arrived, or nothing has for so many seconds, and compares."""
    stored = stored_events(database_url)
    _await_arrivals(ingest, len(stored), patience)
    acknowledged = {event_id: body for crowd in crowds for event_id, body in crowd.acknowledged.items()}
    sent = {event_id for crowd in crowds for event_id in crowd.sent}
    posts = posts_by_payment(ingest)
    paid = {event_id.replace("evt_", "pi_", 1) for event_id in stored}
    missing = sorted(paid - set(posts))
    return Reckoning(
        acknowledged=len(acknowledged),
        lost=sorted(event_id for event_id, body in acknowledged.items() if stored.get(event_id) != body),
        phantom=sorted(set(stored) - sent),
        missing=missing,
        where=_where(database_url, missing[0]) if missing else "",
        unknown=sorted(set(posts) - paid),
        resends=sum(len(bodies) - 1 for bodies in posts.values()),
        altered=sorted(payment for payment, bodies in posts.items() if len(set(bodies)) > 1),
    )


def stored_events(database_url: str) -> dict[str, bytes]:
    """Every stored webhook with its body, as the store itself gives it back."""
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


def _where(database_url: str, payment: str) -> str:
    """How far a payment has come that did not arrive."""
    store = open_store(database_url)
    try:
        with store.reading() as tx:
            row = inbox.find(tx, payment.replace("pi_", "evt_", 1))
            stream_id = row.stream_id if row is not None and row.stream_id else ""
            sent = [one for one in outbox.listing(tx, limit=10**6) if one.stream_id == stream_id]
            return f"inbox {row}, stream {streams.find(tx, [stream_id])}, outbox {sent}, alive {leases.heartbeats(tx)}"
    finally:
        store.close()


def posts_by_payment(ingest: FakePulsora) -> dict[str, list[bytes]]:
    """The bodies that arrived, by payment."""
    posts: dict[str, list[bytes]] = defaultdict(list)
    for request in ingest.received:
        if request.data is not None:
            posts[str(request.data["transaction_id"])].append(request.body)
    return posts


def integrity(path: Path) -> str:
    """What SQLite itself says of the file."""
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def _await_arrivals(ingest: FakePulsora, count: int, patience: float) -> None:
    """Returns once so many payments arrived, or when none has for so many seconds."""
    seen, last = -1, time.monotonic()
    while seen < count and time.monotonic() - last < patience:
        now = len({request.data["transaction_id"] for request in ingest.received if request.data is not None})
        if now != seen:
            seen, last = now, time.monotonic()
        time.sleep(0.05)
