"""The key of the pseudonyms of erased customers, and the receipts of erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Text

revision = "0008"
down_revision = "0007"

ID = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Adds two tables."""
    op.create_table(
        "erasure_key",
        Column("id", Integer, nullable=False, autoincrement=False),
        Column("key", LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasure_key"),
    )
    op.create_table(
        "erasures",
        Column("id", ID, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("receipt", Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
