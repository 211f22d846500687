"""Settles the stored webhooks of a customer again, up to one webhook, without a change of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection

from bridge.ledger import EMPTY, settle
from bridge.ledger.catalog import required_keys
from bridge.ledger.explain import Explanation, explain
from bridge.settings import Settings
from bridge.store import inbox
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.worker.batch import load_catalog
from bridge.worker.translation import TranslationError, translate


def resettle(tx: Connection, row: InboxRow, settings: Settings) -> Explanation | None:
    """Settles the stream's webhooks again in the windows in which they were settled, and explains `row` among them.

    None if that is not possible or gives other notes than were stored: a body was purged, the settings changed, or the
    processor's API had supplied data that is not stored.
    """
    if row.status is not InboxStatus.SETTLED or row.stream_id is None:
        return None
    state = EMPTY
    policy = settings.sources[row.source].policy
    try:
        for window in _windows(inbox.of_stream(tx, row.stream_id, (InboxStatus.SETTLED,))):
            facts = [fact for one in window for fact in translate(one, settings).facts]
            keys = required_keys(state.current_terms, facts, state.customer_discounts)
            settlement = settle(state, facts, policy, load_catalog(tx, row.scope, keys))
            if any(one.id == row.id for one in window):
                found = explain(row.event_id, facts, state, settlement)
                return found if found.notes == row.notes else None
            state = settlement.state
    except TranslationError:
        return None
    return None


def _windows(rows: Iterable[InboxRow]) -> Iterable[Sequence[InboxRow]]:
    """The rows grouped as they were settled: all of a window have the same `settled_at`."""
    for _, window in groupby(sorted(rows, key=_settled_at), key=_settled_at):
        yield sorted(window, key=lambda row: row.id)


def _settled_at(row: InboxRow) -> datetime:
    return row.settled_at or row.received_at
