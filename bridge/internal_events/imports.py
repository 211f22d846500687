"""Subscriptions that are older than the bridge, read through the processor's API: each becomes a baseline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from bridge.ledger.serialization import structure
from bridge.settings import Source
from bridge.store.inbox import NewWebhook
from processors.facts import SubscriptionState
from processors.interface import Event, Translation
from processors.money import Currency
from processors.values import Value, replace

TYPE = "bridge.import"
UNKNOWN = datetime.min.replace(tzinfo=UTC)


def encode(
    source: Source, state: SubscriptionState, *, livemode: bool, now: datetime, keeps_time: bool = False
) -> NewWebhook:
    """The webhook of an imported subscription. The same subscription, unchanged, has the same id: a duplicate.

    `keeps_time`: the state is no news of the API's but the ledger's own, so it must not replace a later one.
    """
    body = dump(replace(state, at=state.at if keeps_time else now, processor_event_id=""))
    content = dump(replace(state, at=state.started_at or UNKNOWN, changed_at=None))
    digest = hashlib.sha256(content).hexdigest()[:12]
    event_id = f"import_{state.ids.subscription_id}_{digest}"
    event = Event(id=event_id, type=TYPE, created_at=now, livemode=livemode)
    return NewWebhook.of_event(source.name, event, body, now)


def decode(body: bytes, event_id: str) -> Translation:
    """The fact that `encode` stored."""
    return Translation(facts=(replace(structure(json.loads(body), SubscriptionState), processor_event_id=event_id),))


def dump(state: SubscriptionState) -> bytes:
    """A state as a webhook's body."""
    return json.dumps(_plain(state), sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """A value as JSON values. The ids of imports depend on it: it must stay as it is, however states are stored."""
    if isinstance(value, Value):
        pairs = [(one, getattr(value, one.name)) for one in fields(value)]
        return {one.name: _plain(found) for one, found in pairs if found != _default(one)}
    if isinstance(value, Currency):
        return {"code": value.code, "digits": value.digits}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _default(one: FieldInfo) -> Any:
    return one.default if one.default_factory is NODEFAULT else one.default_factory()
