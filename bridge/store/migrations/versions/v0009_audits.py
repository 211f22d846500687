"""The results of audits, and their rows that differed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0009"
down_revision = "0008"

ID = BigInteger().with_variant(Integer, "sqlite")
INSTANT = BigInteger()


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "audits",
        Column("id", ID, nullable=False),
        Column("source", Text, nullable=False),
        Column("livemode", Boolean, nullable=False),
        Column("at", INSTANT, nullable=False),
        Column("first", Integer, nullable=False),
        Column("last", Integer, nullable=False),
        Column("against", Text, nullable=False),
        Column("time_zone", Text, nullable=False),
        Column("compared", Integer, nullable=False),
        Column("differing", Integer, nullable=False),
        Column("unexplained", Integer, nullable=False),
        Column("counts", Text, nullable=False),
        Column("days", Text, nullable=False),
        Column("error", Text),
        sa.PrimaryKeyConstraint("id", name="pk_audits"),
    )
    op.create_index("ix_audits_source", "audits", ["source", "id"])
    op.create_table(
        "audit_rows",
        Column("audit_id", ID, nullable=False, autoincrement=False),
        Column("position", Integer, nullable=False),
        Column("measure", Text, nullable=False),
        Column("day", Integer),
        Column("currency", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("ours", Text, nullable=False),
        Column("theirs", Text, nullable=False),
        Column("cause", Text, nullable=False),
        Column("detail", Text, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", "position", name="pk_audit_rows"),
    )
