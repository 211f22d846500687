"""The streams: one customer of one ledger each, with the ledger state and the time when it is due to be settled.

A worker claims due streams under a lease. A stream that is updated while it is being settled stays due.
"""

from __future__ import annotations

from bridge.store.streams.linking import adopt, link, links, merge
from bridge.store.streams.reading import counts, find, lock, state_of
from bridge.store.streams.rows import Claim, LeaseLost, SettledStream, StreamCounts, StreamRow, StreamUpdate
from bridge.store.streams.settling import claim_due, is_any_due, postpone, release, release_all, save
from bridge.store.streams.updating import upsert

__all__ = [
    "Claim",
    "LeaseLost",
    "SettledStream",
    "StreamCounts",
    "StreamRow",
    "StreamUpdate",
    "adopt",
    "claim_due",
    "counts",
    "find",
    "is_any_due",
    "link",
    "links",
    "lock",
    "merge",
    "postpone",
    "release",
    "release_all",
    "save",
    "state_of",
    "upsert",
]
