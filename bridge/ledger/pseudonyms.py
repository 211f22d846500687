"""Pseudonyms: keyed hashes in place of the ids of an erased customer, in facts, ledger states and revenue events.

The same id always has the same pseudonym, so a ledger with pseudonyms works as before: it recognises a payment that it
has counted, and a late refund of it. Without the key nobody can compute a pseudonym from an id or compare the two.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

HEX_DIGITS = 24  # 96 bits: two ids of a database never get the same
_PREFIX = re.compile(r"[a-z]{2,8}_(?=.)")  # Stripe's and Paddle's kinds of object: cus_, in_, txn_
# Kinds of object in front of ids that have none: Paddle Classic numbers its orders, payments and refunds.
_KINDS = re.compile(r"(?:(?:guest|order|payment|refund|dispute):)*")
_PSEUDONYM = re.compile(rf"{_KINDS.pattern}(?:[a-z]{{2,8}}_)?erased[0-9a-f]{{{HEX_DIGITS}}}")
# An id, and what the ledger or a processor has appended to it. Anything else with a colon may be a merchant's own id.
_SUFFIXED = re.compile(
    r"(?P<id>[^:]*[0-9_][^:]*)"
    r"(?P<suffix>(?::(?:withdrawn|reinstated|refunded|failed|correction|recurring"
    r"|subscription|upgrade|downgrade|churn|[A-Z]{3}|-?[0-9]+))*)",
    re.DOTALL,
)

# Where ids are in the JSON form of facts and states, by the name of the field.
_IDS = frozenset(
    "customer_id subscription_id invoice_id previous_invoice_id payment_id charge_id checkout_id key transaction_id"
    " reverses processor_event_id discount_ids reported_as adopted applied_event_ids".split()
)
# Mappings and lists of which the keys, or the `id` of each entry, are ids.
_BY_ID = frozenset(
    "invoice_of subscription_of payment_of matched subscriptions receivables payments released refunds"
    " unassigned_refunds unmatched discount_scopes".split()
)
_ENTRIES = frozenset("entry subscriptions receivables discounts customer_discount customer_discounts discount".split())
_JOINS = frozenset("invoice_of subscription_of payment_of matched".split())
# Texts of a person's browser or of the merchant, and held drafts: these are not sent after an erasure.
_EMPTIED = frozenset("metadata subscription_metadata touchpoints held".split())

# The metadata of a revenue event that is kept: it describes plan and movement. All other keys may name a person.
_KEPT_METADATA = frozenset(
    "plan interval coupon seats occurred_at attribution previous_plan reactivation mrr_estimated".split()
)
_METADATA_IDS = frozenset("processor_event_id refunded_transaction_id reversal_of".split())
_EVENT_IDS = frozenset("customer_id customer_subscription_id transaction_id".split())
_VISIT = frozenset("visitor_fingerprint session_id".split())


def is_pseudonym(text: str) -> bool:
    """Whether a text is the pseudonym of an id."""
    return _PSEUDONYM.fullmatch(text) is not None


def id_in(text: str) -> str:
    """The id in a compound such as `order:1`, `dp_1:withdrawn` or `guest:pi_1`."""
    _, rest = _without_kind(text)
    found = _SUFFIXED.fullmatch(rest)
    return rest if found is None else found["id"]


def _without_kind(text: str) -> tuple[str, str]:
    found = _KINDS.match(text)
    end = 0 if found is None else found.end()
    return text[:end], text[end:]


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The pseudonyms under one key."""

    key: bytes

    def of(self, text: str) -> str:
        """The pseudonym of an id, with the kind of object in front. A pseudonym stays as it is."""
        if not text or is_pseudonym(text):
            return text
        found = _PREFIX.match(text)
        digest = hmac.new(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"{found[0] if found else ''}erased{digest[:HEX_DIGITS]}"

    def of_compound(self, text: str) -> str:
        """The pseudonym of an id with a kind or a suffix, such as `order:1`, `dp_1:withdrawn` or `sub_1:churn:3`."""
        kind, rest = _without_kind(text)
        found = _SUFFIXED.fullmatch(rest)
        return kind + (self.of(rest) if found is None else self.of(found["id"]) + found["suffix"])

    def forms_of(self, text: str) -> list[str]:
        """The pseudonyms under which the ledger may know an id that a payload states without its kind."""
        return [self.of_compound(one) for one in (text, f"order:{text}", f"payment:{text}")]

    def of_output_key(self, text: str) -> str:
        """The pseudonym of an output key, such as `payment:in_1` or `movement:sub_1:2`."""
        kind, mark, rest = text.partition(":")
        return kind + mark + self.of_compound(rest)

    def of_values(self, value: Any, name: str = "") -> Any:
        """The JSON form of a fact, a catalog entry or a state with pseudonyms; metadata and visits are left out."""
        if isinstance(value, dict):
            return self._of_table(value, name)
        if isinstance(value, list | tuple):
            return [self.of_values(one, name) for one in value]
        is_id = isinstance(value, str) and (name in _IDS or name in _JOINS)
        return self.of_compound(value) if is_id else value

    def _of_table(self, table: dict[str, Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in table.items():
            if name in _BY_ID:
                found[self.of_compound(key)] = self._of_entry(value, name)
            elif key == "id" and name in _ENTRIES and isinstance(value, str):
                found[key] = self.of_compound(value)
            elif key not in _EMPTIED:
                found[key] = self.of_values(value, key)
        return found

    def _of_entry(self, value: Any, name: str) -> Any:
        if name in _ENTRIES and isinstance(value, dict):
            return self._of_table(value, "entry")
        return self.of_values(value, name if name in _JOINS else "")

    def of_event(self, data: dict[str, Any]) -> dict[str, Any]:
        """The `data` of a revenue event with pseudonyms, and without the visit."""
        found: dict[str, Any] = {}
        for name, value in data.items():
            if name in _EVENT_IDS:
                found[name] = self.of_compound(str(value))
            elif name in _VISIT:
                found[name] = "erased"
            elif name == "metadata":
                found[name] = self._of_metadata(value)
            else:
                found[name] = value
        return found

    def _of_metadata(self, metadata: Any) -> dict[str, Any]:
        items: Iterable[tuple[str, Any]] = metadata.items() if isinstance(metadata, dict) else ()
        return {
            name: self.of_compound(str(value)) if name in _METADATA_IDS else value
            for name, value in items
            if name in _KEPT_METADATA or name in _METADATA_IDS
        }
