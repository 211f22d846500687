"""Sums of the revenue events by day, and the triggers that drop those of a day whose events change."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0007"
down_revision = "0006"

SCALED = BigInteger()  # ten-thousandths
DAY = ("livemode", "currency", "day")
KEY = (*DAY, "movement", "source", "event_type", "plan", "attribution")
# The columns of the outbox that the sums are made from.
SUMMED = ", ".join((*KEY, "amount_sum", "mrr_sum"))
EVENTS = {"added": "INSERT", "changed": f"UPDATE OF {SUMMED}", "deleted": "DELETE"}
ROWS = {"added": ("NEW",), "changed": ("OLD", "NEW"), "deleted": ("OLD",)}


def upgrade() -> None:
    """Adds them, empty: the worker sums the stored events, month by month."""
    op.create_table(
        "summed_days",
        *_day(),
        sa.PrimaryKeyConstraint(*DAY, name="pk_summed_days"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "daily_sums",
        *_day(),
        *(Column(name, Text, nullable=False) for name in KEY[len(DAY) :]),
        Column("month", Integer, nullable=False),
        Column("amount_sum", SCALED),
        Column("amount_count", Integer, nullable=False),
        Column("mrr_sum", SCALED),
        Column("count", Integer, nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name="pk_daily_sums"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers()
    else:
        _sqlite_triggers()


def _day() -> list[Column[Any]]:
    kinds = (Boolean, Text, Integer)
    return [Column(name, kind, nullable=False) for name, kind in zip(DAY, kinds, strict=True)]


def _delete(row: str) -> str:
    return "DELETE FROM summed_days WHERE " + " AND ".join(f"{name} = {row}.{name}" for name in DAY) + ";"


def _sqlite_triggers() -> None:
    for name, event in EVENTS.items():
        body = " ".join(_delete(row) for row in ROWS[name])
        op.execute(f"CREATE TRIGGER outbox_{name} AFTER {event} ON outbox BEGIN {body} END")


def _postgresql_triggers() -> None:
    for name, event in EVENTS.items():
        body = " ".join(_delete(row) for row in ROWS[name])
        op.execute(
            f"CREATE FUNCTION outbox_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER outbox_{name} AFTER {event} ON outbox FOR EACH ROW EXECUTE FUNCTION outbox_{name}()"
        )
