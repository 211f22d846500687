"""Attributions that the merchant registers through `POST /attributions` or the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from bridge.settings import Source
from bridge.store.inbox import NewWebhook
from processors.facts import Attribution, Ids, Place
from processors.interface import Event, Translation
from processors.payload import Unreadable, ident, instant, parse, strings, table

TYPE = "bridge.attribution"
REFERENCES = ("customer_id", "subscription_id", "transaction_id")  # at least one of them is given


def encode(source: Source, values: Mapping[str, str], *, livemode: bool, now: datetime) -> NewWebhook:
    """The webhook of a registered attribution. The same values always have the same id, so a repetition is a duplicate.

    `values`: `visitor_fingerprint`, `session_id` and any of `REFERENCES`.
    """
    metadata = {
        source.policy.fingerprint_key: values["visitor_fingerprint"],
        source.policy.session_key: values["session_id"],
    }
    data = {name: values[name] for name in REFERENCES if name in values} | {"metadata": metadata}
    digest = hashlib.sha256(json.dumps([source.name, livemode, data], sort_keys=True).encode()).hexdigest()[:24]
    event = Event(id=f"attribution_{digest}", type=TYPE, created_at=now, livemode=livemode)
    body = {"id": event.id, "type": TYPE, "created": now.isoformat(), "data": data}
    return NewWebhook.of_event(source.name, event, json.dumps(body).encode(), now)


def decode(body: bytes) -> Translation:
    """The fact that `encode` stored."""
    try:
        envelope = parse(body)
    except Unreadable as error:
        return Translation(reason=str(error))
    data = table(envelope, "data")
    at = instant(envelope.get("created"))
    ids = Ids(
        customer_id=ident(data.get("customer_id")),
        subscription_id=ident(data.get("subscription_id")),
        payment_id=ident(data.get("transaction_id")),
    )
    if at is None or ids == Ids():
        return Translation(reason="names no customer, subscription or transaction")
    fact = Attribution(
        place=Place.REGISTERED,
        at=at,
        ids=ids,
        metadata=strings(data.get("metadata")),
        processor_event_id=ident(envelope.get("id")) or "",
    )
    return Translation(facts=(fact,))
