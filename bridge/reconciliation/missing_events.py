"""Fetches a source's events from the processor's list, and stores those that never arrived, as if they had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bridge.privacy.withholding import erased_events
from bridge.settings import Source
from bridge.store import Store
from bridge.store.inbox import NewWebhook
from processors import processors
from processors.interface import Api, ApiError, Event
from processors.payload import Unreadable

BATCH = 100  # events of one look for erased ones


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
    error stays stored, so repeating it does no harm. Events that were erased on request are not stored again. Raises
    Incomplete, and what the store raises.
    """
    listed = stored = 0
    batch: list[tuple[Event, bytes]] = []
    try:
        for event, body in _until(source, api.events(since), until):
            listed += 1
            batch.append((event, body))
            if len(batch) == BATCH:
                stored += _store(store, source, batch)
                batch.clear()
            on_event(listed)
    except (ApiError, Unreadable) as error:
        raise Incomplete(str(error), listed, stored + _store(store, source, batch)) from error
    return listed, stored + _store(store, source, batch)


def _until(source: Source, bodies: Iterator[bytes], until: datetime | None) -> Iterator[tuple[Event, bytes]]:
    envelope = processors()[source.processor].envelope
    for body in bodies:
        event = envelope(body, source.options)
        if until is None or event.created_at is None or event.created_at <= until:
            yield event, body


def _store(store: Store, source: Source, batch: Sequence[tuple[Event, bytes]]) -> int:
    erased = erased_events(store, source.name, [event.id for event, _ in batch])
    return sum(
        store.accept(NewWebhook.of_event(source.name, event, body, datetime.now(UTC)))
        for event, body in batch
        if event.id not in erased
    )


def oldest_kept(source: Source, now: datetime) -> datetime:
    """The time before which the processor keeps no events any more."""
    return now - timedelta(days=processors()[source.processor].event_days)
