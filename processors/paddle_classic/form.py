"""The body of an alert: a form of flat fields."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from processors.reading import Unreadable

Fields = Mapping[str, str]

MOST_FIELDS = 200


def fields_of(body: bytes) -> Fields:
    """The fields, empty ones too. Raises `Unreadable` for what is no form in UTF-8, or names a field twice."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeError:
        raise Unreadable("not UTF-8") from None
    except ValueError:
        raise Unreadable("not form-encoded") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("a field stands twice")
    return fields
