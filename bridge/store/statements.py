"""Where the SQL of SQLite and PostgreSQL differs, and how a statement is given many values at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Table,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert

T = TypeVar("T")
InsertInto = Callable[[Table], "Insert"]
Among = Callable[[ColumnElement[Any], str], ColumnElement[bool]]

# A list of ids is padded to one of these lengths, so that few different statements are ever prepared.
LENGTHS = (1, 8, 32, 128, 512)


class PerDialect(dict[str, T]):
    """A statement by dialect name, built when it is first used.

    A process uses one dialect: PostgreSQL's takes 60 ms to import, and building all statements twice as long as one.
    """

    def __init__(self, build: Callable[[str], T]) -> None:
        super().__init__()
        self._build = build

    def __missing__(self, name: str) -> T:
        built = self[name] = self._build(name)
        return built


def insert_per_dialect(build: Callable[[InsertInto], T]) -> Mapping[str, T]:
    """An insert with an `ON CONFLICT` clause, by dialect name."""

    def build_for(name: str) -> T:
        if name == "postgresql":
            from sqlalchemy.dialects import postgresql

            return build(postgresql.insert)
        from sqlalchemy.dialects import sqlite

        return build(cast(InsertInto, sqlite.insert))

    return PerDialect(build_for)


def per_dialect(build: Callable[[Among], T]) -> Mapping[str, T]:
    """A statement about the rows whose column is in a list of values, by dialect name.

    `among(column, name)` is that condition; `name` is the parameter of the list.
    """
    return PerDialect(lambda name: build(_in_array if name == "postgresql" else _in_list))


def _in_list(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.in_(bindparam(name, expanding=True))


def _in_array(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    # One array parameter: with one parameter per value each length would be a new statement for the driver to prepare.
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def padded_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """The distinct values in lists short enough for one `IN`, padded with the last value to one of LENGTHS."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), LENGTHS[-1]):
        chunk = distinct[start : start + LENGTHS[-1]]
        length = next(length for length in LENGTHS if length >= len(chunk))
        yield chunk + chunk[-1:] * (length - len(chunk))


def literal(value: str) -> ColumnElement[str]:
    """A word of ours as SQL text: a partial index is used only when its condition appears literally."""
    return literal_column(f"'{value}'")


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """The text column as an expression that no index matches, so that the planner keeps to the row's key."""
    return column.concat("")


def advisory_lock(tx: Connection, name: str) -> None:
    """Takes a transaction-scoped advisory lock (PostgreSQL). On SQLite the write lock excludes all others anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def execute_many(tx: Connection, statement: object, rows: Sequence[Mapping[str, object]]) -> int:
    """Runs one statement for many rows and returns how many rows it changed."""
    if not rows:
        return 0
    counted = {"preserve_rowcount": True}
    values = rows[0] if len(rows) == 1 else list(rows)
    return tx.execute(statement, values, execution_options=counted).rowcount  # type: ignore[call-overload,no-any-return]
