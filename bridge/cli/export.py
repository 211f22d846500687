"""`export`: every movement, payment or customer as CSV or JSON, for spreadsheets and other programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import click

from bridge.cli.environment import opened_store, read_settings
from bridge.cli.output import progress
from bridge.cli.reports import day_option
from bridge.csv_lines import csv_lines
from bridge.errors import BridgeError, UsageError
from bridge.formatting import quantity
from bridge.monitoring.mrr import exact
from bridge.store import exports
from bridge.store.exports import ExportFilter, Record
from bridge.store.search import Readable

ROWS_PER_UPDATE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Something to export. The columns are stable: new ones are only added at the end."""

    columns: Sequence[str]
    rows: Callable[[Readable, ExportFilter], Iterator[Record]]


DATASETS: Mapping[str, Dataset] = {
    "movements": Dataset(columns=exports.MOVEMENTS, rows=exports.movements),
    "revenue": Dataset(columns=exports.REVENUE, rows=exports.revenue),
    "customers": Dataset(columns=exports.CUSTOMERS, rows=exports.customers),
}


@click.command(short_help="Export movements, revenue or customers as CSV or JSON.")
@click.argument("dataset", type=click.Choice(list(DATASETS)))
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--from", "first", type=day_option, help="The first day, in UTC. [default: the oldest]")
@click.option("--to", "last", type=day_option, help="The last day, in UTC. [default: the newest]")
@click.option("--source", help="Only this source.")
@click.option("--test", "is_test", is_flag=True, help="Test money instead of live money.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write. [default: stdout]")
def export(
    dataset: str,
    form: str,
    first: datetime | None,
    last: datetime | None,
    source: str | None,
    is_test: bool,
    output: Path | None,
) -> None:
    """Export movements of MRR, revenue (payments and refunds), or customers, one row each.

    Amounts are decimal numbers in major units, times UTC. The columns: docs/commands.md.
    """
    settings, chosen = read_settings(), DATASETS[dataset]
    if source is not None and source not in settings.sources:
        raise UsageError(f"there is no source {source}. Configured: {', '.join(sorted(settings.sources))}")
    if first and last and first > last:
        raise UsageError("--from is after --to")
    wanted = ExportFilter(
        livemode=not is_test, source=source, first=first and first.date(), last=last and last.date()
    )  # fmt: skip
    with opened_store(settings) as store:
        rows = (_texts(row, chosen.columns) for row in chosen.rows(store, wanted))
        if output is None:
            _print(_lines(form, rows, chosen.columns))
        else:
            _write(output, form, rows, chosen.columns)


def _texts(row: Record, columns: Sequence[str]) -> Record:
    """The row as both formats show it: amounts exact, times in ISO 8601 with `Z`."""
    return {name: _text(row[name], str(row["currency"])) for name in columns}


def _text(value: object, currency: str) -> object:
    if isinstance(value, Decimal):
        return exact(value, currency)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _lines(form: str, rows: Iterable[Record], columns: Sequence[str]) -> Iterator[str]:
    if form == "csv":
        return csv_lines(({name: _csv_value(value) for name, value in row.items()} for row in rows), columns)
    return _json_lines(rows)


def _csv_value(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _json_lines(rows: Iterable[Record]) -> Iterator[str]:
    """One JSON array with a row on each line."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, default=lambda value: format(value, "f"), ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


# ---- Where to ----------------------------------------------------------------------------------------------------


def _print(lines: Iterable[str]) -> None:
    try:
        sys.stdout.writelines(lines)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, form: str, rows: Iterator[Record], columns: Sequence[str]) -> None:
    """Writes the file, readable by its owner alone; it appears when it is complete."""
    part = path.with_name(f"{path.name}.part")
    with ExitStack() as stack:
        bar = stack.enter_context(progress())
        task = bar.add_task(f"Writing {path.name}", total=None)
        counted = _Counted(rows, lambda count: bar.update(task, completed=count))
        try:
            with _opened(part) as file:
                stack.callback(part.unlink, missing_ok=True)
                file.writelines(_lines(form, counted, columns))
            part.replace(path)
        except OSError as error:
            raise BridgeError(f"{path}: {error.strerror or error}") from error
    click.echo(f"{quantity(counted.count, 'row')} in {path}.", err=True)


def _opened(path: Path) -> TextIO:
    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, "w", encoding="utf-8", newline="", opener=private)


class _Counted:
    """The rows, counted while they are read."""

    def __init__(self, rows: Iterator[Record], shown: Callable[[int], object]) -> None:
        self.count = 0
        self._rows = rows
        self._shown = shown

    def __iter__(self) -> Iterator[Record]:
        for row in self._rows:
            self.count += 1
            if self.count % ROWS_PER_UPDATE == 0:
                self._shown(self.count)
            yield row
