"""The ids and the e-mail addresses in a webhook's body, whatever its processor and type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

MAX_LENGTH = 200
_LOOKS_LIKE_ID = re.compile(r"[a-z]{2,8}_[A-Za-z0-9_]{3,}")
_ID_NAMES = frozenset("id customer subscription invoice charge payment_intent checkout order order_id user_id".split())
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def ids_in(body: bytes) -> set[str]:
    """Every value that may be an id: by its name, or by its form. Empty for a body that cannot be read."""
    return {
        text
        for name, text in _texts(body)
        if (name in _ID_NAMES or name.endswith("_id") or _LOOKS_LIKE_ID.fullmatch(text)) and not _ADDRESS.search(text)
    }


def addresses_in(body: bytes) -> set[str]:
    """Every e-mail address, in lower case."""
    return {text.lower() for _, text in _texts(body) if _ADDRESS.fullmatch(text)}


def _texts(body: bytes) -> Iterator[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = dict(parse_qsl(text, keep_blank_values=False))
    return _leaves(content, "")


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, name)
    elif isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) <= MAX_LENGTH:
        yield name, str(value).strip()
