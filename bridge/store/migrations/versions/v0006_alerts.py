"""Webhooks counted by hour, the runs of `reconcile`, and the alerts that were sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0006"
down_revision = "0005"

ID = BigInteger().with_variant(Integer, "sqlite")
INSTANT = BigInteger()
HOUR = 3600 * 1_000_000
DAYS_60 = 60 * 24 * HOUR


def upgrade() -> None:
    """Adds the tables, and counts the stored webhooks of the last 60 days before the latest one."""
    op.create_table(
        "arrivals",
        Column("source", Text, nullable=False),
        Column("hour", INSTANT, nullable=False),
        Column("count", Integer, nullable=False),
        Column("last_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "hour", name="pk_arrivals"),
    )
    op.execute(
        "INSERT INTO arrivals (source, hour, count, last_at)"  # nosec B608: of constants
        f" SELECT source, received_at - received_at % {HOUR}, count(*), max(received_at) FROM inbox"
        f" WHERE type NOT LIKE 'bridge.%' AND received_at >= (SELECT max(received_at) FROM inbox) - {DAYS_60}"
        f" GROUP BY source, received_at - received_at % {HOUR}"
    )
    op.create_table(
        "reconciliations",
        Column("id", ID, nullable=False),
        Column("source", Text, nullable=False),
        Column("at", INSTANT, nullable=False),
        Column("since", INSTANT, nullable=False),
        Column("until", INSTANT, nullable=False),
        Column("reason", Text, nullable=False),
        Column("listed", Integer, nullable=False),
        Column("stored", Integer, nullable=False),
        Column("lost_since", INSTANT),
        Column("faults", Text),
        Column("error", Text),
        sa.PrimaryKeyConstraint("id", name="pk_reconciliations"),
    )
    op.create_index("ix_reconciliations_source", "reconciliations", ["source", "id"])
    op.create_table(
        "alerts",
        Column("cause", Text, nullable=False),
        Column("since", INSTANT, nullable=False),
        Column("subjects", Text, nullable=False),
        Column("sent_at", INSTANT),
        Column("absent_since", INSTANT),
        Column("cleared_at", INSTANT),
        Column("retry_at", INSTANT),
        Column("failures", Integer, nullable=False),
        Column("error", Text),
        sa.PrimaryKeyConstraint("cause", name="pk_alerts"),
    )
