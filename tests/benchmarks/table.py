"""What a benchmark found, a line each, always beside what it is measured against in the same run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `beside`: the row that it is a ratio of, by its name. Waits in milliseconds."""

    name: str
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    errors: int | None = None
    beside: str | None = None
    note: str = ""


def show(rows: Sequence[Row]) -> None:
    """Prints them as a Markdown table."""
    rates = {row.name: row.rate for row in rows}
    lines = ["| what | a second | p50 ms | p99 ms | errors | ratio | |", "|---|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        base = rates.get(row.beside or "")
        ratio = f"{row.rate / base:.2f}" if base and row.rate else ""
        numbers = (_told(row.rate, 0), _told(row.p50, 1), _told(row.p99, 1), _told(row.errors, 0), ratio)
        lines.append(f"| {row.name} | {' | '.join(numbers)} | {row.note} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _told(number: float | None, places: int) -> str:
    return "" if number is None else f"{number:,.{places}f}"
