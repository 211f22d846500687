"""The envelope of a Stripe event (docs.stripe.com/api/events/object), and the translations that readers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from processors.facts import CatalogEntry, Fact, Ids, Link
from processors.interface import Event, Translation
from processors.money import Currency, Money, whole_minor
from processors.payload import Json, Unreadable, at, first, has, ident, instant, parse, table, text

THIN = "v2.core.event"
ENVELOPES = frozenset({"event", THIN})

# Digits of minor units: docs.stripe.com/currencies.
# ISK and UGX have no minor unit in reality, but the API uses hundredths: "to charge 5 ISK, provide 500".
# HUF and TWD are whole only in payouts. MGA is whole for Stripe, though in ISO 4217 an ariary has five iraimbilanja.
ZERO_DECIMAL = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
THREE_DECIMAL = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One event with its object. `previous`: the old values of the changed fields; None: the event has none."""

    id: str
    type: str
    at: datetime
    object: Json
    previous: Json | None = None


def envelope(body: bytes, options: Mapping[str, str]) -> Event:
    """The envelope for the inbox, of snapshot and thin events. Raises `Unreadable`: this is not an event of Stripe."""
    found = parse(body)
    event_id, kind = text(found.get("id"), 255), text(found.get("type"), 255)
    if event_id is None or kind is None or word(found.get("object", "event")) not in ENVELOPES:
        raise Unreadable("not a Stripe event with an id and a type")
    return Event(
        id=event_id,
        type=kind,
        created_at=instant(found.get("created")),
        livemode=found.get("livemode") is not False,
        account=ident(first(found, "account", "context")),
    )


def is_thin(body: Json) -> bool:
    """Whether the event only points at its object (API v2)."""
    return body.get("object") == THIN


def snapshot_of(body: Json) -> Snapshot | str:
    """The event to translate, or the reason why it cannot be translated."""
    event_id, kind, created_at = text(body.get("id"), 255), text(body.get("type"), 255), instant(body.get("created"))
    if event_id is None or kind is None or created_at is None:
        return "no Stripe event: id, type or created is missing"
    found = at(body, "data.object")
    if not isinstance(found, Mapping):
        return "the event carries no object"
    previous = at(body, "data.previous_attributes")
    return Snapshot(
        id=event_id,
        type=kind,
        at=created_at,
        object=found,
        previous=previous if isinstance(previous, Mapping) else None,
    )


# ---- Shared by all readers ----------------------------------------------------------------------------------------


def with_facts(*facts: Fact, catalog: tuple[CatalogEntry, ...] = ()) -> Translation:
    """A translation with facts."""
    return Translation(facts=facts, catalog=catalog)


def ignored(reason: str, catalog: tuple[CatalogEntry, ...] = ()) -> Translation:
    """A translation without facts, with the reason."""
    return Translation(catalog=catalog, reason=reason)


def linked(event: Snapshot, ids: Ids, why: str) -> Translation:
    """The bare fact that these ids belong together; ignored with the reason `why` when there are fewer than two."""
    named = len(ids.refs()) + (ids.customer_id is not None)
    if named < 2:
        return ignored(why)
    return with_facts(Link(at=event.at, ids=ids, processor_event_id=event.id))


def customer_of(found: Any) -> str | None:
    """The customer's id, or (Accounts v2, since clover) the id of the account that is the customer."""
    return ident(first(found, "customer", "customer_account"))


def is_guest(found: Any) -> bool:
    """Whether the object states `customer: null`, as opposed to leaving the customer out."""
    return has(found, "customer") and customer_of(found) is None


def merged(now: Json, previous: Json) -> Json:
    """The object before an update: old values over new ones, objects key by key, lists and plain values whole."""
    before = dict(now)
    for key, old in previous.items():
        inner = isinstance(old, Mapping) and isinstance(now.get(key), Mapping)
        before[key] = merged(table(now.get(key)), old) if inner else old
    return before


def word(value: Any) -> str:
    """A word to look up in a table; empty for anything but a short string."""
    return text(value) or ""


def currency_of(code: Any) -> Currency | None:
    """The currency of a three-letter code in any case, with Stripe's digits, or None: not such a code."""
    if not isinstance(code, str) or len(code) != 3 or not (code.isascii() and code.isalpha()):
        return None
    upper = code.upper()
    return Currency(code=upper, digits=_digits(upper))


def money_of(minor: Any, code: Any) -> Money | None:
    """The amount, or None: not a whole number of minor units in a currency."""
    whole, currency = whole_minor(minor), currency_of(code)
    if whole is None or currency is None:
        return None
    return Money(minor=whole, currency=currency)


def _digits(code: str) -> int:
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2
