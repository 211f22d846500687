"""A customer's past, folded once more up to one event: what stood in the books before it and after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection

from bridge.ledger import EMPTY, settle
from bridge.ledger.explain import Explanation, explain
from bridge.ledger.knowledge import Knowledge, coupons_behind, wanted
from bridge.ledger.state import State
from bridge.settings import Settings
from bridge.store import inbox
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.worker.settle import recalled
from bridge.worker.translating import Untranslatable, translation
from processors.facts import Fact


def told_again(tx: Connection, row: InboxRow, settings: Settings) -> Explanation | None:
    """The story of a settled event by folding its customer's webhooks as they were folded, window by window.

    None: it cannot be told, since bodies were purged, or since it would not come out as it did (an API told more then,
    or the settings were others).
    """
    if row.status is not InboxStatus.SETTLED or row.stream_id is None:
        return None
    state = EMPTY
    policy = settings.sources[row.source].policy
    try:
        for window in _windows(inbox.of_stream(tx, row.stream_id, (InboxStatus.SETTLED,))):
            facts = [fact for one in window for fact in translation(one, settings).facts]
            settlement = settle(state, facts, policy, _knowledge(tx, row.scope, state, facts))
            if any(one.id == row.id for one in window):
                found = explain(row.event_id, facts, state, settlement)
                return found if "; ".join(found.became) == (row.reason or "") else None
            state = settlement.state
    except Untranslatable:
        return None
    return None


def _windows(rows: Iterable[InboxRow]) -> Iterable[Sequence[InboxRow]]:
    """The rows that were settled together."""
    for _, window in groupby(sorted(rows, key=_settled), key=_settled):
        yield sorted(window, key=lambda row: row.id)


def _settled(row: InboxRow) -> datetime:
    return row.settled_at or row.received_at


def _knowledge(tx: Connection, scope: str, state: State, facts: Sequence[Fact]) -> Knowledge:
    """What the catalogue knows today of what these facts rest on."""
    entries = recalled(tx, scope, wanted(state, facts))
    return Knowledge(entries={**entries, **recalled(tx, scope, coupons_behind(entries))})
