"""What the service takes from the merchant's own programs, checked by marshmallow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

NAMED = ("customer_id", "subscription_id", "transaction_id")
LONGEST = 255


class Ident(fields.String):
    """An id: 1 to 255 printable characters, trimmed."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        if not 0 < len(text) <= LONGEST:
            raise ValidationError(f"must have 1 to {LONGEST} characters")
        if not text.isprintable():  # nor are control characters and halves of surrogate pairs
            raise ValidationError("must have printable characters only")
        return text


class AttributionSchema(Schema):
    """The body of `POST /attributions`: which visit earned the revenue of a customer, subscription or transaction."""

    class Meta:
        unknown = EXCLUDE

    visitor_fingerprint = Ident(required=True)
    session_id = Ident(required=True)
    customer_id = Ident()
    subscription_id = Ident()
    transaction_id = Ident()
    source = Ident()

    @validates_schema
    def names_something(self, data: dict[str, Any], **_: object) -> None:
        """At least one id says whose visit it was."""
        if not any(name in data for name in NAMED):
            raise ValidationError(f"name at least one of {', '.join(NAMED)}")
