"""Events that only point at their object (Stripe's thin events): read through the API, and stored as whole events.

Without an API key they are ignored, with a reason that tells the operator to make a snapshot endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, inbox
from bridge.store.inbox import Arrival, InboxRow
from bridge.worker.translating import Untranslatable, translation
from processors import processors
from processors.base import Api, ApiError
from processors.reading import Unreadable, parse, text

log = structlog.get_logger()

BATCH = 50
TRY_AGAIN = timedelta(minutes=10)


def complete(store: Store, settings: Settings, apis: Mapping[str, Api], now: datetime) -> int:
    """Completes fresh events that only point at their object; how many. Does I/O, so it runs before any transaction."""
    if not apis:
        return 0
    with store.reading() as tx:
        rows = inbox.fresh(tx, BATCH, now)
    pointing = [(row, path) for row in rows if row.source in apis and (path := _path(row, settings)) is not None]
    for row, path in pointing:
        try:
            whole = _whole(row, apis[row.source].of(row.account).fetch(path), settings, now)
            store.accept(whole)
        except (ApiError, Unreadable) as error:
            log.warning("not_fetched", source=row.source, event_id=row.event_id, reason=str(error))
            with store.transaction() as tx:
                inbox.fail(tx, row.id, str(error), now + TRY_AGAIN)
        else:
            with store.transaction() as tx:
                inbox.ignore(tx, [(row.id, f"read through the API, goes on as {whole.event_id}")], now)
    return len(pointing)


def _path(row: InboxRow, settings: Settings) -> str | None:
    """Where the object of an event is to be read, or None: the event holds it, or says nothing of use."""
    try:
        return translation(row, settings).fetch
    except Untranslatable:
        return None


def _whole(row: InboxRow, resource: bytes, settings: Settings, now: datetime) -> Arrival:
    join = processors()[settings.sources[row.source].processor].completed
    if join is None or row.body is None:
        raise ApiError("its processor cannot put a fetched object into an event")
    body = join(row.body, resource)
    event = parse(body)
    return Arrival(
        source=row.source,
        account=row.account,
        livemode=row.livemode,
        event_id=text(event.get("id"), 255) or f"{row.event_id}:snapshot",
        type=text(event.get("type"), 255) or row.type,
        created_at=row.created_at,
        received_at=now,
        body=body,
    )
