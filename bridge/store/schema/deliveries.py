"""Revenue events: the outbox, the attempts to send, and the sums by day."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bridge.store.schema.columns import DecimalText, Id, Instant, Scaled, metadata, partial_index

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("stream_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("output_key", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_head", Boolean, nullable=False, server_default=text("false")),
    Column("event_type", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", DecimalText, nullable=False),
    Column("mrr_impact", DecimalText),
    Column("priority", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("ready_at", Instant),  # of a head: when it can be claimed, by its schedule and its lease
    Column("hold_until", Instant),
    Column("leased_by", Text),
    Column("created_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("event_ids", Text, nullable=False),
    Column("body", Text, nullable=False),
    # From here on: read from the body and the amounts (delivery_columns), for search and sums.
    Column("customer_id", Text),
    Column("subscription_id", Text),
    Column("transaction_id", Text),
    Column("plan", Text),
    Column("attribution", Text),  # the place where the visit was found, or "none"
    Column("movement", Text),  # new, reactivation, upgrade, downgrade or churn; NULL: no MRR moves
    Column("occurred_at", Instant),
    Column("day", Integer),  # of occurred_at, counted from 1970 in UTC
    Column("amount_sum", Scaled),
    Column("mrr_sum", Scaled),
    Column("received_at", Instant),  # arrival of the first webhook that caused it
    UniqueConstraint("scope", "output_key"),
)
OPEN = text("status IN ('held', 'pending')")
HEAD = text("is_head")
READY = text("ready_at IS NOT NULL")
partial_index("ix_outbox_open", outbox.c.stream_id, outbox.c.id, where=OPEN)
partial_index("ix_outbox_head", outbox.c.stream_id, unique=True, where=HEAD)
partial_index(
    "ix_outbox_next",
    outbox.c.priority,
    outbox.c.id,
    outbox.c.ready_at,
    outbox.c.source,
    where=READY,
)
Index("ix_outbox_stream", outbox.c.stream_id)
Index("ix_outbox_status", outbox.c.status, outbox.c.id)
Index(
    "ix_outbox_sums",
    outbox.c.source,
    outbox.c.livemode,
    outbox.c.status,
    outbox.c.currency,
    outbox.c.event_type,
    outbox.c.amount,
    outbox.c.mrr_impact,
)
Index("ix_outbox_customer", outbox.c.customer_id, outbox.c.id)
Index("ix_outbox_transaction", outbox.c.transaction_id)
Index(
    "ix_outbox_daily",
    outbox.c.livemode,
    outbox.c.currency,
    outbox.c.day,
    outbox.c.source,
    outbox.c.event_type,
    outbox.c.plan,
    outbox.c.attribution,
    outbox.c.amount_sum,
)
MOVES = text("movement IS NOT NULL")
partial_index(
    "ix_outbox_movements",
    outbox.c.livemode,
    outbox.c.currency,
    outbox.c.day,
    outbox.c.source,
    outbox.c.movement,
    outbox.c.plan,
    outbox.c.mrr_sum,
    where=MOVES,
)
DELIVERED = text("delivered_at IS NOT NULL")
partial_index(
    "ix_outbox_delivered",
    outbox.c.delivered_at,
    outbox.c.received_at,
    where=DELIVERED,
)

# Every attempt to send a delivery. `status` None: no response.
attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("status", Integer),
    Column("response", Text, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("result", Text, nullable=False),  # the delivery status after it
)
Index("ix_attempts_delivery", attempts.c.delivery_id, attempts.c.id)

# The sums of all revenue events of some days, and the days that have them. Triggers of the database delete a day from
# `summed_days` when one of its events is added, changed or deleted: its rows in `daily_sums` are then out of date.
summed_days = Table(
    "summed_days",
    metadata,
    Column("livemode", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("day", Integer, nullable=False),  # counted from 1970 in UTC
    PrimaryKeyConstraint("livemode", "currency", "day"),
    sqlite_with_rowid=False,
)
daily_sums = Table(
    "daily_sums",
    metadata,
    Column("livemode", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("movement", Text, nullable=False),  # "": no MRR moves
    Column("source", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("plan", Text, nullable=False),  # "": none
    Column("attribution", Text, nullable=False),  # "none": without a visit
    Column("month", Integer, nullable=False),  # of the day, counted from the year 0
    Column("amount_sum", Scaled),
    Column("amount_count", Integer, nullable=False),  # events with an amount
    Column("mrr_sum", Scaled),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("livemode", "currency", "day", "movement", "source", "event_type", "plan", "attribution"),
    sqlite_with_rowid=False,
)
