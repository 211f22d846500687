"""The tables, their columns, and which index serves which query.

Webhook bodies and ledger states have separate tables, so that small updates of a row never rewrite them.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TEN_THOUSAND = Decimal(10_000)
LARGEST_SCALED = Decimal(10) ** 12  # far above any real payment, and nine hundred of them can be added

# On the 211 sample webhooks level 1 compresses a body to 27 %, level 6 to 22 % in twice the time.
COMPRESSION_LEVEL = 1


def as_microseconds(instant: datetime) -> int:
    """An instant as it is stored."""
    return (instant - EPOCH) // MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970 UTC: exact, small and sortable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else as_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


class DecimalText(TypeDecorator[Decimal]):
    """A decimal number, stored as text: both databases return exactly what was stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Scaled(TypeDecorator[Decimal]):
    """A decimal number, stored as whole ten-thousandths: the database can add it, exactly.

    No currency has more than four decimals. An amount above a trillion is stored as NULL: no sum includes it.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        if value is None or abs(value) > LARGEST_SCALED:
            return None
        return int((value * TEN_THOUSAND).to_integral_value())

    def process_result_value(self, value: int | Decimal | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(int(value)) / TEN_THOUSAND


def compress(body: bytes) -> bytes:
    """A body or a state as it is stored."""
    return zlib.compress(body, COMPRESSION_LEVEL)


def decompress(stored: bytes) -> bytes:
    """The inverse of `compress`."""
    return zlib.decompress(stored)


def partial_index(name: str, *columns: Column[Any], where: TextClause, unique: bool = False) -> None:
    """An index of the rows that fulfil a condition, on both databases.

    Stated for SQLite alone: `postgresql_where` would import PostgreSQL's dialect wherever a table is named, which
    takes a tenth of a command's start. The migrations create the index, with the condition of each database.
    """
    Index(name, *columns, unique=unique, sqlite_where=where)


metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s"})
Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite assigns ids only to an INTEGER key

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

streams = Table(
    "streams",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("has_customer", Boolean, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("version", Integer, nullable=False),
    Column("leased_by", Text),
    Column("leased_until", Instant),
    Column("settled_at", Instant),
    Column("reason", Text),
    PrimaryKeyConstraint("stream_id"),
)
DUE = text("due_at IS NOT NULL")
partial_index("ix_streams_due", streams.c.due_at, streams.c.leased_until, where=DUE)

states = Table(
    "states",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),  # compressed
    PrimaryKeyConstraint("stream_id"),
)

# The subscriptions in the ledger states, for lists and sums: `mrr` is what was reported, `baseline` the part of it that
# was never reported because it is older than the bridge.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("stream_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("mrr", Scaled),
    Column("baseline", Scaled),
    Column("changed_at", Instant, nullable=False),
    PrimaryKeyConstraint("stream_id", "subscription_id"),
)
Index(
    "ix_subscriptions_mrr",
    subscriptions.c.livemode,
    subscriptions.c.currency,
    subscriptions.c.source,
    subscriptions.c.plan,
    subscriptions.c.mrr,
    subscriptions.c.baseline,
)

links = Table(
    "links",
    metadata,
    Column("scope", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("stream_id", Text, nullable=False),
    Column("provisional", Boolean, nullable=False),
    PrimaryKeyConstraint("scope", "ref"),
    sqlite_with_rowid=False,
)
# Only links to provisional streams are ever looked up by stream, when that stream is merged.
PROVISIONAL = text("provisional")
partial_index("ix_links_provisional", links.c.stream_id, where=PROVISIONAL)

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

catalog = Table(
    "catalog",
    metadata,
    Column("scope", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("scope", "kind", "id"),
)

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

# The key of the pseudonyms of erased customers; no row before the first erasure. `id` is always 1.
erasure_key = Table(
    "erasure_key",
    metadata,
    Column("id", Integer, nullable=False, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id"),
)

# The receipts of erasures: JSON that names nobody.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("receipt", Text, nullable=False),
)

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
