"""Events that only point at their object (Stripe's thin events): fetched through the API, stored as whole events.

Without an API key they are ignored, with a reason that says to create a snapshot endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from bridge.settings import Settings
from bridge.store import Store, inbox
from bridge.store.inbox import InboxRow, NewWebhook
from processors import processors
from processors.interface import Api, ApiError
from processors.payload import Unreadable
from processors.values import replace

log = structlog.get_logger()

RETRY_AFTER = timedelta(minutes=10)


def complete(
    store: Store,
    settings: Settings,
    apis: Mapping[str, Api],
    thin: Sequence[tuple[InboxRow, str]],
    now: datetime,
) -> None:
    """Fetches the objects of thin events and stores them as new webhooks. `thin`: each row with its API path.

    Waits for the network, so it runs outside any transaction. Two workers may do it for the same event: the whole event
    has an id that follows from the thin one's, so the second is a duplicate.
    """
    for row, path in thin:
        try:
            whole = _whole_event(row, apis[row.source].for_account(row.account).fetch(path), settings, now)
            store.accept(whole)
        except (ApiError, Unreadable) as error:
            log.warning("not_fetched", source=row.source, event_id=row.event_id, reason=str(error))
            with store.transaction() as tx:
                inbox.fail(tx, row.id, str(error), now + RETRY_AFTER)
        else:
            # After the whole event is on disk: a crash in between fetches it again, and loses nothing.
            with store.transaction() as tx:
                inbox.ignore(tx, [(row.id, f"read through the API, continued as {whole.event_id}")], now)


def _whole_event(row: InboxRow, resource: bytes, settings: Settings, now: datetime) -> NewWebhook:
    source = settings.sources[row.source]
    processor = processors()[source.processor]
    if processor.complete_event is None or row.body is None:
        raise ApiError("its processor cannot put a fetched object into an event")
    body = processor.complete_event(row.body, resource)
    whole = NewWebhook.of_event(row.source, processor.envelope(body, source.options), body, now)
    return replace(whole, account=row.account, livemode=row.livemode, created_at=row.created_at)
