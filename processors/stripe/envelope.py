"""The envelope of a Stripe event: who sent it, when, and the object as it stood. Snapshot events and thin ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from processors.base import Event, Translation
from processors.facts import Fact, Ids, Known, Link
from processors.reading import Json, at, first, has, ident, instant, table, text

THIN = "v2.core.event"
ENVELOPES = frozenset({"event", THIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One event with its object. `previous`: the old values of what an update changed; None: the event has none."""

    id: str
    type: str
    at: datetime
    object: Json
    previous: Json | None = None


def event_of(body: Json, now: datetime) -> Event | None:
    """The envelope for the inbox, or None: this is no event of Stripe. `now` stands in for a missing `created`."""
    event_id, kind = text(body.get("id"), 255), text(body.get("type"), 255)
    if event_id is None or kind is None or word(body.get("object", "event")) not in ENVELOPES:
        return None
    return Event(
        id=event_id,
        type=kind,
        created_at=instant(body.get("created")) or now,
        livemode=body.get("livemode") is not False,
        account=ident(first(body, "account", "context")),
    )


def is_thin(body: Json) -> bool:
    """Whether the event only points at its object (API v2)."""
    return body.get("object") == THIN


def snapshot_of(body: Json) -> Snapshot | str:
    """The event to translate, or the sentence that says why it cannot be."""
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


# ---- What every reader says the same way --------------------------------------------------------------------------


def says(*facts: Fact, known: tuple[Known, ...] = ()) -> Translation:
    """A translation with facts."""
    return Translation(facts=facts, known=known)


def ignored(reason: str, known: tuple[Known, ...] = ()) -> Translation:
    """A translation without facts, and why."""
    return Translation(known=known, reason=reason)


def linked(event: Snapshot, ids: Ids, why: str) -> Translation:
    """The bare fact that these ids belong together; `why` there is nothing more to say if they are fewer than two."""
    named = len(ids.refs()) + (ids.customer_id is not None)
    if named < 2:
        return ignored(why)
    return says(Link(at=event.at, ids=ids, processor_event_id=event.id))


def customer_of(found: Any) -> str | None:
    """The customer, or (Accounts v2, since clover) the account that is the customer."""
    return ident(first(found, "customer", "customer_account"))


def is_guest(found: Any) -> bool:
    """Whether the object says that there is no customer, as opposed to not saying anything."""
    return has(found, "customer") and customer_of(found) is None


def merged(now: Json, previous: Json) -> Json:
    """The object before an update: old values over new ones, objects key by key, lists and plain values whole."""
    before = dict(now)
    for key, old in previous.items():
        inner = isinstance(old, Mapping) and isinstance(now.get(key), Mapping)
        before[key] = merged(table(now.get(key)), old) if inner else old
    return before


def word(value: Any) -> str:
    """A word to look up in a table; the empty one for anything that is no short string."""
    return text(value) or ""
