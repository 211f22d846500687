"""The payload of Pulsora's ingest: a revenue event as JSON, its validation, and the request body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii as _quoted  # the text part of `json.dumps`, much faster
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from bridge.ledger.events import EventType, RevenueEvent

# A reader that stores numbers as doubles keeps this many digits exactly.
MAX_DIGITS = 15


class _Text(fields.Field[str]):
    """A string that is not blank and can be written as UTF-8."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be text")
        if not value.strip():
            raise ValidationError("is empty")
        if not _is_utf8(value):
            raise ValidationError("contains an unpaired surrogate")
        return value


class _Number(fields.Field[Decimal]):
    """A finite JSON number, never a string, that every reader can store exactly."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValidationError("must be a number")
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not number.is_finite():
            raise ValidationError("must be a number")
        if _digits(number) > MAX_DIGITS:
            raise ValidationError(f"has more than {MAX_DIGITS} digits")
        return number


class _Flag(fields.Field[bool]):
    """true or false, never a string or a number."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class _Metadata(fields.Field[Mapping[str, object]]):
    """An object of JSON values."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: Any) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise ValidationError("must be an object")
        if not _is_json(value):
            raise ValidationError("contains an unpaired surrogate or a number that is not finite")
        return value


class RevenueSchema(Schema):
    """The `data` object of a revenue event, from Pulsora's revenue API reference. Unknown fields are rejected."""

    class Meta:
        """The options of marshmallow."""

        unknown = RAISE

    visitor_fingerprint = _Text(required=True)
    session_id = _Text(required=True)
    customer_id = _Text(required=True)
    amount = _Number(required=True)
    currency = _Text(validate=validate.Regexp(r"[A-Z]{3}\Z", error="must be three capital letters, such as USD"))
    transaction_id = _Text(required=True)
    payment_processor = _Text()
    event_type = _Text(
        validate=validate.OneOf([str(name) for name in EventType], error="is not an event type of Pulsora")
    )
    customer_subscription_id = _Text()
    mrr_impact = _Number()
    is_recurring = _Flag()
    metadata = _Metadata()


_SCHEMA = RevenueSchema()

_PLAIN_MESSAGES: Mapping[str, str] = {
    "Missing data for required field.": "is missing",
    "Field may not be null.": "is null",
    "Unknown field.": "is not a field of a revenue event",
}


def data(event: RevenueEvent) -> dict[str, object]:
    """The `data` object of an event, in the reference's order, without those that are None. Amounts stay exact."""
    written: dict[str, object | None] = {
        "visitor_fingerprint": event.visitor_fingerprint,
        "session_id": event.session_id,
        "customer_id": event.customer_id,
        "amount": event.amount,
        "currency": event.currency,
        "transaction_id": event.transaction_id,
        "payment_processor": event.payment_processor,
        "event_type": str(event.event_type),
        "customer_subscription_id": event.subscription_id,
        "mrr_impact": event.mrr_impact,
        "is_recurring": event.is_recurring,
        # The ingest has no field for the time of the event.
        "metadata": {**event.metadata, "occurred_at": _instant_text(event.occurred_at)},
    }
    return {name: value for name, value in written.items() if value is not None}


def dump(event: RevenueEvent) -> str:
    """The event as JSON text: ASCII, the same for equal events, amounts exact (49.90 is 49.9, 49.00 is 49).

    Never raises: a number that is not finite becomes null, which `problems` rejects before anything is sent.
    """
    return dump_data(data(event))


def dump_data(data: Mapping[str, object]) -> str:
    """The `data` object as JSON text, in its own order. What `load` read becomes the same text again."""
    return "{" + ",".join([f"{_quoted(name)}:{_text(value)}" for name, value in data.items()]) + "}"


def load(data_json: str) -> object:
    """The object that `dump` wrote, with exact numbers. None for text that is not JSON: `problems` rejects it."""
    try:
        return json.loads(data_json, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def body(data_json: str, token: str) -> bytes:
    """The request body: the text of `dump`, unchanged, in its envelope. Equal input gives equal bytes."""
    return f'{{"type":"revenue","token":{json.dumps(token)},"data":{data_json}}}'.encode()


def problems(data: object) -> tuple[str, ...]:
    """A sentence for each violation of the schema, without values; empty: the event may be sent."""
    if not isinstance(data, Mapping):
        return ("The event is not a JSON object.",)
    errors = _SCHEMA.validate(data)
    return tuple(_sentence(str(name), words) for name, words in sorted(errors.items()))


def _sentence(name: str, words: object) -> str:
    first = str(words[0]) if isinstance(words, list) and words else "is wrong"
    return f"{name} {_PLAIN_MESSAGES.get(first, first)}."


def _text(value: object) -> str:
    """JSON text of a value, keys sorted. A value that JSON does not have is written as Python prints it."""
    if type(value) is str:  # most are
        return _quoted(value)
    if isinstance(value, Decimal):
        return _number_text(value)
    if isinstance(value, Mapping):
        entries = {str(key): entry for key, entry in value.items()}
        return "{" + ",".join([f"{_quoted(key)}:{_text(entries[key])}" for key in sorted(entries)]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(entry) for entry in value) + "]"
    if isinstance(value, float):
        return _number_text(Decimal(str(value)))
    if value is None or isinstance(value, str | int):
        return json.dumps(value)
    return _quoted(str(value))


def _number_text(number: Decimal) -> str:
    """The shortest exact text. A number too long for an amount keeps its exponent: it is rejected, not written out."""
    if not number.is_finite():
        return "null"
    if number == 0:
        return "0"
    return format(number.normalize(), "f") if _digits(number) <= MAX_DIGITS else str(number)


def _digits(number: Decimal) -> int:
    """The digits needed to write a finite number: before the point, after it, or all without the outer zeros."""
    _, digits, exponent = number.as_tuple()
    significant = "".join(map(str, digits)).rstrip("0")
    places = -(int(exponent) + len(digits) - len(significant))
    return max(len(significant), number.adjusted() + 1, places)


def _instant_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_json(key) and _is_json(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, str):
        return _is_utf8(value)
    if isinstance(value, float | Decimal):
        return Decimal(value).is_finite()
    return True


def _is_utf8(value: str) -> bool:
    """Whether a text can be written as UTF-8: an unpaired surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
