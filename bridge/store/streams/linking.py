"""The links from references to streams, and the streams that become part of another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, select, update

from bridge.scope import StreamId
from bridge.store import subscriptions
from bridge.store.schema import PROVISIONAL, Instant, inbox, states, streams
from bridge.store.schema import links as link_table
from bridge.store.statements import execute_many, insert_per_dialect, padded_chunks, per_dialect
from bridge.store.streams.reading import UNLEASED
from bridge.store.streams.rows import LeaseLost
from bridge.store.streams.settling import save_states

LINKS = per_dialect(
    lambda among: select(link_table.c.ref, link_table.c.stream_id).where(
        link_table.c.scope == bindparam("scope"), among(link_table.c.ref, "refs")
    )
)
LINK = insert_per_dialect(
    lambda insert_into: (new := insert_into(link_table)).on_conflict_do_update(
        index_elements=["scope", "ref"],
        set_={"stream_id": new.excluded.stream_id, "provisional": new.excluded.provisional},
    )
)
RELINK = update(link_table).where(link_table.c.stream_id == bindparam("old"), PROVISIONAL)
SINCE: BindParameter[datetime | None] = bindparam("since", type_=Instant)
REASSIGN = (
    update(inbox)
    .where(inbox.c.stream_id == bindparam("old"))
    .values(stream_id=bindparam("new"), waiting_since=func.coalesce(SINCE, inbox.c.waiting_since))
)
# One statement checks and deletes: what another worker has begun to settle is not merged away under its hands.
DELETE_UNSETTLED = delete(streams).where(
    streams.c.stream_id == bindparam("old"), streams.c.settled_at.is_(None), UNLEASED
)
DELETE_SETTLED = delete(streams).where(streams.c.stream_id == bindparam("old"), UNLEASED)
UNITE = (
    update(streams)
    .where(streams.c.stream_id == bindparam("new_id"), UNLEASED)
    .values(settled_at=func.coalesce(streams.c.settled_at, bindparam("now")), version=streams.c.version + 1)
)
DELETE_STATE = delete(states).where(states.c.stream_id == bindparam("old"))


def links(tx: Connection, scope: str, refs: Iterable[str]) -> dict[str, str]:
    """The stream that each reference of a ledger links to, by reference; unknown references are left out."""
    found: dict[str, str] = {}
    for chunk in padded_chunks(refs):
        found |= {row.ref: row.stream_id for row in tx.execute(LINKS[tx.dialect.name], {"scope": scope, "refs": chunk})}
    return found


def link(tx: Connection, scope: str, targets: Mapping[str, str]) -> None:
    """Links references to streams, replacing earlier links."""
    rows = [
        {"scope": scope, "ref": ref, "stream_id": stream_id, "provisional": StreamId.parse(stream_id).is_provisional}
        for ref, stream_id in sorted(targets.items())
    ]
    execute_many(tx, LINK[tx.dialect.name], rows)


def merge(tx: Connection, old_id: str, new_id: str, now: datetime, since: datetime | None = None) -> None:
    """Moves the webhooks and links of a provisional stream without state to another stream, and deletes it.

    `since`: when the webhooks joined the stream of their customer; None: they still wait for it. Raises `LeaseLost`
    when the stream is settled or being settled.
    """
    if not tx.execute(DELETE_UNSETTLED, {"old": old_id, "now": now}).rowcount:
        raise LeaseLost(f"{old_id} is settled or being settled: it cannot be merged")
    _move(tx, old_id, new_id, since)


def adopt(tx: Connection, old_id: str, new_id: str, state: str, now: datetime, since: datetime | None = None) -> None:
    """As `merge`, for a stream with a state: `state` is that of both streams, which becomes that of the other one.

    Raises `LeaseLost` when one of them is being settled.
    """
    if not tx.execute(DELETE_SETTLED, {"old": old_id, "now": now}).rowcount:
        raise LeaseLost(f"{old_id} is being settled: it cannot be adopted")
    if not tx.execute(UNITE, {"new_id": new_id, "now": now}).rowcount:
        raise LeaseLost(f"{new_id} is being settled: it cannot adopt another stream")
    tx.execute(DELETE_STATE, {"old": old_id})
    subscriptions.move(tx, old_id, new_id)
    save_states(tx, {new_id: state})
    _move(tx, old_id, new_id, since)


def _move(tx: Connection, old_id: str, new_id: str, since: datetime | None) -> None:
    provisional = StreamId.parse(new_id).is_provisional
    tx.execute(RELINK.values(stream_id=new_id, provisional=provisional), {"old": old_id})
    tx.execute(REASSIGN, {"old": old_id, "new": new_id, "since": since})
