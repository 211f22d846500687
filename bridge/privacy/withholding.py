"""Webhooks of erased customers that arrive later: their data is replaced before anything is made of it.

A repetition is deleted. A new webhook, such as a late refund, keeps its facts under pseudonyms, so that revenue and MRR
stay right; its body is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bridge.internal_events import erased
from bridge.ledger.pseudonyms import Pseudonyms
from bridge.privacy.erasing import Translate, erase_stream, rewritten
from bridge.privacy.payload_ids import ids_in
from bridge.scope import StreamId
from bridge.store import Store, erasures, inbox, streams
from bridge.store.inbox import InboxRow


@dataclass(slots=True)
class _Withheld:
    """The rows of one batch that belong to erased customers."""

    repeated: list[int] = field(default_factory=list)
    new: list[InboxRow] = field(default_factory=list)


def erased_events(store: Store, source: str, event_ids: Iterable[str]) -> set[str]:
    """Those of a source's event ids whose webhook was erased: fetched again, they are not stored."""
    with store.reading() as tx:
        known = erasures.pseudonyms(tx)
        return set() if known is None else erasures.erased_events(tx, source, known, event_ids)


def erased_ids(store: Store, scope: str, ids: Iterable[str]) -> set[str]:
    """Those of the ids that the ledger knows of an erased customer."""
    with store.reading() as tx:
        known = erasures.pseudonyms(tx)
        return set() if known is None else erasures.erased_ids(tx, scope, known, ids)


def withhold(store: Store, rows: Sequence[InboxRow], translate: Translate) -> list[InboxRow]:
    """The rows as they are to be routed: those of erased customers with pseudonyms, and without the repeated ones."""
    with store.reading() as tx:
        known = erasures.pseudonyms(tx)
        found = None if known is None else _find(tx, rows, known, translate)
    if known is None or found is None or not (found.repeated or found.new):
        return list(rows)
    with store.transaction() as tx:
        erasures.overwrite_deleted(tx)
        erasures.delete_webhooks(tx, found.repeated)
        for row in found.new:
            _withhold(tx, row, known, translate)
        changed = {row.id: row for row in inbox.by_ids(tx, [row.id for row in found.new])}
    store.compact(whole=False)
    kept = [changed.get(row.id, row) for row in rows if row.id not in set(found.repeated)]
    return [row for row in kept if row.body is not None or row.id not in changed]


def _find(tx: Connection, rows: Sequence[InboxRow], known: Pseudonyms, translate: Translate) -> _Withheld:
    found = _Withheld()
    plain = [row for row in rows if row.body is not None and not row.body.startswith(erased.MARK)]
    for source in {row.source for row in plain}:
        of_source = [row for row in plain if row.source == source]
        repeated = erasures.erased_events(tx, source, known, [row.event_id for row in of_source])
        found.repeated += [row.id for row in of_source if row.event_id in repeated]
    gone = set(found.repeated)
    for scope in {row.scope for row in plain}:
        of_scope = [row for row in plain if row.scope == scope and row.id not in gone]
        ids = {row.id: ids_in(row.body or b"") for row in of_scope}
        ours = erasures.erased_ids(tx, scope, known, {one for named in ids.values() for one in named})
        if ours:
            joined = _joined(ours, [_refs(row, translate) for row in of_scope])
            found.new += [row for row in of_scope if not ids[row.id].isdisjoint(joined)]
    return found


def _refs(row: InboxRow, translate: Translate) -> set[str]:
    """The ids in a webhook's facts: unlike those of prices and coupons, they belong to one customer."""
    try:
        facts = translate(row).facts
    except Exception:  # it is not translated later either
        return set()
    return {one for fact in facts for one in (*fact.ids.refs(), fact.ids.customer_id) if one}


def _joined(ours: set[str], groups: Sequence[set[str]]) -> set[str]:
    """The ids that webhooks of the same batch join with ids of erased customers, directly or through others."""
    joined, size = set(ours), 0
    while size != len(joined):
        size = len(joined)
        for refs in groups:
            if not refs.isdisjoint(joined):
                joined |= refs
    return joined


def _withhold(tx: Connection, row: InboxRow, known: Pseudonyms, translate: Translate) -> None:
    """Erases one webhook, and the streams without a customer that its ids lead to: they are the customer's too."""
    for stream_id in set(streams.links(tx, row.scope, ids_in(row.body or b"")).values()):
        if StreamId.parse(stream_id).is_provisional:
            erase_stream(tx, stream_id, known, translate)
    erasures.erase_webhook(tx, row, known, rewritten(row, known, translate))
