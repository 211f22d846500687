"""Values: immutable records with named fields, which most functions take and return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def immutable(cls: type[Record]) -> type[Record]:
    """A dataclass with slots and keyword arguments only, whose fields are never assigned to: mypy refuses that.

    `frozen=True` would refuse it at run time too, and there creating a value takes three times as long: a settlement
    creates about fifty.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
