"""Adds webhooks that were not seen before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from bridge.store.inbox.rows import InboxStatus, NewWebhook, storable
from bridge.store.schema import as_microseconds, compress
from bridge.store.statements import padded_chunks

EncodedRow = Mapping[str, object]  # a row as stored, its body compressed: made before the write lock is taken

INSERTED = ("source", "account", "livemode", "event_id", "type", "created_at", "received_at", "status")
COLUMNS_GIVEN = ", ".join(INSERTED)
# PostgreSQL: rows and bodies in one statement, so in one round trip, one array per column. Only this conflict means
# "seen before": silently skipping a row for any other conflict would lose a webhook.
ADD_UNLESS_SEEN = f"""
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
                         %s::text[], %b::bytea[]) AS given ({COLUMNS_GIVEN}, body)
), new AS (
    INSERT INTO inbox ({COLUMNS_GIVEN}) SELECT {COLUMNS_GIVEN} FROM given
    ON CONFLICT (event_id, source) DO NOTHING RETURNING id, event_id, source
), stored AS (
    INSERT INTO bodies (inbox_id, body) SELECT new.id, given.body FROM new JOIN given USING (event_id, source)
)
SELECT id, event_id, source FROM new
"""  # nosec B608: of constants
# SQLite's are plain text: composing and compiling statements took a fifth of the CPU time of a commit of ten rows.
SEEN = "SELECT event_id, source FROM inbox WHERE event_id IN ({})"
LAST_ID = "SELECT coalesce(max(id), 0) FROM inbox"
ADD_SINGLE_WRITER = f"INSERT INTO inbox (id, {COLUMNS_GIVEN}) VALUES (?{', ?' * len(INSERTED)})"  # nosec B608: of constants
ADD_BODIES_SINGLE_WRITER = "INSERT INTO bodies (inbox_id, body) VALUES (?, ?)"


def encode_row(webhook: NewWebhook) -> EncodedRow:
    """The row of a webhook."""
    return {
        "source": webhook.source,
        "account": webhook.account if webhook.account is None else storable(webhook.account),
        "livemode": webhook.livemode,
        "event_id": storable(webhook.event_id),
        "type": storable(webhook.type),
        "created_at": webhook.created_at,
        "received_at": webhook.received_at,
        "status": InboxStatus.RECEIVED.value,
        "body": compress(webhook.body),
    }


def insert_new(tx: Connection, rows: Sequence[EncodedRow]) -> list[bool]:
    """Stores the webhooks that were not seen before; for each row, in the order given, whether it is new."""
    firsts: dict[tuple[object, object], EncodedRow] = {}
    for row in rows:
        firsts.setdefault((row["event_id"], row["source"]), row)
    insert_rows = insert_concurrent if tx.dialect.name == "postgresql" else insert_single_writer
    new = insert_rows(tx, firsts)
    return [(row["event_id"], row["source"]) in new and firsts[row["event_id"], row["source"]] is row for row in rows]


def insert_single_writer(
    tx: Connection, rows: Mapping[tuple[object, object], EncodedRow]
) -> dict[tuple[object, object], int]:
    """Inserts under SQLite's write lock: no other writer, so a look before the insert is enough. The new ids by key."""
    seen: set[tuple[object, object]] = set()
    for event_ids in padded_chunks(event_id for event_id, _ in rows):
        query = SEEN.format(", ".join("?" * len(event_ids)))
        seen.update((event_id, source) for event_id, source in tx.exec_driver_sql(query, tuple(event_ids)))
    last_id = tx.exec_driver_sql(LAST_ID).scalar_one()
    new = {key: last_id + n for n, key in enumerate((key for key in rows if key not in seen), start=1)}
    if new:
        values = [(row_id, *_as_stored(rows[key])) for key, row_id in new.items()]
        tx.exec_driver_sql(ADD_SINGLE_WRITER, values)
        tx.exec_driver_sql(ADD_BODIES_SINGLE_WRITER, [(row_id, rows[key]["body"]) for key, row_id in new.items()])
    return new


def insert_concurrent(
    tx: Connection, rows: Mapping[tuple[object, object], EncodedRow]
) -> dict[tuple[object, object], int]:
    """Inserts while other transactions do the same (PostgreSQL). The new ids by key."""
    # Rows are sorted so that concurrent inserts lock in one order and cannot deadlock: an insert waits for the other
    # transaction's uncommitted row of the same key.
    ordered = [rows[key] for key in sorted(rows, key=str)]
    if not ordered:
        return {}
    arrays = [list(values) for values in zip(*map(_as_stored, ordered), strict=True)]
    found = tx.exec_driver_sql(ADD_UNLESS_SEEN, (*arrays, [row["body"] for row in ordered]))
    return {(event_id, source): row_id for row_id, event_id, source in found}


def _as_stored(row: EncodedRow) -> tuple[object, ...]:
    """The values of INSERTED as the driver takes them."""
    values = (row[name] for name in INSERTED)
    return tuple(as_microseconds(value) if isinstance(value, datetime) else value for value in values)
