"""Reports as JSON values, the same for the API and the command line."""

from __future__ import annotations

from dataclasses import is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum

from processors.values import Value, names_of


def plain(value: object) -> object:
    """A report, with its derived values, as JSON: exact amounts as strings, times in ISO 8601, durations in seconds."""
    if (is_dataclass(value) or isinstance(value, Value)) and not isinstance(value, type):
        properties = [name for name, one in vars(type(value)).items() if isinstance(one, property)]
        return {name: plain(getattr(value, name)) for name in [*names_of(value), *properties]}
    if isinstance(value, dict):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 3)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal | date | Enum) else value


def _key(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)
