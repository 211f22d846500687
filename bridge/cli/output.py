"""What every command starts from: the settings of this machine, the store they name, and how results are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from bridge import log
from bridge.errors import SchemaBehind, WrongUsage
from bridge.settings import Settings, Source, load
from bridge.store import Store, open_store

__all__ = [
    "as_json",
    "chosen",
    "clock",
    "console",
    "counted",
    "opened",
    "plain",
    "progress",
    "settings",
    "show",
    "tell",
]

DOTENV = Path(".env")
WIDE = 160  # columns of a table where no terminal says how wide it is

as_json = click.option("--json", "as_json", is_flag=True, help="For programs: JSON instead of tables.")


def settings() -> Settings:
    """The settings, from the environment and a `.env` file. Logging is set up after them."""
    found = load(os.environ, dotenv=DOTENV)
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


def chosen(sources: Mapping[str, Source], name: str | None) -> Source:
    """The source that is named, or the only one there is."""
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name is None or name not in sources:
        raise WrongUsage(f"--source: name one of {', '.join(sorted(sources))}")
    return sources[name]


# ---- For people ------------------------------------------------------------------------------------------------


def console() -> Console:
    """Where tables go; wide enough for them when the output is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=WIDE)


def show(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    none: str = "none",
) -> None:
    """A table for people. `right`: columns of numbers; `whole`: never folded; `none`: said when there are no rows."""
    out = console()
    out.print(title, style="bold", soft_wrap=True)
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not cells:
        out.print(f"  {none}\n", soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_header=any(columns))
    for column in columns:
        is_number = column in right
        table.add_column(
            column,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number or column in whole,
        )
    for row in cells:
        table.add_row(*row)
    out.print(Padding(table, (0, 0, 1, 2), expand=False))


def progress() -> Progress:
    """A bar for long work, on stderr so that the result can be piped, and only where somebody looks at it."""
    out = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )


def clock(at: datetime | None) -> str:
    """An instant for people, in UTC."""
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, noun: str) -> str:
    """`1 webhook`, `1,200 webhooks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# ---- For programs ----------------------------------------------------------------------------------------------


def tell(value: object) -> None:
    """A value for programs."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def plain(value: Any) -> Mapping[str, object]:
    """A value's fields, for `--json`; a body is not among them."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "body"}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
