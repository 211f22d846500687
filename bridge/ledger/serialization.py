"""Ledger values as JSON. Large mappings are decoded entry by entry, on first access."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

from cattrs import Converter
from cattrs.preconf.json import make_converter

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
            entry = self._entries[key] = converter.structure(entry, self._type)
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

    def encoded(self) -> Encoded:
        """Every entry as JSON values."""
        return {
            key: entry if type(entry) is dict else converter.unstructure(entry) for key, entry in self._entries.items()
        }


def _make_converter() -> Converter:
    made = make_converter(omit_if_default=True, detailed_validation=False)
    for exact in (Fraction, Decimal):
        made.register_unstructure_hook(exact, str)
        made.register_structure_hook(exact, lambda value, kind: kind(value))
    made.register_unstructure_hook(Currency, lambda currency: f"{currency.code}:{currency.digits}")
    made.register_structure_hook(Currency, lambda value, _: _currency(value))
    made.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)  # metadata: JSON values
    made.register_unstructure_hook_func(_is_lazy_mapping, LazyMapping.encoded)
    made.register_structure_hook_func(_is_lazy_mapping, lambda value, kind: LazyMapping(get_args(kind)[0], value))
    return made


@lru_cache(maxsize=256)
def _currency(text: str) -> Currency:
    code, _, digits = text.rpartition(":")
    return Currency(code=code, digits=int(digits))


def _is_lazy_mapping(kind: Any) -> bool:
    return kind is LazyMapping or get_origin(kind) is LazyMapping


converter = _make_converter()


# `json.dumps` makes an encoder for each call that names its separators.
_encoder = json.JSONEncoder(separators=(",", ":"))
_sorting_encoder = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def encode(value: Any, *, sort_keys: bool = False) -> str:
    """A value as JSON text."""
    return (_sorting_encoder if sort_keys else _encoder).encode(converter.unstructure(value))


def decode(text: str, kind: type[Value]) -> Value:
    """The value of this type from JSON text."""
    return converter.structure(json.loads(text), kind)
