"""Request bodies of the merchant's own code, validated by marshmallow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from bridge.internal_events.attributions import REFERENCES

LONGEST = 255


class Id(fields.String):
    """An id: 1 to 255 printable characters, trimmed."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        if not 0 < len(text) <= LONGEST:
            raise ValidationError(f"must have 1 to {LONGEST} characters")
        if not text.isprintable():  # control characters and unpaired surrogates are not
            raise ValidationError("must have printable characters only")
        return text


class AttributionSchema(Schema):
    """The body of `POST /attributions`: the visit that a customer, subscription or transaction is attributed to."""

    class Meta:
        unknown = EXCLUDE

    visitor_fingerprint = Id(required=True)
    session_id = Id(required=True)
    customer_id = Id()
    subscription_id = Id()
    transaction_id = Id()
    source = Id()

    @validates_schema
    def has_reference(self, data: dict[str, Any], **_: object) -> None:
        """At least one reference is required."""
        if not any(name in data for name in REFERENCES):
            raise ValidationError(f"name at least one of {', '.join(REFERENCES)}")
