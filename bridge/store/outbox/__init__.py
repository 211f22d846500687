"""The outbox: every revenue event, its delivery status, and the order of delivery.

    held ──▶ pending ──▶ delivered           dropped          unattributed, and `UNATTRIBUTED=drop`
              ▲   │                          not_forwarded    test mode or dry run: stored, not sent
              └─ failed ◀┘                                    `retry` makes a failed one pending again

A held event is sent when its attribution is found (`release`) or at `hold_until`. Each customer's events are sent in
order: of each stream only the head, its first event that is held or pending, can be claimed. The head is marked in its
row (`is_head`, and `ready_at`: when it can be claimed), so that a claim costs the same however many events wait.
"""

from __future__ import annotations

from bridge.store.outbox.adding import add, release
from bridge.store.outbox.claiming import claim, is_any_ready, release_all
from bridge.store.outbox.reading import backlog, counts, find, listing, of_stream
from bridge.store.outbox.recording import record, retry
from bridge.store.outbox.rows import (
    IMPORTED,
    LIVE,
    UNSENT,
    Backlog,
    Delivery,
    DeliveryStatus,
    NewDelivery,
    Outcome,
)

__all__ = [
    "IMPORTED",
    "LIVE",
    "UNSENT",
    "Backlog",
    "Delivery",
    "DeliveryStatus",
    "NewDelivery",
    "Outcome",
    "add",
    "backlog",
    "claim",
    "counts",
    "find",
    "is_any_ready",
    "listing",
    "of_stream",
    "record",
    "release",
    "release_all",
    "retry",
]
