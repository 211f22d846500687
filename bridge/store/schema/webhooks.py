"""Webhooks: those received, and the numbers of those accepted and refused."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bridge.store.schema.columns import Id, Instant, metadata, partial_index

inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("account", Text),
    Column("livemode", Boolean, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("notes", Text),  # a JSON list
    Column("stream_id", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("revenue_event_count", Integer, nullable=False, server_default="0"),
    Column("retry_at", Instant),
    Column("settled_at", Instant),
    Column("waiting_since", Instant),  # NULL: since it was received
    UniqueConstraint("event_id", "source"),
)
Index("ix_inbox_status", inbox.c.status, inbox.c.id)  # lists
RECEIVED = text("status = 'received'")
partial_index("ix_inbox_fresh", inbox.c.id, where=RECEIVED)
Index("ix_inbox_source", inbox.c.source, inbox.c.status, inbox.c.id)  # counts, lists of one source
RETRIED = text("retry_at IS NOT NULL")
partial_index("ix_inbox_retry", inbox.c.retry_at, where=RETRIED)
ASSIGNED = text("stream_id IS NOT NULL")
partial_index("ix_inbox_stream", inbox.c.stream_id, inbox.c.status, where=ASSIGNED)

bodies = Table(
    "bodies",
    metadata,
    Column("inbox_id", Id, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),  # compressed
)

# How many webhooks were accepted, by the hour: what is usual for a source. Fetched and internal events do not count.
arrivals = Table(
    "arrivals",
    metadata,
    Column("source", Text, nullable=False),
    Column("hour", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint("source", "hour"),
)

# How many webhooks were refused, by the hour. Bounded: a source, a cause and an hour have one row.
refused_webhooks = Table(
    "refused_webhooks",
    metadata,
    Column("source", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("hour", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint("source", "cause", "hour"),
)

# How many webhooks had no visit because an id was a placeholder such as `undefined`, and the latest of them.
rejected_visits = Table(
    "rejected_visits",
    metadata,
    Column("source", Text, nullable=False),
    Column("cause", Text, nullable=False),  # from a small vocabulary: never the value itself
    Column("count", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("event_id", Text, nullable=False),
    PrimaryKeyConstraint("source", "cause"),
)
