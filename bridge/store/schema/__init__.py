"""The tables, their columns, and which index serves which query: a module per group of tables, one `metadata`.

Webhook bodies and ledger states have separate tables, so that small updates of a row never rewrite them.
"""

from __future__ import annotations

from bridge.store.schema.columns import (
    EPOCH,
    LARGEST_SCALED,
    MICROSECOND,
    DecimalText,
    Instant,
    Scaled,
    as_microseconds,
    compress,
    decompress,
    metadata,
)
from bridge.store.schema.comparisons import audit_rows, audits, reconciliations
from bridge.store.schema.customers import (
    DUE,
    PROVISIONAL,
    catalog,
    erasure_key,
    erasures,
    links,
    states,
    streams,
    subscriptions,
)
from bridge.store.schema.deliveries import (
    DELIVERED,
    HEAD,
    MOVES,
    OPEN,
    READY,
    attempts,
    daily_sums,
    outbox,
    summed_days,
)
from bridge.store.schema.operation import alerts, leases, pauses, rate_limit, worker_heartbeats
from bridge.store.schema.webhooks import (
    RECEIVED,
    RETRIED,
    arrivals,
    bodies,
    inbox,
    refused_webhooks,
    rejected_visits,
)

__all__ = [
    "DELIVERED",
    "DUE",
    "EPOCH",
    "HEAD",
    "LARGEST_SCALED",
    "MICROSECOND",
    "MOVES",
    "OPEN",
    "PROVISIONAL",
    "READY",
    "RECEIVED",
    "RETRIED",
    "DecimalText",
    "Instant",
    "Scaled",
    "alerts",
    "arrivals",
    "as_microseconds",
    "attempts",
    "audit_rows",
    "audits",
    "bodies",
    "catalog",
    "compress",
    "daily_sums",
    "decompress",
    "erasure_key",
    "erasures",
    "inbox",
    "leases",
    "links",
    "metadata",
    "outbox",
    "pauses",
    "rate_limit",
    "reconciliations",
    "refused_webhooks",
    "rejected_visits",
    "states",
    "streams",
    "subscriptions",
    "summed_days",
    "worker_heartbeats",
]
