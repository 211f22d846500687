"""The state of the running processes: the rate limit, pauses, leases, heartbeats and alerts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, PrimaryKeyConstraint, Table, Text

from bridge.store.schema.columns import Instant, metadata

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("origin", Text, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("reserved", Integer, nullable=False),
    PrimaryKeyConstraint("origin", "slot"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("destination", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("probing", Boolean, nullable=False),
    PrimaryKeyConstraint("destination"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", Instant, nullable=False),
    PrimaryKeyConstraint("name"),
)

worker_heartbeats = Table(
    "worker_heartbeats",
    metadata,
    Column("owner", Text, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("owner"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("cause", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("subjects", Text, nullable=False),  # a JSON list
    Column("sent_at", Instant),
    Column("absent_since", Instant),
    Column("cleared_at", Instant),
    Column("retry_at", Instant),
    Column("failures", Integer, nullable=False),
    Column("error", Text),
    PrimaryKeyConstraint("cause"),
)
