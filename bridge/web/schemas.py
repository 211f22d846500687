"""Request bodies of the merchant's own code, validated by marshmallow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from bridge.internal_events.attributions import REFERENCES
from processors.visit import rejected_as

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


class VisitId(Id):
    """An id from the browser, and none of the values that a faulty page sends instead."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        found = super()._deserialize(value, attr, data, **kwargs)
        if rejected := rejected_as(found):
            raise ValidationError(f"is {rejected}")
        return found


class AttributionSchema(Schema):
    """The body of `POST /attributions`: the visit that a customer, subscription or transaction is attributed to."""

    class Meta:
        unknown = EXCLUDE

    visitor_fingerprint = VisitId(required=True)
    session_id = VisitId(required=True)
    customer_id = Id()
    subscription_id = Id()
    transaction_id = Id()
    source = Id()

    @validates_schema
    def has_reference(self, data: dict[str, Any], **_: object) -> None:
        """At least one reference is required."""
        if not any(name in data for name in REFERENCES):
            raise ValidationError(f"name at least one of {', '.join(REFERENCES)}")
