"""A frozen value with some of its fields changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

Value = TypeVar("Value")

if TYPE_CHECKING:
    from dataclasses import replace as changed  # so that names and types of the fields are checked
else:

    def changed(value: Value, **changes: Any) -> Value:
        """What `dataclasses.replace` gives, in half its time, for slotted dataclasses without a `__post_init__`.

        Settling does little else than this; `replace` goes through `__init__`, which sets frozen fields one by one.
        """
        fields_of, setters, by_name = _plan(type(value))
        copy = object.__new__(type(value))
        for put, field in zip(setters, fields_of(value), strict=True):
            put(copy, field)
        for name, field in changes.items():
            by_name[name](copy, field)
        return copy


Setter = Callable[[Any, Any], None]


@cache
def _plan(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], Sequence[Setter], Mapping[str, Setter]]:
    """How to read all fields of a kind at once, and how to set each."""
    names = tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # only dataclasses come here
    by_name = {name: getattr(kind, name).__set__ for name in names}
    getter = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return getter, tuple(by_name.values()), by_name


__all__ = ["changed"]
