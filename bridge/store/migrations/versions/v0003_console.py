"""Columns and tables of the console: search and sums of deliveries, attempts, refused webhooks, subscriptions."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Text

revision = "0003"
down_revision = "0002"

PAGE = 1000
INSTANT = BigInteger()  # microseconds since 1970 UTC
SCALED = BigInteger()  # ten-thousandths
ID = BigInteger().with_variant(Integer, "sqlite")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_A_DAY = 86_400_000_000

NEW_COLUMNS = (
    ("customer_id", Text), ("subscription_id", Text), ("transaction_id", Text), ("plan", Text), ("attribution", Text),
    ("movement", Text), ("occurred_at", INSTANT), ("day", Integer), ("amount_sum", SCALED), ("mrr_sum", SCALED),
    ("received_at", INSTANT),
)  # fmt: skip


def upgrade() -> None:
    """Adds them, and fills them from the stored bodies and ledger states, page by page."""
    for name, kind in NEW_COLUMNS:
        op.add_column("outbox", Column(name, kind))
    _fill_outbox()
    _index_outbox()
    _attempts_and_refusals()
    _subscriptions()
    _fill_subscriptions()


# ---- Outbox ----------------------------------------------------------------------------------------------------

OUTBOX = sa.table(
    "outbox", *(sa.column(name) for name in ("id", "body", "event_type", "created_at", "amount", "mrr_impact")),
    *(sa.column(name, kind) for name, kind in NEW_COLUMNS),
)  # fmt: skip


def _fill_outbox() -> None:
    tx = op.get_bind()
    filled = [name for name, _ in NEW_COLUMNS if name != "received_at"]
    update = (
        sa.update(OUTBOX)
        .where(OUTBOX.c.id == sa.bindparam("row_id"))
        .values({name: sa.bindparam(f"new_{name}") for name in filled})
    )
    columns = ("id", "body", "event_type", "created_at", "amount", "mrr_impact")
    page = sa.select(*(OUTBOX.c[name] for name in columns))
    for rows in _pages(tx, page, OUTBOX.c.id):
        tx.execute(update, [_filled(row) for row in rows])


def _filled(row: sa.Row[Any]) -> dict[str, object]:
    data = _json_object(row.body)
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    occurred_at = _instant(metadata.get("occurred_at"), row.created_at)
    return {
        "row_id": row.id,
        "new_customer_id": _text(data.get("customer_id")),
        "new_subscription_id": _text(data.get("customer_subscription_id")),
        "new_transaction_id": _text(data.get("transaction_id")),
        "new_plan": _text(metadata.get("plan")),
        "new_attribution": _text(metadata.get("attribution")),
        "new_movement": _movement(row, metadata),
        "new_occurred_at": occurred_at,
        "new_day": occurred_at // MICROSECONDS_A_DAY,
        "new_amount_sum": _scaled(Decimal(row.amount)),
        "new_mrr_sum": None if row.mrr_impact is None else _scaled(Decimal(row.mrr_impact)),
    }


def _movement(row: sa.Row[Any], metadata: dict[str, Any]) -> str | None:
    mrr = Decimal(row.mrr_impact or 0)
    if mrr == 0:
        return None
    if row.event_type == "subscription":
        return "reactivation" if metadata.get("reactivation") is True else "new"
    if row.event_type in ("upgrade", "downgrade", "churn"):
        return str(row.event_type)
    return "upgrade" if mrr > 0 else "downgrade"


def _index_outbox() -> None:
    op.create_index("ix_outbox_customer", "outbox", ["customer_id", "id"])
    op.create_index("ix_outbox_transaction", "outbox", ["transaction_id"])
    day = ["livemode", "currency", "day", "source"]
    op.create_index("ix_outbox_daily", "outbox", [*day, "event_type", "plan", "attribution", "amount_sum"])
    for name, columns, where in (
        ("ix_outbox_movements", [*day, "movement", "plan", "mrr_sum"], "movement IS NOT NULL"),
        ("ix_outbox_delivered", ["delivered_at", "received_at"], "delivered_at IS NOT NULL"),
    ):
        rows = sa.text(where)
        op.create_index(name, "outbox", columns, sqlite_where=rows, postgresql_where=rows)


# ---- New tables ------------------------------------------------------------------------------------------------


def _attempts_and_refusals() -> None:
    op.create_table(
        "attempts",
        Column("id", ID, nullable=False),
        Column("delivery_id", ID, nullable=False),
        Column("at", INSTANT, nullable=False),
        Column("status", Integer),
        Column("response", Text, nullable=False),
        Column("took_ms", Integer, nullable=False),
        Column("result", Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
    )
    op.create_index("ix_attempts_delivery", "attempts", ["delivery_id", "id"])
    op.create_table(
        "refused_webhooks",
        Column("source", Text, nullable=False),
        Column("cause", Text, nullable=False),
        Column("hour", INSTANT, nullable=False),
        Column("count", Integer, nullable=False),
        Column("last_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "cause", "hour", name="pk_refused_webhooks"),
    )


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        Column("stream_id", Text, nullable=False),
        Column("subscription_id", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("livemode", Boolean, nullable=False),
        Column("currency", Text, nullable=False),
        Column("plan", Text, nullable=False),
        Column("mrr", SCALED),
        Column("baseline", SCALED),
        Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "subscription_id", name="pk_subscriptions"),
    )
    columns = ["livemode", "currency", "source", "plan", "mrr", "baseline"]
    op.create_index("ix_subscriptions_mrr", "subscriptions", columns)


STATES = sa.table("states", sa.column("stream_id", sa.Text), sa.column("state", LargeBinary))
STREAMS = sa.table("streams", sa.column("stream_id"), sa.column("scope", sa.Text))
SUBSCRIPTIONS = sa.table(
    "subscriptions",
    *(sa.column(name) for name in ("stream_id", "subscription_id", "source", "currency", "plan")),
    sa.column("livemode", sa.Boolean),
    *(sa.column(name, SCALED) for name in ("mrr", "baseline", "changed_at")),
)


def _fill_subscriptions() -> None:
    tx = op.get_bind()
    page = sa.select(STATES.c.stream_id, STATES.c.state, STREAMS.c.scope).join_from(
        STATES, STREAMS, STREAMS.c.stream_id == STATES.c.stream_id
    )
    for rows in _pages(tx, page, STATES.c.stream_id):
        found = [one for row in rows for one in _subscriptions_of(row)]
        if found:
            tx.execute(sa.insert(SUBSCRIPTIONS), found)


def _subscriptions_of(row: sa.Row[Any]) -> Iterator[dict[str, object]]:
    source, _, rest = row.scope.partition("|")
    for key, one in json.loads(zlib.decompress(row.state))["state"].get("subscriptions", {}).items():
        code, _, digits = one["currency"].rpartition(":")
        unit = Decimal(1).scaleb(-int(digits))
        yield {
            "stream_id": row.stream_id,
            "subscription_id": key,
            "source": source,
            "livemode": rest.endswith("|live"),
            "currency": code,
            "plan": one.get("plan_details", {}).get("plan") or "",
            "mrr": _scaled(one.get("reported_mrr", 0) * unit),
            "baseline": _scaled(one.get("baseline", 0) * unit),
            "changed_at": _instant(one.get("changed_at") or one["at"], 0),
        }


# ---- Values ----------------------------------------------------------------------------------------------------


def _pages(tx: sa.Connection, query: sa.Select[Any], key: sa.ColumnElement[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
    page = query.order_by(key).limit(PAGE)
    rows = tx.execute(page).all()
    while rows:
        yield rows
        rows = tx.execute(page.where(key > rows[-1][0])).all()


def _json_object(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _instant(value: object, otherwise: int) -> int:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return otherwise
    return ((at.replace(tzinfo=UTC) if at.tzinfo is None else at) - EPOCH) // MICROSECOND


def _scaled(value: Decimal) -> int | None:
    return None if abs(value) > 10**12 else int((value * 10_000).to_integral_value())
