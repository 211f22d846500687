"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, SmallInteger, Text

revision = "0001"
down_revision = None

INSTANT = BigInteger()  # microseconds since 1970 UTC
ID = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Makes everything, in an empty database."""
    _inbox()
    _streams()
    _outbox()
    _rest()
    if op.get_context().dialect.name == "postgresql":
        for table, column in (("bodies", "body"), ("states", "state")):
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")  # compressed already
        for table in ("inbox", "outbox"):  # counted while a queue is empty, "waiting" would seem rare for ever
            op.execute(f"ALTER TABLE {table} ALTER COLUMN status SET STATISTICS 0")


def _inbox() -> None:
    op.create_table(
        "inbox",
        Column("id", ID, nullable=False),
        Column("source", Text, nullable=False),
        Column("account", Text),
        Column("livemode", Boolean, nullable=False),
        Column("event_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("created_at", INSTANT, nullable=False),
        Column("received_at", INSTANT, nullable=False),
        Column("status", Text, nullable=False),
        Column("reason", Text),
        Column("stream_id", Text),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("produced", Integer, nullable=False, server_default="0"),
        Column("retry_at", INSTANT),
        Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint("event_id", "source", name="uq_inbox"),
    )
    op.create_index("ix_inbox_status", "inbox", ["status", "id"])
    op.create_index("ix_inbox_source", "inbox", ["source", "status", "id"])
    _some("ix_inbox_fresh", "inbox", ["id"], "status = 'received'")
    _some("ix_inbox_retry", "inbox", ["retry_at"], "retry_at IS NOT NULL")
    _some("ix_inbox_stream", "inbox", ["stream_id", "status"], "stream_id IS NOT NULL")
    op.create_table(
        "bodies",
        Column("inbox_id", ID, nullable=False, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", name="pk_bodies"),
    )


def _streams() -> None:
    op.create_table(
        "streams",
        Column("stream_id", Text, nullable=False),
        Column("scope", Text, nullable=False),
        Column("anchored", Boolean, nullable=False),
        Column("first_at", INSTANT, nullable=False),
        Column("last_at", INSTANT, nullable=False),
        Column("due_at", INSTANT),
        Column("touched", Integer, nullable=False),
        Column("leased_by", Text),
        Column("leased_until", INSTANT),
        Column("settled_at", INSTANT),
        Column("reason", Text),
        sa.PrimaryKeyConstraint("stream_id", name="pk_streams"),
    )
    _some("ix_streams_due", "streams", ["due_at", "leased_until"], "due_at IS NOT NULL")
    op.create_table(
        "states",
        Column("stream_id", Text, nullable=False),
        Column("state", LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", name="pk_states"),
    )
    op.create_table(
        "links",
        Column("scope", Text, nullable=False),
        Column("ref", Text, nullable=False),
        Column("stream_id", Text, nullable=False),
        Column("provisional", Boolean, nullable=False),
        sa.PrimaryKeyConstraint("scope", "ref", name="pk_links"),
        sqlite_with_rowid=False,
    )
    _some("ix_links_provisional", "links", ["stream_id"], "provisional")


def _outbox() -> None:
    op.create_table(
        "outbox",
        Column("id", ID, nullable=False),
        Column("stream_id", Text, nullable=False),
        Column("scope", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("livemode", Boolean, nullable=False),
        Column("output_key", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("is_head", Boolean, nullable=False, server_default=sa.text("false")),
        Column("event_type", Text, nullable=False),
        Column("currency", Text, nullable=False),
        Column("amount", Text, nullable=False),
        Column("mrr_impact", Text),
        Column("priority", SmallInteger, nullable=False),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_at", INSTANT, nullable=False),
        Column("ready_at", INSTANT),
        Column("hold_until", INSTANT),
        Column("leased_by", Text),
        Column("created_at", INSTANT, nullable=False),
        Column("delivered_at", INSTANT),
        Column("last_status", Integer),
        Column("last_error", Text),
        Column("event_ids", Text, nullable=False),
        Column("body", Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("scope", "output_key", name="uq_outbox"),
    )
    _some("ix_outbox_open", "outbox", ["stream_id", "id"], "status IN ('held', 'pending')")
    _some("ix_outbox_head", "outbox", ["stream_id"], "is_head", unique=True)
    _some("ix_outbox_next", "outbox", ["priority", "id", "ready_at", "source"], "ready_at IS NOT NULL")
    op.create_index("ix_outbox_stream", "outbox", ["stream_id"])
    op.create_index("ix_outbox_status", "outbox", ["status", "id"])
    sums = ["source", "livemode", "status", "currency", "event_type", "amount", "mrr_impact"]
    op.create_index("ix_outbox_sums", "outbox", sums)


def _rest() -> None:
    op.create_table(
        "catalog",
        Column("scope", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("body", Text, nullable=False),
        sa.PrimaryKeyConstraint("scope", "kind", "id", name="pk_catalog"),
    )
    op.create_table(
        "budget",
        Column("origin", Text, nullable=False),
        Column("slot", BigInteger, nullable=False),
        Column("taken", Integer, nullable=False),
        sa.PrimaryKeyConstraint("origin", "slot", name="pk_budget"),
    )
    op.create_table(
        "pauses",
        Column("destination", Text, nullable=False),
        Column("since", INSTANT, nullable=False),
        Column("until", INSTANT, nullable=False),
        Column("reason", Text, nullable=False),
        Column("probing", Boolean, nullable=False),
        sa.PrimaryKeyConstraint("destination", name="pk_pauses"),
    )
    op.create_table(
        "leases",
        Column("name", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "beats",
        Column("owner", Text, nullable=False),
        Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_beats"),
    )


def _some(name: str, table: str, columns: list[str], where: str, unique: bool = False) -> None:
    """An index over some rows only."""
    rows = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
