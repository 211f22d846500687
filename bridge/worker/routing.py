"""From the inbox to the streams: every fresh event is translated, what it teaches is kept, and its stream is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Connection

from bridge.ledger import knowledge
from bridge.ledger.routing import Arrived, Routes, routes
from bridge.settings import Settings, Source
from bridge.store import Store, catalog, inbox, leases, streams
from bridge.store.inbox import InboxRow
from bridge.worker.translating import Untranslatable, translation
from processors.base import Translation

log = structlog.get_logger()

BATCH = 400
ROUTER = "router"
LEASE = timedelta(seconds=30)
TRY_AGAIN = timedelta(hours=1)
LONGEST_WINDOW = 4  # quiet windows: a stream that never falls quiet is settled all the same
WAIT_FOR_MONEY = timedelta(days=30)  # how long what tells no money waits for a customer to be told of
REMEMBERED = "remembered for later: it tells of no customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A fresh row and what it says, or why it says nothing."""

    row: InboxRow
    said: Translation | None = None
    problem: str | None = None


def route(store: Store, settings: Settings, owner: str, now: datetime) -> int:
    """Routes one batch of fresh events; how many there were. One worker at a time does this, under a lease."""
    with store.reading() as tx:
        if not inbox.fresh(tx, 1, now):
            return 0
    if not _is_mine(store, owner, now):
        return 0
    with store.reading() as tx:
        rows = inbox.fresh(tx, BATCH, now)
    read = [_read(row, settings) for row in rows]  # before the transaction, so that nobody waits for it
    with store.transaction() as tx:
        if not leases.acquire(tx, ROUTER, owner, now, now + LEASE):
            return 0
        _refuse(tx, read, now)
        _learn(tx, read)
        for scope, own in groupby(sorted(read, key=lambda one: one.row.scope), key=lambda one: one.row.scope):
            _send_on(tx, scope, [one for one in own if one.said is not None and one.said.facts], settings, now)
    return len(rows)


def _is_mine(store: Store, owner: str, now: datetime) -> bool:
    with store.transaction() as tx:
        return leases.acquire(tx, ROUTER, owner, now, now + LEASE)


def _read(row: InboxRow, settings: Settings) -> Read:
    try:
        return Read(row=row, said=translation(row, settings))
    except Untranslatable as error:
        log.warning("not_translated", source=row.source, event_id=row.event_id, reason=str(error))
        return Read(row=row, problem=str(error))


def _refuse(tx: Connection, read: Sequence[Read], now: datetime) -> None:
    """Marks what failed, to be tried again, and what tells nothing, with its reason."""
    for one in read:
        if one.problem is not None:
            inbox.fail(tx, one.row.id, one.problem, now + TRY_AGAIN)
    ignored = [
        (one.row.id, one.said.reason or REMEMBERED) for one in read if one.said is not None and not one.said.facts
    ]
    inbox.ignore(tx, ignored, now)


def _learn(tx: Connection, read: Sequence[Read]) -> None:
    """Keeps what the events tell of prices, coupons and products, whoever the customer is."""
    entries: dict[str, dict[knowledge.Key, str]] = {}
    for one in read:
        for known in one.said.known if one.said is not None else ():
            key = knowledge.key_of(known)
            if key is not None:
                entries.setdefault(one.row.scope, {})[key] = knowledge.dump(known)
    for scope, told in entries.items():
        catalog.learn(tx, scope, [(kind, ident, text) for (kind, ident), text in told.items()])


def _send_on(tx: Connection, scope: str, read: Sequence[Read], settings: Settings, now: datetime) -> None:
    """Finds the stream of each event of one ledger, and says when it is to be settled.

    A stream in another worker's hands counts as settled: what it is made of must not be moved away meanwhile.
    """
    arrived = [Arrived(row_id=one.row.id, scope=scope, facts=one.said.facts) for one in read if one.said is not None]
    if not arrived:
        return
    refs = sorted({ref for event in arrived for ref in event.refs})
    links = streams.links(tx, scope, refs)
    known = streams.known(tx, sorted(set(links.values()))).values()
    settled = {row.stream_id for row in known if row.settled_at is not None or _is_leased(row, now)}
    found = routes(arrived, links, settled)
    for old, new in found.merged.items():
        if old in links.values():
            streams.merge(tx, old, new)
    streams.link(tx, scope, found.links)
    inbox.assign(tx, sorted(found.stream_of.items()))
    rows = {one.row.id: one.row for one in read}
    streams.touch(tx, _touches(tx, found, arrived, rows, settings))


def _is_leased(row: streams.StreamRow, now: datetime) -> bool:
    return row.leased_until is not None and row.leased_until > now


def _touches(
    tx: Connection, found: Routes, arrived: Sequence[Arrived], rows: Mapping[int, InboxRow], settings: Settings
) -> list[streams.Touch]:
    known = streams.known(tx, sorted(set(found.stream_of.values())))
    touches: dict[str, streams.Touch] = {}
    for event in arrived:
        row, stream_id = rows[event.row_id], found.stream_of[event.row_id]
        before, earlier = known.get(stream_id), touches.get(stream_id)
        anchored = (
            event.is_anchored or (before is not None and before.anchored) or (earlier is not None and earlier.anchored)
        )
        opened = min(
            [row.received_at]
            + ([before.first_at] if before is not None and before.due_at is not None and before.first_at else [])
            + ([earlier.at] if earlier is not None else [])
        )
        touches[stream_id] = streams.Touch(
            stream_id=stream_id,
            scope=event.scope,
            anchored=anchored,
            at=row.received_at,
            due_at=_due_at(event, anchored, opened, row.received_at, settings.sources[row.source]),
        )
    return list(touches.values())


def _due_at(event: Arrived, anchored: bool, opened: datetime, received_at: datetime, source: Source) -> datetime:
    """When the stream has been quiet for long enough, or cannot wait any longer for the customer to be named."""
    if not anchored:
        return opened + (timedelta(hours=source.hold_hours) if event.tells_money else WAIT_FOR_MONEY)
    quiet = timedelta(seconds=source.settle_seconds)
    return min(received_at + quiet, opened + LONGEST_WINDOW * quiet)
