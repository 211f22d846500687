"""Where the SQL of SQLite and PostgreSQL differs, and how a statement is given many values at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Table,
    Text,
    TypeDecorator,
    Update,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)

from processors.values import Value

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as UpsertInto

T = TypeVar("T")
Write = Insert | Update | Delete
InsertInto = Callable[[Table], "UpsertInto"]
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
    # One JSON parameter: SQLAlchemy would write the statement anew for each list, with one parameter per value.
    values = func.json_each(bindparam(name, type_=_JsonList)).table_valued("value", name="given")
    return column.in_(select(values.c.value))


class _JsonList(TypeDecorator[Sequence[Any]]):
    """A list of texts or numbers, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> str:
        return json.dumps(value)


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


def execute_many(tx: Connection, statement: Write, rows: Sequence[Mapping[str, object]]) -> int:
    """Runs one statement for many rows, all with the same keys, and returns how many rows it changed."""
    if not rows:
        return 0
    prepared = _prepared(statement, tx.dialect, tuple(rows[0]))
    values = [prepared.parameters(row) for row in rows]
    return tx.exec_driver_sql(prepared.sql, values, execution_options={"preserve_rowcount": True}).rowcount


class _Prepared(Value):
    """A statement as the driver takes it. SQLAlchemy would look up and convert each value of each row anew.

    `constants`: values that the statement itself contains. `columns`: of each parameter in the driver's order, its name
    and how its type stores a value; None: as it is.
    """

    sql: str
    is_positional: bool
    constants: Mapping[str, object]
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]

    def parameters(self, row: Mapping[str, object]) -> Any:
        """The parameters of one row, in the driver's order or by name."""
        given = {**self.constants, **row} if self.constants else row
        values = [given[name] if convert is None else convert(given[name]) for name, convert in self.columns]
        if self.is_positional:
            return tuple(values)
        return {name: value for (name, _), value in zip(self.columns, values, strict=True)}


@lru_cache(maxsize=256)
def _prepared(statement: Write, dialect: Dialect, keys: tuple[str, ...]) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))
    types = {name: bind.type.dialect_impl(dialect) for bind, name in compiled.bind_names.items()}
    converters = {name: kind.bind_processor(dialect) for name, kind in types.items()}
    return _Prepared(
        sql=str(compiled),
        is_positional=compiled.positional,
        constants={name: value for name, value in compiled.params.items() if name not in keys},
        columns=tuple((name, converters[name]) for name in compiled.positiontup or compiled.params),
    )
