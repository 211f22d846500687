"""What every command starts from: the settings of this machine, the store they name, and how results are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bridge import log
from bridge.errors import SchemaBehind
from bridge.settings import Settings, load
from bridge.store import Store, open_store

as_json = click.option("--json", "as_json", is_flag=True, help="For programs: JSON instead of tables.")


def settings() -> Settings:
    """The settings, from the environment and a `.env` file. Logging is set up after them."""
    found = load(os.environ, dotenv=Path(".env"))
    log.configure(found.log_format, found.log_level)
    return found


@contextmanager
def opened(found: Settings) -> Iterator[Store]:
    """The store, its schema checked, closed again at the end."""
    store = open_store(found.database_url)
    try:
        if not store.schema_fits():
            raise SchemaBehind("the database's schema does not fit this program. Run: pulsora-bridge migrate")
        yield store
    finally:
        store.close()


def console() -> Console:
    """Where tables go; wide enough for a table when the output is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table for people. Columns in `right` are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007  # counted for the empty case
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    if count == 0:
        table.add_row("none")
    console().print(table)


def tell(value: object) -> None:
    """A value for programs."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def clock(at: datetime | None) -> str:
    """An instant for people, in UTC."""
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def plain(value: Any) -> Mapping[str, object]:
    """A value's fields, for `--json`."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "body"}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
