"""Fetches a source's events from the processor's list, and stores those that never arrived, as if they had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bridge.settings import Source
from bridge.store import Store
from bridge.store.inbox import NewWebhook
from processors import processors
from processors.interface import Api, ApiError
from processors.payload import Unreadable


class Incomplete(Exception):
    """The list could not be read to its end. The message says why; `listed` and `stored` say how much was done."""

    def __init__(self, message: str, listed: int, stored: int) -> None:
        super().__init__(message)
        self.listed = listed
        self.stored = stored


def store_missing(
    store: Store,
    source: Source,
    api: Api,
    since: datetime,
    until: datetime | None = None,
    on_event: Callable[[int], None] = lambda listed: None,
) -> tuple[int, int]:
    """Stores the events since then that are not stored yet. Returns how many the API listed, and how many were missing.

    `until`: later events are left out, because their webhooks may still be on the way. Whatever was stored before an
    error stays stored, so repeating it does no harm. Raises Incomplete, and what the store raises.
    """
    envelope = processors()[source.processor].envelope
    listed = stored = 0
    try:
        for body in api.events(since):
            event = envelope(body, source.options)
            if until is not None and event.created_at is not None and event.created_at > until:
                continue
            listed += 1
            stored += store.accept(NewWebhook.of_event(source.name, event, body, datetime.now(UTC)))
            on_event(listed)
    except (ApiError, Unreadable) as error:
        raise Incomplete(str(error), listed, stored) from error
    return listed, stored


def oldest_kept(source: Source, now: datetime) -> datetime:
    """The time before which the processor keeps no events any more."""
    return now - timedelta(days=processors()[source.processor].event_days)
