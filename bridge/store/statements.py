"""Where SQLite and PostgreSQL are spoken to differently, and how a statement is given many values at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Insert = postgresql.Insert
InsertInto = Callable[[Table], Insert]

# A list of ids is filled up to one of these lengths, so that few different statements are ever prepared.
LENGTHS = (1, 8, 64, 512)


def each(build: Callable[[InsertInto], Insert]) -> Mapping[str, Insert]:
    """An insert with an `ON CONFLICT` clause, by the name of the dialect; the two spell it alike."""
    return {"sqlite": build(cast(InsertInto, sqlite.insert)), "postgresql": build(postgresql.insert)}


Among = Callable[[ColumnElement[Any], str], ColumnElement[bool]]


def either(build: Callable[[Among], T]) -> Mapping[str, T]:
    """A statement about the rows whose column is among those of a list, by the name of the dialect.

    `among(column, name)` says so. To PostgreSQL the list is one value: as many as it has members were another statement
    each time, and its driver would read that anew.
    """
    return {"sqlite": build(_in_list), "postgresql": build(_in_array)}


def _in_list(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.in_(bindparam(name, expanding=True))


def _in_array(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column == any_(bindparam(name, type_=postgresql.ARRAY(column.type)))


def listed(columns: Iterable[Column[Any]]) -> Select[Any]:
    """Rows that are handed over as a list for each column, under its name: on PostgreSQL one statement for any number.

    As many `VALUES` as there are rows would be another statement each time, which costs more than to run it.
    """
    given = list(columns)
    lists = [bindparam(column.name, type_=postgresql.ARRAY(column.type)) for column in given]
    names = [named(column.name, column.type) for column in given]
    return select(*func.unnest(*lists).table_valued(*names).render_derived(name="given").c)


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """The distinct values in lists short enough for one `IN`, each filled up with its last."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), LENGTHS[-1]):
        chunk = distinct[start : start + LENGTHS[-1]]
        length = next(length for length in LENGTHS if length >= len(chunk))
        yield chunk + chunk[-1:] * (length - len(chunk))


def constant(value: str) -> ColumnElement[str]:
    """A word of ours written into the statement: an index over some rows only serves what names them outright."""
    return literal_column(f"'{value}'")


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """A text column as something that no index is chosen for: the statement names the row by its key already."""
    return column.concat("")


def one_at_a_time(tx: Connection, name: str) -> None:
    """Lets nobody else past the same call until this transaction ends. On SQLite a transaction is alone anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def run_each(tx: Connection, statement: object, rows: Sequence[Mapping[str, object]]) -> int:
    """Runs one statement for many rows; how many rows it changed."""
    if not rows:
        return 0
    counted = {"preserve_rowcount": True}
    values = rows[0] if len(rows) == 1 else list(rows)
    return tx.execute(statement, values, execution_options=counted).rowcount  # type: ignore[call-overload,no-any-return]
