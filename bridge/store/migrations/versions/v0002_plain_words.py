"""Renames tables, columns and statuses, and the keys of stored ledger states."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

PAGE = 1000
TABLES = {"beats": "worker_heartbeats", "budget": "rate_limit"}
COLUMNS = (
    ("inbox", "produced", "revenue_event_count"),
    ("streams", "anchored", "has_customer"),
    ("streams", "touched", "version"),
    ("rate_limit", "taken", "reserved"),
)
DELIVERY_STATUSES = {"kept": "not_forwarded", "dead": "failed"}
OUTBOX = sa.table("outbox", sa.column("status", sa.Text))
INBOX = sa.table("inbox", sa.column("status", sa.Text), sa.column("reason", sa.Text), sa.column("notes", sa.Text))


def upgrade() -> None:
    """Renames in place: the rows of large tables are not rewritten, except for those with a renamed status."""
    is_postgres = op.get_context().dialect.name == "postgresql"
    for old, new in TABLES.items():
        op.rename_table(old, new)
        if is_postgres:
            op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}")
    for table, old, new in COLUMNS:
        # Not op.alter_column: on SQLite it would copy the table.
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for old, new in DELIVERY_STATUSES.items():
        op.execute(sa.update(OUTBOX).where(OUTBOX.c.status == old).values(status=new))
    _split_notes("to_json(reason)::text" if is_postgres else "json_quote(reason)")
    _rename_state_keys()


def _split_notes(quoted: str) -> None:
    """The ledger's notes move from `reason`, joined by "; ", to a JSON list of their own."""
    op.add_column("inbox", sa.Column("notes", sa.Text))
    # The text as a JSON string, cut into several at each "; ".
    notes = f"""'[' || replace({quoted}, '; ', '", "') || ']'"""
    settled = sa.update(INBOX).where(INBOX.c.status == "settled", INBOX.c.reason.is_not(None))
    op.execute(settled.values(notes=sa.literal_column(notes), reason=None))


# ---- Ledger states ---------------------------------------------------------------------------------------------

STATES = sa.table("states", sa.column("stream_id", sa.Text), sa.column("state", sa.LargeBinary))


def _rename_state_keys() -> None:
    tx = op.get_bind()
    update = (
        sa.update(STATES).where(STATES.c.stream_id == sa.bindparam("whose")).values(state=sa.bindparam("rewritten"))
    )
    for rows in _pages(tx):
        tx.execute(update, [{"whose": row.stream_id, "rewritten": _rewritten(row.state)} for row in rows])


def _pages(tx: sa.Connection) -> Iterator[Sequence[sa.Row[Any]]]:
    page = sa.select(STATES).order_by(STATES.c.stream_id).limit(PAGE)
    rows = tx.execute(page).all()
    while rows:
        yield rows
        rows = tx.execute(page.where(STATES.c.stream_id > rows[-1].stream_id)).all()


def _rewritten(stored: bytes) -> bytes:
    state = renamed_state(json.loads(zlib.decompress(stored)))
    return zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)


STATE = {"links": "references", "marks": "touchpoints", "bills": "receivables", "open_bills": "unmatched"}
SUBSCRIPTION = {
    "first_at": "first_seen_at",
    "begun_at": "created_at",
    "level": "mrr",
    "told": "reported_mrr",
    "guessed": "baseline_is_guess",
    "counted": "has_counted",
    "moves": "movement_count",
    "starts": "start_count",
    "proven_at": "proven_active_at",
    "labels": "plan_details",
    "lines": "billed_lines",
    "lines_at": "billed_at",
    "taken": "applied_event_ids",
}
RECEIVABLE = {
    "claimed": "stated_paid",
    "returns": "refunds",
    "pooled": "unassigned_refunds",
    "told": "reported_minor",
    "told_back": "reported_refund_minor",
    "told_as": "reported_as",
    "invoiced": "is_invoice",
    "unsure": "may_have_invoice",
    "recurring": "is_recurring",
}
REFUND = {"counted": "counted_minor"}
DRAFT = {
    "minor": "amount_minor",
    "mrr": "mrr_minor",
    "objects": "object_ids",
    "labels": "plan_details",
    "extra": "extra_metadata",
    "step": "movement_number",
}
Json = dict[str, Any]


def renamed_state(stored: Mapping[str, Any]) -> Json:
    """A ledger state of layout 1 in layout 2. Only these objects have renamed keys; ids and metadata stay."""
    state = _renamed(stored["state"], STATE)
    for name, keys in {"subscriptions": SUBSCRIPTION, "receivables": RECEIVABLE, "held": DRAFT}.items():
        if name in state:
            state[name] = _renamed_each(state[name], keys)
    for receivable in state.get("receivables", {}).values():
        if "refunds" in receivable:
            receivable["refunds"] = _renamed_each(receivable["refunds"], REFUND)
    return {"version": 2, "state": state}


def _renamed_each(entries: Mapping[str, Json], keys: Mapping[str, str]) -> dict[str, Json]:
    return {entry_id: _renamed(entry, keys) for entry_id, entry in entries.items()}


def _renamed(entry: Mapping[str, Any], keys: Mapping[str, str]) -> Json:
    return {keys.get(key, key): value for key, value in entry.items()}
