"""The inbox: every verified webhook, as received, and its processing status.

    received ──▶ waiting ──▶ settled
     │  ▲  │        │
     │  │  └────────┼──────▶ ignored     no fact in it; `reason` says why
     ▼  │           ▼
    failed ◀────────┘                    retried at `retry_at`, or only by the operator (None)

`waiting`: assigned to a stream, which will settle it. `replay` leads back to received from every status.
"""

from __future__ import annotations

from bridge.store.inbox.adding import EncodedRow, encode_row, insert_new
from bridge.store.inbox.purging import Purged, purge, purgeable
from bridge.store.inbox.reading import (
    by_ids,
    conflict_count,
    counts,
    find,
    first_received_at,
    last_received_at,
    listing,
    of_stream,
    of_streams,
    oldest_failed,
    routed_until,
    unrouted,
)
from bridge.store.inbox.recording import assign, fail, ignore, mark_settled, replay
from bridge.store.inbox.rows import CONFLICT, UNSETTLED, InboxRow, InboxStatus, NewWebhook

__all__ = [
    "CONFLICT",
    "UNSETTLED",
    "EncodedRow",
    "InboxRow",
    "InboxStatus",
    "NewWebhook",
    "Purged",
    "assign",
    "by_ids",
    "conflict_count",
    "counts",
    "encode_row",
    "fail",
    "find",
    "first_received_at",
    "ignore",
    "insert_new",
    "last_received_at",
    "listing",
    "mark_settled",
    "of_stream",
    "of_streams",
    "oldest_failed",
    "purge",
    "purgeable",
    "replay",
    "routed_until",
    "unrouted",
]
