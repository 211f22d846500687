"""Numbers, amounts, times and sentences as people read them, in the command line and on the admin pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal


def quantity(number: int, noun: str) -> str:
    """A number with its noun: `1 webhook`, `1,200 webhooks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def currency_order(counts: Mapping[str, int | Sequence[int]]) -> list[str]:
    """Currencies in the order of every list: the one with the most rows first, equal ones by code. None is converted.

    `counts`: the rows of each; several numbers, such as subscriptions and payments, decide one after the other.
    """

    def key(code: str) -> tuple[list[int], str]:
        count = counts[code]
        return [-one for one in ([count] if isinstance(count, int) else count)], code

    return sorted(counts, key=key)


def amount(value: Decimal) -> str:
    """Major units with the decimals they have: `1,249.00`."""
    return f"{value:,}"


def signed_amount(value: Decimal | None) -> str:
    """A change in major units: `+49.00`, `-30.00`; empty if the event changes no MRR."""
    return "" if value is None else f"{value:+,}"


def duration(length: timedelta | float) -> str:
    """A length of time, given in seconds or as a timedelta: `40 s`, `12 min`, `5.5 h`, `45 days`. Never negative."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{_rounded(seconds / 3600)} h" if seconds < 48 * 3600 else f"{_rounded(seconds / 86400)} days"


def _rounded(number: float) -> str:
    """With one decimal below 10, unless it is 0; else whole."""
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}"


def relative(at: datetime, now: datetime) -> str:
    """A time as seen from `now`: `12 min ago`, `in 5.5 h`, `just now`."""
    gap = now - at
    if abs(gap) < timedelta(seconds=1):
        return "just now"
    return f"{duration(gap)} ago" if gap > timedelta() else f"in {duration(-gap)}"


def timestamp(at: datetime | None) -> str:
    """A UTC time to the second: `2026-01-01 12:00:00`; empty for None."""
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def sentence(text: str) -> str:
    """The text with one full stop at its end, for messages that quote another system."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
