"""Webhooks of erased customers: their facts with pseudonyms, stored in place of the processor's body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bridge.ledger.catalog import KINDS, key_of
from bridge.ledger.pseudonyms import Pseudonyms
from bridge.ledger.serialization import structure, unstructure
from processors.facts import Attribution, CatalogEntry, Fact, Link, Payment, Refund, SubscriptionState
from processors.interface import Translation

MARK = b'{"erased_customer":'  # no processor's body begins with it
FACTS: dict[str, type[Fact]] = {one.__name__: one for one in (Payment, Refund, SubscriptionState, Link)}


def encode(translation: Translation, pseudonyms: Pseudonyms) -> bytes:
    """The body that replaces a webhook's: facts and catalog entries. An attribution leaves only the join of its ids."""
    facts = [Link(at=one.at, ids=one.ids, processor_event_id=one.processor_event_id) if isinstance(one, Attribution)
             else one for one in translation.facts]  # fmt: skip
    content = {
        "facts": [[type(one).__name__, pseudonyms.of_values(unstructure(one))] for one in facts],
        "catalog": [_entry(one, pseudonyms) for one in translation.catalog],
        "reason": translation.reason,
    }
    return MARK + json.dumps(content, separators=(",", ":")).encode() + b"}"


def _entry(entry: CatalogEntry, pseudonyms: Pseudonyms) -> Sequence[Any]:
    kind = (key_of(entry) or ("", ""))[0]
    name = "discount" if kind == "discount" else ""
    return [kind, pseudonyms.of_values(unstructure(entry), name)]


def decode(body: bytes) -> Translation:
    """The facts that `encode` stored."""
    content = json.loads(body)["erased_customer"]
    return Translation(
        facts=tuple(structure(value, FACTS[name]) for name, value in content["facts"]),
        catalog=tuple(structure(value, KINDS[kind]) for kind, value in content["catalog"] if kind),
        reason=content["reason"],
    )
