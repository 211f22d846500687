"""Reads the database for the checks: without the product's connections, on which faults happen.

The checks read more often than the product. Through SQLAlchemy they would take most of the time.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Dialect, Select, create_engine, make_url
from sqlalchemy.dialects import sqlite


class Reader(Protocol):
    """What is committed, at any moment."""

    def rows(self, statement: Select[Any], **parameters: object) -> Sequence[Any]:
        """The rows, with the columns as attributes. A statement is a constant, and names its columns."""

    def close(self) -> None:
        """Closes the connection."""


def reader(url: str) -> Reader:
    """A connection of its own to the database."""
    return PostgresReader(url) if make_url(url).get_backend_name() == "postgresql" else SqliteReader(url)


class SqliteReader:
    """Reads an SQLite file."""

    def __init__(self, url: str) -> None:
        path = Path(make_url(url).database or "")
        self._dialect = sqlite.dialect()
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def rows(self, statement: Select[Any], **parameters: object) -> Sequence[Any]:
        sql, bind, make = _prepared(statement, self._dialect)
        return [make(row) for row in self._connection.execute(sql, bind(parameters))]

    def close(self) -> None:
        self._connection.close()


class PostgresReader:
    """Reads a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()

    def rows(self, statement: Select[Any], **parameters: object) -> Sequence[Any]:
        return self._connection.execute(statement, parameters).all()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


Prepared = tuple[str, Callable[[dict[str, object]], list[object]], Callable[[Sequence[Any]], Any]]


@lru_cache(maxsize=64)
def _prepared(statement: Select[Any], dialect: Dialect) -> Prepared:
    """The statement as text, what makes its parameters, and what makes a row."""
    compiled = statement.compile(dialect=dialect)
    binders = {name: bind.type.bind_processor(dialect) for bind, name in compiled.bind_names.items()}
    names, constants = list(compiled.positiontup or ()), compiled.params
    columns = list(statement.selected_columns)
    row_type: Any = namedtuple("row", [column.key for column in columns])  # type: ignore[misc]
    readers = [(at, column.type.result_processor(dialect, None)) for at, column in enumerate(columns)]
    converted = [(at, convert) for at, convert in readers if convert is not None]

    def bind(parameters: dict[str, object]) -> list[object]:
        values = {**constants, **parameters}
        return [value if (to := binders[name]) is None else to(value) for name in names for value in [values[name]]]

    def make(row: Sequence[Any]) -> Any:
        values = list(row)
        for at, convert in converted:
            values[at] = convert(values[at])
        return row_type._make(values)

    return str(compiled), bind, make
