"""Subscriptions that are older than the bridge, read through the processor's API: each becomes a baseline."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from cattrs.preconf.json import make_converter

from bridge.settings import Source
from bridge.store.inbox import NewWebhook
from processors.facts import SubscriptionState
from processors.interface import Event, Translation

TYPE = "bridge.import"
UNKNOWN = datetime.min.replace(tzinfo=UTC)

_json = make_converter(omit_if_default=True)
_json.register_unstructure_hook(Decimal, str)
_json.register_structure_hook(Decimal, lambda value, _: Decimal(value))


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
    return Translation(facts=(replace(_json.loads(body, SubscriptionState), processor_event_id=event_id),))


def dump(state: SubscriptionState) -> bytes:
    """A state as a webhook's body."""
    return str(_json.dumps(state, sort_keys=True)).encode()
