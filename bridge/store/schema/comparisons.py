"""The comparisons with the processors: their lists of events, and their figures."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text

from bridge.store.schema.columns import DecimalText, Id, Instant, metadata

# The comparisons with the processors' lists of events.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("listed", Integer, nullable=False),
    Column("stored", Integer, nullable=False),
    Column("lost_since", Instant),
    Column("faults", Text),  # a JSON list; NULL: the endpoint was not compared
    Column("error", Text),
)
Index("ix_reconciliations_source", reconciliations.c.source, reconciliations.c.id)

# The results of audits. `first` and `last` are days, counted from 1970 in UTC.
audits = Table(
    "audits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("against", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("compared", Integer, nullable=False),
    Column("differing", Integer, nullable=False),
    Column("unexplained", Integer, nullable=False),
    Column("counts", Text, nullable=False),  # JSON: rows by cause
    Column("days", Text, nullable=False),  # a JSON list of both sides' sums by day
    Column("error", Text),
)
Index("ix_audits_source", audits.c.source, audits.c.id)

audit_rows = Table(
    "audit_rows",
    metadata,
    Column("audit_id", Id, nullable=False, autoincrement=False),
    Column("position", Integer, nullable=False),
    Column("measure", Text, nullable=False),
    Column("day", Integer),
    Column("currency", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("ours", DecimalText, nullable=False),
    Column("theirs", DecimalText, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("audit_id", "position"),
)
