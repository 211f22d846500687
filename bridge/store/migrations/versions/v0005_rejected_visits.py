"""How many webhooks had a value instead of an id of the visit that is none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the table of their counters."""
    op.create_table(
        "rejected_visits",
        Column("source", Text, nullable=False),
        Column("cause", Text, nullable=False),
        Column("count", Integer, nullable=False),
        Column("last_at", BigInteger(), nullable=False),
        Column("event_id", Text, nullable=False),
        sa.PrimaryKeyConstraint("source", "cause", name="pk_rejected_visits"),
    )
