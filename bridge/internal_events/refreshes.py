"""The current state of a subscription that was silent for too long, read through the processor's API."""

from __future__ import annotations

from datetime import datetime

from bridge.internal_events import imports
from bridge.store.inbox import NewWebhook
from processors.facts import Stage, SubscriptionState
from processors.interface import Event, Translation
from processors.values import replace

TYPE = "bridge.refresh"


def event_id(subscription_id: str, now: datetime) -> str:
    """The id of a refresh: one a day, so that a repetition on that day is a duplicate."""
    return f"refresh_{subscription_id}_{now:%Y%m%d}"


def encode(source: str, account: str | None, state: SubscriptionState, *, livemode: bool, now: datetime) -> NewWebhook:
    """The webhook of a refreshed subscription."""
    found = replace(state, stage=Stage.CHANGED, before=None, processor_event_id="")
    named = event_id(state.ids.subscription_id or "", now)
    event = Event(id=named, type=TYPE, created_at=now, livemode=livemode, account=account)
    return NewWebhook.of_event(source, event, imports.dump(found), now)


def decode(body: bytes, event_id: str) -> Translation:
    """The fact that `encode` stored."""
    return imports.decode(body, event_id)
