"""Webhooks stored, and a worker's steps until nothing is left to do, for tests that want the result alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from bridge.settings import Settings
from bridge.store import Store
from bridge.store.inbox import NewWebhook
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors import processors
from processors.payload import NOTHING


def store_webhooks(
    store: Store, source: str, bodies: Iterable[bytes], at: datetime | None = None, options: Mapping[str, str] = NOTHING
) -> None:
    """Stores webhooks as the web process does. `at`: when they arrive; None: each at its own date.

    `source` is the name of its processor.
    """
    envelope = processors()[source].envelope
    for body in bodies:
        event = envelope(body, options)
        received_at = at or event.created_at
        assert received_at is not None
        store.accept(NewWebhook.of_event(source, event, body, received_at))


def settle_all(store: Store, settings: Settings, at: datetime, owner: str = "worker") -> None:
    """Routes and settles everything that is due at that time. Sends nothing."""
    while route(store, settings, owner, at):
        pass
    while settle_due(store, settings, owner, at):
        pass
