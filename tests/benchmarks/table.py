"""The results of a benchmark, one row each, with the ratio to a baseline of the same run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result. `baseline`: the name of the row to compare with, if `ratio` is not given. Latencies in ms."""

    name: str
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    errors: int | None = None
    baseline: str | None = None
    ratio: str | None = None
    note: str = ""


def print_table(rows: Sequence[Row]) -> None:
    """Prints the rows as a Markdown table."""
    rates = {row.name: row.rate for row in rows}
    lines = ["| measurement | per second | p50 ms | p99 ms | errors | ratio | |", "|---|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        base = rates.get(row.baseline or "")
        ratio = row.ratio or (f"{row.rate / base:.2f}" if base and row.rate else "")
        numbers = (_number(row.rate, 0), _number(row.p50, 1), _number(row.p99, 1), _number(row.errors, 0), ratio)
        lines.append(f"| {row.name} | {' | '.join(numbers)} | {row.note} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _number(number: float | None, places: int) -> str:
    return "" if number is None else f"{number:,.{places}f}"
