"""Ledger values as JSON. Large mappings are decoded entry by entry, on first access."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

import msgspec

from processors.money import Currency

Value = TypeVar("Value")
Encoded = dict[str, Any]


class LazyMapping(Mapping[str, Value], Generic[Value]):
    """An immutable mapping of ids to values of one type. Loaded entries stay encoded until they are read.

    A settlement reads a few entries of a history of thousands, and decoding the rest would dominate its cost.
    """

    __slots__ = ("_entries", "_type")

    def __init__(self, type_: type[Value], entries: Mapping[str, Value | Encoded] | None = None) -> None:
        self._type = type_
        self._entries: dict[str, Any] = dict(entries or {})

    def __getitem__(self, key: str) -> Value:
        entry = self._entries[key]
        if type(entry) is dict:
            entry = self._entries[key] = structure(entry, self._type)
        return cast(Value, entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping) or len(other) != len(self):
            return False
        return dict(self.items()) == dict(other.items())

    def __repr__(self) -> str:
        return f"LazyMapping({dict(self.items())!r})"

    __hash__ = None  # type: ignore[assignment]  # compared by content, like a dict

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default. Faster than `Mapping.get`, which raises and catches `KeyError`."""
        return self[key] if key in self._entries else default

    def updated(self, changes: Mapping[str, Value | None]) -> LazyMapping[Value]:
        """A copy with these changes; None removes an entry."""
        if not changes:
            return self
        entries = {**self._entries, **changes}
        for key in [key for key, value in changes.items() if value is None]:
            del entries[key]
        return LazyMapping(self._type, entries)

    def latest(self, count: int) -> LazyMapping[Value]:
        """A copy with only the entries added last."""
        if len(self._entries) <= count:
            return self
        return LazyMapping(self._type, dict(list(self._entries.items())[-count:]))


# ---- To and from JSON ------------------------------------------------------------------------------------------


def encode(value: Any) -> str:
    """A value as JSON text, without the fields that have their defaults."""
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:  # half of a surrogate pair in a payload, which msgspec cannot write
        return json.dumps(unstructure(value), separators=(",", ":"))


def decode(text: str, kind: type[Value]) -> Value:
    """The value of this type from JSON text."""
    return structure(json.loads(text), kind)


def unstructure(value: Any) -> Any:
    """A value as JSON values."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def structure(value: Any, kind: type[Value]) -> Value:
    """The value of this type from JSON values."""
    return msgspec.convert(value, kind, dec_hook=_typed)


def _plain(value: Any) -> Any:
    """JSON values for the types that msgspec does not know."""
    if isinstance(value, Currency):
        return f"{value.code}:{value.digits}"
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, LazyMapping):
        return value._entries
    raise NotImplementedError(f"{type(value).__name__} has no stored form")


def _typed(kind: Any, value: Any) -> Any:
    """The values of types that msgspec does not know, from JSON values."""
    if kind is Currency:
        return Currency(**value) if isinstance(value, dict) else _currency(value)  # an object: in an import
    if kind is Fraction:
        return Fraction(value)
    if get_origin(kind) is LazyMapping:
        return LazyMapping(get_args(kind)[0], value)
    if kind is object:  # metadata: JSON values
        return value
    raise NotImplementedError(f"{kind} has no stored form")


@lru_cache(maxsize=256)
def _currency(text: str) -> Currency:
    code, _, digits = text.rpartition(":")
    return Currency(code=code, digits=int(digits))


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
