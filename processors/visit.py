"""The visit that led to a payment: two ids from the browser, in metadata or in one composite reference.

Payment Links, pricing tables and buy buttons carry only Stripe's `client_reference_id`: up to 200 letters, digits, `-`
and `_`. `/pulsora-bridge.js` writes both ids into it as `pls1_<fingerprint>__<session>`. Where this would be ambiguous,
or an id has other characters, it writes `pls2_` and the base64url of both with a line feed between them.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping

from processors.payload import LONGEST_ID, Json, text
from processors.values import Value

REFERENCE = "client_reference_id"
FINGERPRINT_KEY, SESSION_KEY = "visitor_fingerprint", "session_id"  # the names of the keys by default
PLAIN, ENCODED = "pls1_", "pls2_"

# A faulty checkout writes these instead of an id: words of JavaScript and Python for an absent value, in lower case.
PLACEHOLDERS = {"undefined": "undefined", "null": "null", "none": "None", "[object object]": "[object Object]"}
CHECKOUT_PREFIX, CHECKOUT = "cs_", "the id of a checkout session"
REJECTED = "visit rejected: "  # how the note about such a value begins


class Visit(Value):
    """Both ids of a visit. Half a visit is no visit."""

    fingerprint: str
    session: str


def read_visit(metadata: Json, fingerprint_key: str, session_key: str) -> Visit | None:
    """The visit in one metadata object, or None. Its two keys outrank the composite reference."""
    return _visit(metadata.get(fingerprint_key), metadata.get(session_key)) or visit_of(metadata.get(REFERENCE))


def visit_of(reference: object) -> Visit | None:
    """The visit in a composite reference; None for any other value."""
    return _visit(*_parts(reference))


def is_composite(value: object) -> bool:
    """Whether a value has the composite form, and so is no id of the merchant's own."""
    return isinstance(value, str) and value.startswith((PLAIN, ENCODED))


def rejected_as(value: object) -> str | None:
    """The name of a value that is a placeholder; None for an id, and if there is no value at all."""
    if not isinstance(value, str):
        return None
    return CHECKOUT if value.strip().startswith(CHECKOUT_PREFIX) else placeholder(value)


def placeholder(value: str) -> str | None:
    """The placeholder that a value is, such as "undefined"; None for any other value."""
    return PLACEHOLDERS.get(value.strip().lower())


def rejection(metadata: Json, fingerprint_key: str, session_key: str) -> str | None:
    """The note on the first rejected value in the metadata: "visit rejected: session_id is undefined"."""
    named = ((key, rejected_as(value)) for key, value in _stated(metadata, (fingerprint_key, session_key)))
    return next((f"{REJECTED}{key} is {name}" for key, name in named if name), None)


def visit_metadata(fingerprint: str | None, session_id: str | None, *, strict: bool = False) -> dict[str, str]:
    """The metadata of a checkout that carries the visit, for Stripe's `metadata` or Paddle's `custom_data`.

    Empty without two usable ids, so that a checkout never fails for its attribution; with `strict` a ValueError says
    which one is not usable.
    """
    found = _visit(fingerprint, session_id)
    if found is not None:
        return {FINGERPRINT_KEY: found.fingerprint, SESSION_KEY: found.session}
    if strict:
        raise ValueError("; ".join(_problems({FINGERPRINT_KEY: fingerprint, SESSION_KEY: session_id})))
    return {}


def _visit(fingerprint: object, session: object) -> Visit | None:
    usable = [None if rejected_as(value) else text(value, LONGEST_ID) for value in (fingerprint, session)]
    return Visit(fingerprint=usable[0], session=usable[1]) if usable[0] and usable[1] else None


def _parts(reference: object) -> tuple[str | None, str | None]:
    """The two ids of a composite reference, not validated."""
    if not isinstance(reference, str) or not is_composite(reference):
        return None, None
    joined, separator = (
        (reference.removeprefix(PLAIN), "__") if reference.startswith(PLAIN) else (_decoded(reference), "\n")
    )
    fingerprint, _, session = joined.partition(separator)
    return fingerprint, session


def _decoded(reference: str) -> str:
    encoded = reference.removeprefix(ENCODED)
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-8")
    except (binascii.Error, ValueError):  # not ASCII, not base64, not UTF-8
        return ""


def _stated(metadata: Json, keys: tuple[str, str]) -> Iterator[tuple[str, object]]:
    """Every value that should be an id of the visit, with its name."""
    yield from ((key, metadata.get(key)) for key in keys)
    reference = metadata.get(REFERENCE)
    if not is_composite(reference):
        yield REFERENCE, reference
        return
    for name, part in zip(("fingerprint", "session"), _parts(reference), strict=True):
        yield f"the {name} in {REFERENCE}", part


def _problems(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        if text(value, LONGEST_ID) is None:
            yield f"{name}: must be a string of 1 to {LONGEST_ID} characters"
        elif rejected := rejected_as(value):
            yield f"{name}: is {rejected}"
