"""A payload for people to read: the structure and the values that matter, without secrets and personal details.

A text is shown only if it is harmless by its form: an id, a word of the processor's vocabulary, a currency, a time.
Everything else, and everything under a name that holds personal details, is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from bridge.log import SECRETS

MASK = "•••"
UNREADABLE = "The body is not JSON and cannot be masked, so it is not shown."
MAX_LENGTH = 200_000

# Parts of names; `customer_name` and `billing_address` contain one.
PERSONAL = re.compile(
    r"name|mail|address|phone|birth|postal|zip|city|line1|line2|state_code|\bip\b|ip_address|receipt_url|hosted|invoice_pdf"
    r"|card|last4|fingerprint|iban|account_number|tax_id|vat|secret|token|signature|passthrough|custom_note|description|url",
    re.IGNORECASE,
)
# Names that contain one of those parts and hold nothing personal.
HARMLESS = frozenset(
    {"display_name", "plan_name", "price_name", "product_name", "event_name", "tax_rate", "token_type", "card_present"}
)
FORMS = re.compile(
    r"[a-z]+(?:_[a-z0-9]+)*_[A-Za-z0-9_]{4,}"  # an id: cus_…, sub_…, in_1Abc
    r"|[a-z0-9]+(?:[._-][a-z0-9]+)*"  # a word: active, charge_automatically, invoice.paid
    r"|[A-Z]{2,3}"  # a currency or a country
    r"|-?\d+(?:\.\d+)?"  # an amount
    r"|\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?"
)
FIELD = re.compile(r"[a-z][a-z0-9_]*")  # of a form-encoded body
VISIT = frozenset({"visitor_fingerprint", "session_id"})  # shown shortened, to see whether a visit was there


def masked(body: bytes) -> str:
    """The body as indented JSON, masked. A sentence if it is not JSON: form-encoded bodies are decoded first."""
    try:
        data = _masked("", json.loads(body))
    except ValueError:
        return _masked_form(body)
    except RecursionError:
        return UNREADABLE
    return json.dumps(data, indent=2, ensure_ascii=False)[:MAX_LENGTH]


def _masked_form(body: bytes) -> str:
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    if not pairs or not all(FIELD.fullmatch(name) for name, _ in pairs):
        return UNREADABLE
    return json.dumps({name: _masked(name, value) for name, value in pairs}, indent=2, ensure_ascii=False)


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(key, entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_masked(name, entry) for entry in value]
    if not isinstance(value, str):
        return MASK if _is_personal(name) and value is not None and not isinstance(value, bool) else value
    if name in VISIT and value:
        return f"{value[:6]}…"
    return value if _is_harmless(name, value) else MASK


def _is_harmless(name: str, text: str) -> bool:
    if not text:
        return True
    return not _is_personal(name) and len(text) <= 120 and bool(FORMS.fullmatch(text)) and not SECRETS.search(text)


def _is_personal(name: str) -> bool:
    return name not in HARMLESS and bool(PERSONAL.search(name))
