"""Customers: their streams with the ledger states, the catalog, and the erasures of customers."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from bridge.store.schema.columns import Id, Instant, Scaled, metadata, partial_index

streams = Table(
    "streams",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("has_customer", Boolean, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("version", Integer, nullable=False),
    Column("leased_by", Text),
    Column("leased_until", Instant),
    Column("settled_at", Instant),
    Column("reason", Text),
    PrimaryKeyConstraint("stream_id"),
)
DUE = text("due_at IS NOT NULL")
partial_index("ix_streams_due", streams.c.due_at, streams.c.leased_until, where=DUE)

states = Table(
    "states",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),  # compressed
    PrimaryKeyConstraint("stream_id"),
)

# The subscriptions in the ledger states, for lists and sums: `mrr` is what was reported, `baseline` the part of it that
# was never reported because it is older than the bridge.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("mrr", Scaled),
    Column("baseline", Scaled),
    Column("changed_at", Instant, nullable=False),
    PrimaryKeyConstraint("stream_id", "subscription_id"),
)
Index(
    "ix_subscriptions_mrr",
    subscriptions.c.livemode,
    subscriptions.c.currency,
    subscriptions.c.source,
    subscriptions.c.plan,
    subscriptions.c.mrr,
    subscriptions.c.baseline,
)

links = Table(
    "links",
    metadata,
    Column("scope", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("stream_id", Text, nullable=False),
    Column("provisional", Boolean, nullable=False),
    PrimaryKeyConstraint("scope", "ref"),
    sqlite_with_rowid=False,
)
# Only links to provisional streams are ever looked up by stream, when that stream is merged.
PROVISIONAL = text("provisional")
partial_index("ix_links_provisional", links.c.stream_id, where=PROVISIONAL)

catalog = Table(
    "catalog",
    metadata,
    Column("scope", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("scope", "kind", "id"),
)

# The key of the pseudonyms of erased customers; no row before the first erasure. `id` is always 1.
erasure_key = Table(
    "erasure_key",
    metadata,
    Column("id", Integer, nullable=False, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id"),
)

# The receipts of erasures: JSON that names nobody.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("receipt", Text, nullable=False),
)
