"""What the service takes from the merchant's own programs, checked by marshmallow."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

NAMED = ("customer_id", "subscription_id", "transaction_id")
_id = validate.Length(min=1, max=255)


class AttributionSchema(Schema):
    """The body of `POST /attributions`: which visit earned the revenue of a customer, subscription or transaction."""

    class Meta:
        unknown = EXCLUDE

    visitor_fingerprint = fields.String(required=True, validate=_id)
    session_id = fields.String(required=True, validate=_id)
    customer_id = fields.String(validate=_id)
    subscription_id = fields.String(validate=_id)
    transaction_id = fields.String(validate=_id)
    source = fields.String(validate=_id)

    @validates_schema
    def names_something(self, data: dict[str, Any], **_: object) -> None:
        """At least one id says whose visit it was."""
        if not any(name in data for name in NAMED):
            raise ValidationError(f"name at least one of {', '.join(NAMED)}")
