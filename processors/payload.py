"""Reading untrusted payloads: every path may be absent, null, or of another type than documented."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

Json = Mapping[str, Any]

NOTHING: Json = {}
LONGEST_ID = 255
YEARS = range(1970, 2200)  # anything else is an error, and date arithmetic with it may overflow


class Unreadable(ValueError):
    """The body is not an unambiguous JSON object, or not an event of its processor."""


def parse(body: bytes) -> Json:
    """The JSON object in `body`. Raises `Unreadable` for anything else: NaN, repeated keys, lone surrogates, depth."""
    try:
        value = _decoder().decode(body.decode("utf-8"))
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for an escaped lone surrogate
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable(f"not JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def at(value: Any, path: str) -> Any:
    """The value at a dotted path ("parent.subscription_details.metadata"), or None."""
    for key in path.split("."):
        if not isinstance(value, dict):  # not Mapping: that check takes ten times as long
            return None
        value = value.get(key)
    return value


def first(value: Any, *paths: str) -> Any:
    """The first value that is present and not null, or None. List new paths before old ones."""
    for path in paths:
        found = at(value, path)
        if found is not None:
            return found
    return None


def has(value: Any, key: str) -> bool:
    """Whether the object has this key, even with the value null."""
    return isinstance(value, dict) and key in value


def table(value: Any, path: str = "") -> Json:
    """The object at the path, or an empty one."""
    found = at(value, path) if path else value
    return found if isinstance(found, dict) else NOTHING


def rows(value: Any, path: str = "") -> Iterator[Json]:
    """The objects in the list at the path; a Stripe list object (`{"data": […]}`) counts as its list."""
    found = at(value, path) if path else value
    if isinstance(found, dict):
        found = found.get("data")
    if not isinstance(found, list):
        return
    for row in found:
        if isinstance(row, dict):
            yield row


def text(value: Any, longest: int = 500) -> str | None:
    """A trimmed string of at most `longest` characters; None for anything else, an empty one, or one with a NUL."""
    if not isinstance(value, str) or "\x00" in value:
        return None
    trimmed = value.strip()
    return trimmed if trimmed and len(trimmed) <= longest else None


def ident(value: Any) -> str | None:
    """An id, given bare or as an expanded object with an `id`. Numbers become their digits."""
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return text(value, LONGEST_ID)


def instant(value: Any) -> datetime | None:
    """An aware UTC instant from Unix seconds or ISO 8601 (any precision); None for anything else or outside `YEARS`."""
    try:
        found = _instant(value)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found is not None and found.year in YEARS else None


def strings(value: Any) -> dict[str, str]:
    """The entries of a metadata object whose values are strings or whole numbers, trimmed; others are omitted.

    Attribution ids come from a browser: an empty value, or one of more than 255 characters, counts as absent.
    """
    found: dict[str, str] = {}
    for key, entry in table(value).items():
        kept = ident(entry) if not isinstance(entry, dict) else None
        if isinstance(key, str) and kept is not None:
            found[key] = kept
    return found


def _instant(value: Any) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    return _iso(value.strip()) if isinstance(value, str) else None


def _iso(value: str) -> datetime | None:
    if len(value) > 40:
        return None
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _reject_constant(name: str) -> None:
    raise Unreadable(f"{name} is not a JSON number")


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a repeated key in one object")
    return found
