"""How ledger values are written down as JSON, and read again one at a time, only when somebody asks for them."""

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
Written = dict[str, Any]


class Shelf(Mapping[str, Value], Generic[Value]):
    """Values of one kind by id. Those that come from the store stay as they are written until they are asked for.

    So a history of thousands costs a settlement that looks at three of them next to nothing.
    """

    __slots__ = ("_entries", "_kind")

    def __init__(self, kind: type[Value], entries: Mapping[str, Value | Written] | None = None) -> None:
        self._kind = kind
        self._entries: dict[str, Any] = dict(entries or {})

    def __getitem__(self, key: str) -> Value:
        entry = self._entries[key]
        if type(entry) is dict:
            entry = self._entries[key] = converter.structure(entry, self._kind)
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
        return f"Shelf({dict(self.items())!r})"

    __hash__ = None  # type: ignore[assignment]  # compared by content, like a dict

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default: without the exception that `Mapping.get` is made of."""
        return self[key] if key in self._entries else default

    def having(self, changes: Mapping[str, Value | None]) -> Shelf[Value]:
        """The shelf with these values on it; None takes one away."""
        if not changes:
            return self
        entries = {**self._entries, **changes}
        for key in [key for key, value in changes.items() if value is None]:
            del entries[key]
        return Shelf(self._kind, entries)

    def latest(self, count: int) -> Shelf[Value]:
        """The shelf with only the values that were put on it last."""
        if len(self._entries) <= count:
            return self
        return Shelf(self._kind, dict(list(self._entries.items())[-count:]))

    def written(self) -> Written:
        """Every value as JSON has it."""
        return {
            key: entry if type(entry) is dict else converter.unstructure(entry) for key, entry in self._entries.items()
        }


def _converter() -> Converter:
    made = make_converter(omit_if_default=True, detailed_validation=False)
    for exact in (Fraction, Decimal):
        made.register_unstructure_hook(exact, str)
        made.register_structure_hook(exact, lambda value, kind: kind(value))
    made.register_unstructure_hook(Currency, lambda currency: f"{currency.code}:{currency.digits}")
    made.register_structure_hook(Currency, lambda value, _: _currency(value))
    made.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)  # metadata: JSON values
    made.register_unstructure_hook_func(_is_shelf, Shelf.written)
    made.register_structure_hook_func(_is_shelf, lambda value, kind: Shelf(get_args(kind)[0], value))
    return made


@lru_cache(maxsize=256)
def _currency(text: str) -> Currency:
    code, _, digits = text.rpartition(":")
    return Currency(code=code, digits=int(digits))


def _is_shelf(kind: Any) -> bool:
    return kind is Shelf or get_origin(kind) is Shelf


converter = _converter()


def text_of(value: Any, *, sort_keys: bool = False) -> str:
    """A value as JSON text."""
    return json.dumps(converter.unstructure(value), separators=(",", ":"), sort_keys=sort_keys)


def value_of(text: str, kind: type[Value]) -> Value:
    """The value that `text_of` wrote."""
    return converter.structure(json.loads(text), kind)
