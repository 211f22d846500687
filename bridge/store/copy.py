"""Copies everything from one store into another, of the same kind or not. Both have the same schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, Row, Table, func, insert, literal, select, text, tuple_

from bridge.errors import SchemaMismatch, UsageError
from bridge.store import Store, totals
from bridge.store.schema import daily_sums, metadata, summed_days

PAGE = 1000
# The sums are not copied: the worker computes them again.
TABLES = [table for table in metadata.sorted_tables if table not in (daily_sums, summed_days)]

Progress = Callable[[str, int, int], None]  # table, rows copied, rows in all


def copy_store(source: Store, target: Store, progress: Progress = lambda table, copied, total: None) -> dict[str, int]:
    """Copies every row; returns the number of rows by table. Nothing may write to either store meanwhile.

    All in one transaction: after an error or a crash the target is empty, and never holds a part of the rows.
    Raises `UsageError` when the target is not empty or does not hold the same afterwards, `SchemaMismatch` when one of
    the two does not have this program's schema.
    """
    for store in (source, target):
        if mismatch := store.schema_mismatch():
            raise SchemaMismatch(f"{store.describe()['path']}: {mismatch}")
    with source.reading() as old, target.transaction() as new:
        _require_empty(new)
        counts = {table.name: _copy_table(old, new, table, progress) for table in TABLES}
        _continue_ids(new)
        _compare(old, new)
    return counts


def _copy_table(old: Connection, new: Connection, table: Table, progress: Progress) -> int:
    total, copied = _count(old, table), 0
    for rows in _pages(old, table):
        new.execute(insert(table), [dict(row._mapping) for row in rows])
        copied += len(rows)
        progress(table.name, copied, total)
    return copied


def _pages(old: Connection, table: Table) -> Iterator[Sequence[Row[*tuple[object, ...]]]]:
    """The rows of a table in the order of its key, page by page."""
    key = list(table.primary_key.columns)
    page = select(table).order_by(*key).limit(PAGE)
    rows = old.execute(page).all()
    while rows:
        yield rows
        last = [literal(rows[-1]._mapping[column.name], column.type) for column in key]
        rows = old.execute(page.where(tuple_(*key) > tuple_(*last))).all()


def _require_empty(new: Connection) -> None:
    full = [table.name for table in TABLES if new.execute(select(table).limit(1)).first() is not None]
    if full:
        raise UsageError(f"the target is not empty: it has rows in {', '.join(full)}")


def _continue_ids(new: Connection) -> None:
    """Makes the target's next ids follow those copied. SQLite always uses the highest id + 1."""
    if new.dialect.name != "postgresql":
        return
    for name in ("inbox", "outbox", "attempts"):
        new.execute(
            text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name} HAVING max(id) > 0")
        )


def _compare(old: Connection, new: Connection) -> None:
    """Checks that each table has as many rows, and that the sums of money are equal."""
    differing = [table.name for table in TABLES if _count(old, table) != _count(new, table)]
    if _money(old) != _money(new):
        differing.append("the sums of amounts")
    if differing:
        raise UsageError(f"the copy differs in {', '.join(differing)}; was something else writing meanwhile?")


def _count(tx: Connection, table: Table) -> int:
    return tx.execute(select(func.count()).select_from(table)).scalar_one()


def _money(tx: Connection) -> Mapping[object, object]:
    return {
        (one.source, one.livemode, one.status, one.currency, one.event_type): (one.count, one.amount, one.mrr_impact)
        for one in totals.sums(tx)
    }
