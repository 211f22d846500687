"""Since when a webhook waits in its stream, if that is not since it was received."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds a column without a value, which rewrites no row."""
    op.add_column("inbox", sa.Column("waiting_since", BigInteger()))
