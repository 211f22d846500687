"""A temporary SQLite file in which both sides of an audit are sorted, so that a million rows need little memory."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]
BATCH = 5000
CACHE_KIB = 16384
TABLES = """
CREATE TABLE items (
    key TEXT, currency TEXT, is_ours INT, at INT, amount INT, sent TEXT, refs TEXT, object TEXT, customer TEXT
);
CREATE TABLE joined (payment TEXT PRIMARY KEY, invoice TEXT) WITHOUT ROWID;
CREATE TABLE moves (key TEXT, day INT, currency TEXT, is_ours INT, amount INT, kind TEXT, sent TEXT, flags TEXT);
CREATE TABLE levels (key TEXT PRIMARY KEY, stream TEXT, currency TEXT, amount INT) WITHOUT ROWID;
"""
INSERTS = {
    "items": "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "joined": "INSERT OR IGNORE INTO joined VALUES (?, ?)",
    "moves": "INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "levels": "INSERT OR REPLACE INTO levels VALUES (?, ?, ?, ?)",
}
ITEMS = """
SELECT coalesce(invoice, key), currency, is_ours, at, amount, sent, refs, object, customer, invoice
FROM items LEFT JOIN joined ON payment = key ORDER BY 1, 2
"""
MOVES = "SELECT * FROM moves ORDER BY key, day, currency"


class Spool:
    """Rows are written in any order and read in the order of their keys."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: dict[str, list[Row]] = {}

    def put(self, table: str, row: Row) -> None:
        """Adds a row to one of the tables."""
        rows = self._waiting.setdefault(table, [])
        rows.append(row)
        if len(rows) >= BATCH:
            self._write(table)

    def items(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """The revenue: each invoice, else payment, with its rows as in ITEMS."""
        return self._grouped(ITEMS)

    def moves(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """The movements: each customer or subscription with its rows, in the order of their days."""
        return self._grouped(MOVES)

    def take_level(self, key: str) -> Row | None:
        """The stream, currency and amount of a subscription's level here; None: it has none, or it was taken before."""
        self._flush()
        found = self._connection.execute("DELETE FROM levels WHERE key = ? RETURNING stream, currency, amount", (key,))
        rows: list[Row] = found.fetchall()
        return rows[0] if rows else None

    def levels(self) -> Iterator[Row]:
        """The levels that were not taken: key, stream, currency and amount."""
        self._flush()
        yield from self._connection.execute("SELECT * FROM levels WHERE amount <> 0 ORDER BY key")

    def _grouped(self, query: str) -> Iterator[tuple[str, Iterator[Row]]]:
        """The rows of each key, to be read before the next key is asked for."""
        self._flush()
        for key, rows in groupby(self._connection.execute(query), key=itemgetter(0)):
            yield str(key), (row[1:] for row in rows)

    def _flush(self) -> None:
        for table in list(self._waiting):
            self._write(table)

    def _write(self, table: str) -> None:
        rows: Iterable[Row] = self._waiting.pop(table, [])
        self._connection.executemany(INSERTS[table], rows)


@contextmanager
def opened_spool() -> Iterator[Spool]:
    """An empty spool. Its file is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="pulsora-bridge-audit-") as folder:
        connection = sqlite3.connect(Path(folder) / "spool.db", isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};"
                f" PRAGMA temp_store = FILE; BEGIN; {TABLES}"
            )
            yield Spool(connection)
        finally:
            connection.close()
