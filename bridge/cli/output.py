"""The output of commands: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from processors.values import names_of

if TYPE_CHECKING:  # rich is imported by what uses it: JSON, help and errors do without
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

WIDE = 160  # columns of a table if the output is not a terminal
GAP, MARGIN = 2, 2  # between columns, and before the first
GRADE_WIDTH = 7
LEAST_TEXT = 50  # columns to the right of a finding's subject; with less, its text goes below
LONGEST_WORD = 72  # longer ones are addresses; ids are shorter
BODIES = frozenset({"body", "compressed_body"})

json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs instead of tables.")


class Grade(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of `check`: its subject, and the state of it with the remedy."""

    about: str
    grade: Grade
    text: str


def ok(about: str, text: str) -> Finding:
    """A finding that needs no action."""
    return Finding(about=about, grade=Grade.OK, text=text)


def warning(about: str, text: str) -> Finding:
    """A finding that works and may be unintended."""
    return Finding(about=about, grade=Grade.WARNING, text=text)


def problem(about: str, text: str) -> Finding:
    """A finding that does not work."""
    return Finding(about=about, grade=Grade.PROBLEM, text=text)


# ---- For people ------------------------------------------------------------------------------------------------


def console() -> Console:
    """The console for tables; WIDE if the output is not a terminal. Text is printed as it is, without markup."""
    return _console() if "COLUMNS" in os.environ or _console().is_terminal else _console(WIDE)


def _console(width: int | None = None) -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=width)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
) -> None:
    """Prints a table. `right`: columns of numbers, aligned right; `whole`: columns that are never wrapped.

    No number, id or other word is ever cut or broken: where the terminal is too narrow for that, each row becomes a
    block with one line per column.
    """
    from rich.padding import Padding
    from rich.table import Table

    out = console()
    out.print(title, style="bold", soft_wrap=True)
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        out.print("  none\n", soft_wrap=True)
        return
    widths = [_least_width(column, [row[at] for row in cells], column in {*right, *whole})
              for at, column in enumerate(columns)]  # fmt: skip
    if sum(widths) + GAP * len(columns) > out.width - MARGIN:
        _print_blocks(out, columns, cells)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_header=any(columns))
    for column, width in zip(columns, widths, strict=True):
        is_number = column in right
        table.add_column(
            column,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number or column in whole,
            min_width=width,
        )
    for row in cells:
        table.add_row(*row)
    out.print(Padding(table, (0, 0, 1, 2), expand=False))


def print_findings(title: str, findings: Sequence[Finding]) -> None:
    """Prints findings, one paragraph each. An address is never broken, so that it can be copied."""
    width = console().width
    subjects = max((len(one.about) for one in findings), default=0)
    click.secho(title, bold=True)
    for one in findings:
        head = f"  {one.grade:<{GRADE_WIDTH}}  {one.about:<{subjects}}  "
        is_narrow = width - len(head) < LEAST_TEXT
        begin, rest = ("    ", "    ") if is_narrow else (head, " " * len(head))
        if is_narrow:
            click.echo(head.rstrip())
        wrapped = textwrap.wrap(one.text, width, initial_indent=begin, subsequent_indent=rest,
                                break_long_words=False, break_on_hyphens=False)  # fmt: skip
        click.echo("\n".join(wrapped))
    click.echo()


def _least_width(column: str, cells: Sequence[Text], is_whole: bool) -> int:
    """The width below which something of a column would be cut or broken: its longest cell, or its longest word."""
    texts = [column, *(cell.plain for cell in cells)]
    lines = [line for text in texts for line in text.splitlines()]
    if is_whole:
        return max(map(len, lines), default=0)
    return max((min(len(word), LONGEST_WORD) for line in lines for word in line.split()), default=0)


def _print_blocks(out: Console, columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    """Each row as a block. A line that is too long is wrapped by the terminal, so that it can be copied as a whole."""
    from rich.text import Text

    named = max(map(len, columns))
    for row in cells:
        for column, cell in zip(columns, row, strict=True):
            if cell.plain:
                label = f"{column:<{named}}  " if named else ""
                out.print(Text(f"  {label}") + cell, soft_wrap=True)
        out.print()


def _cell(value: object) -> Text:
    # Text, because tables parse markup in strings whatever the console's setting: an error message of Pulsora such as
    # "data[/amount] is invalid" would raise MarkupError.
    from rich.text import Text

    return Text("" if value is None else str(value))


def progress() -> Progress:
    """A progress bar on stderr, so that stdout can be piped; disabled if stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

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


# ---- For programs ----------------------------------------------------------------------------------------------


def print_json(value: object) -> None:
    """Prints a value as JSON; times in ISO 8601 with `Z`."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def fields_of(value: Any) -> Mapping[str, object]:
    """A record's fields by name, without its body, which holds personal data."""
    return {name: getattr(value, name) for name in names_of(value) if name not in BODIES}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
