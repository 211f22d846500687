"""The streams: one customer of one ledger each, with the ledger state and the time when it is due to be settled.

A worker claims due streams under a lease. A stream that is updated while it is being settled stays due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Insert,
    Row,
    Text,
    Update,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from bridge.scope import StreamId
from bridge.store import subscriptions
from bridge.store.schema import DUE, PROVISIONAL, Instant, compress, decompress, inbox, states, streams
from bridge.store.schema import links as link_table
from bridge.store.statements import InsertInto, execute_many, insert_per_dialect, padded_chunks, per_dialect
from processors.values import Value


class LeaseLost(Exception):
    """A stream was meanwhile claimed by another worker, settled or merged: nothing of it may be written."""


class StreamUpdate(Value):
    """Webhooks were received for a stream, the first `at` that time, so it is to be looked at at `due_at`.

    `last_at`: when the last of them was received, if there were several.
    """

    stream_id: str
    scope: str
    has_customer: bool
    at: datetime
    due_at: datetime
    last_at: datetime | None = None


class StreamRow(Value):
    """A stream. `first_at`: when its window opened. `due_at` None: nothing waits. `settled_at` None: no state yet."""

    stream_id: str
    scope: str
    has_customer: bool
    first_at: datetime
    last_at: datetime
    due_at: datetime | None
    version: int
    leased_by: str | None
    leased_until: datetime | None
    settled_at: datetime | None
    reason: str | None


class Claim(Value):
    """A stream under lease. `version`: the number of its updates when it was claimed."""

    stream_id: str
    scope: str
    state: str | None
    version: int
    first_at: datetime
    has_customer: bool
    owner: str
    leased_until: datetime


class SettledStream(Value):
    """A claimed stream's new state. `due_at`: when it is to be settled again without an update, or None.

    `reason`: what it waits for until then.
    """

    claim: Claim
    state: str
    due_at: datetime | None = None
    reason: str | None = None


class StreamCounts(Value):
    """How many streams wait for their time, are due, and are being settled."""

    waiting: int
    due: int
    leased: int


# ---- Updates ---------------------------------------------------------------------------------------------------


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(streams)
    new = insert.excluded
    opens_window = or_(streams.c.due_at.is_(None), new.first_at < streams.c.first_at)
    return insert.on_conflict_do_update(
        index_elements=["stream_id"],
        set_={
            "has_customer": or_(streams.c.has_customer, new.has_customer),
            "first_at": case((opens_window, new.first_at), else_=streams.c.first_at),
            "last_at": case((new.last_at > streams.c.last_at, new.last_at), else_=streams.c.last_at),
            # Without a customer an arrival never puts off what waits already.
            "due_at": case(
                (or_(streams.c.has_customer, new.has_customer, streams.c.due_at.is_(None)), new.due_at),
                (streams.c.due_at < new.due_at, streams.c.due_at),
                else_=new.due_at,
            ),
            "version": streams.c.version + 1,
            "reason": None,
        },
    )


UPSERT = insert_per_dialect(_upsert)


def upsert(tx: Connection, updates: Iterable[StreamUpdate]) -> None:
    """Creates or updates streams. A window that is open keeps its beginning."""
    rows = [
        {
            "stream_id": one.stream_id,
            "scope": one.scope,
            "has_customer": one.has_customer,
            "first_at": one.at,
            "last_at": one.last_at or one.at,
            "due_at": one.due_at,
            "version": 1,
        }
        # Sorted, so that concurrent upserts lock rows in one order and cannot deadlock.
        for one in sorted(updates, key=lambda one: one.stream_id)
    ]
    execute_many(tx, UPSERT[tx.dialect.name], rows)


# ---- Links -----------------------------------------------------------------------------------------------------

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
UNLEASED = or_(streams.c.leased_until.is_(None), streams.c.leased_until <= bindparam("now"))
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
    """The streams that references of a ledger link to; unknown references are left out."""
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
    execute_many(tx, SAVE_STATE[tx.dialect.name], [{"stream_id": new_id, "state": compress(state.encode())}])
    _move(tx, old_id, new_id, since)


def _move(tx: Connection, old_id: str, new_id: str, since: datetime | None) -> None:
    provisional = StreamId.parse(new_id).is_provisional
    tx.execute(RELINK.values(stream_id=new_id, provisional=provisional), {"old": old_id})
    tx.execute(REASSIGN, {"old": old_id, "new": new_id, "since": since})


# ---- Settling --------------------------------------------------------------------------------------------------

FIND = per_dialect(lambda among: select(streams).where(among(streams.c.stream_id, "stream_ids")))
LOCK = per_dialect(
    lambda among: (
        select(streams)
        .where(among(streams.c.stream_id, "stream_ids"))
        .order_by(streams.c.stream_id)
        .with_for_update(skip_locked=True)
    )
)
# SKIP LOCKED: two workers that claim at once get different rows, and neither waits for the other's transaction. It
# protects the claim only; the lease written in the same transaction protects the settling, which takes longer.
ARE_DUE = (
    select(
        streams.c.stream_id,
        streams.c.scope,
        streams.c.version,
        streams.c.first_at,
        streams.c.has_customer,
        states.c.state,
    )
    .outerjoin(states, states.c.stream_id == streams.c.stream_id)
    .where(DUE, streams.c.due_at <= bindparam("due_by"), UNLEASED)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, of=streams)
)
NEXT = ARE_DUE.order_by(streams.c.due_at)
LATEST = ARE_DUE.order_by(streams.c.due_at.desc())
LATEST_SHARE = 4  # one in four of a backlog is claimed from the streams that became due last
LEASE = per_dialect(
    lambda among: (
        update(streams)
        .where(among(streams.c.stream_id, "stream_ids"))
        .values(leased_by=bindparam("owner"), leased_until=bindparam("until"))
    )
)
# The end of the lease is compared too: the same worker may have lost the stream and claimed it again since.
IS_CLAIMED = (
    streams.c.stream_id == bindparam("claimed"),
    streams.c.leased_by == bindparam("owner"),
    streams.c.leased_until == bindparam("until"),
)
IS_UNCHANGED = streams.c.version == bindparam("seen")
NO_LEASE: Mapping[str, None] = {"leased_by": None, "leased_until": None}
RELEASE_ALL = update(streams).where(DUE, streams.c.leased_by == bindparam("owner")).values(**NO_LEASE)
# A webhook that was routed while the stream was being settled is not in the new state: then the stream stays due, and
# the next window begins with that webhook.
SAVE = update(streams).where(*IS_CLAIMED).values(
    **NO_LEASE,
    due_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.due_at),
    first_at=case((IS_UNCHANGED, streams.c.first_at), else_=streams.c.last_at),
    settled_at=bindparam("now"),
    reason=case((IS_UNCHANGED, bindparam("why", type_=Text)), else_=None),
)  # fmt: skip
SAVE_STATE = insert_per_dialect(
    lambda insert_into: (new := insert_into(states)).on_conflict_do_update(
        index_elements=["stream_id"], set_={"state": new.excluded.state}
    )
)
POSTPONE = update(streams).where(*IS_CLAIMED).values(
    **NO_LEASE,
    # The next window begins with what arrives next. What has arrived meanwhile has its own time.
    first_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.first_at),
    due_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.due_at),
    reason=case((IS_UNCHANGED, bindparam("why", type_=Text)), else_=None),
)  # fmt: skip
RELEASE = update(streams).where(*IS_CLAIMED).values(**NO_LEASE)
ANY_DUE = select(streams.c.stream_id).where(DUE, streams.c.due_at <= bindparam("due_by"), UNLEASED).limit(1)


def find(tx: Connection, stream_ids: Iterable[str]) -> dict[str, StreamRow]:
    """The streams that exist, by id."""
    found: dict[str, StreamRow] = {}
    for chunk in padded_chunks(stream_ids):
        rows = tx.execute(FIND[tx.dialect.name], {"stream_ids": chunk})
        found |= {row.stream_id: StreamRow(**row._mapping) for row in rows}
    return found


def lock(tx: Connection, stream_ids: Iterable[str]) -> dict[str, StreamRow]:
    """The streams that exist, by id, locked until the transaction ends, without those that another one has locked.

    It waits for no other transaction, so it cannot deadlock (PostgreSQL; SQLite has a single writer).
    """
    found: dict[str, StreamRow] = {}
    for chunk in padded_chunks(sorted(stream_ids)):
        rows = tx.execute(LOCK[tx.dialect.name], {"stream_ids": chunk})
        found |= {row.stream_id: StreamRow(**row._mapping) for row in rows}
    return found


def is_any_due(tx: Connection, now: datetime, due_by: datetime | None = None) -> bool:
    """Whether there is anything to claim."""
    return tx.execute(ANY_DUE, {"now": now, "due_by": due_by or now}).first() is not None


def claim_due(
    tx: Connection, now: datetime, limit: int, owner: str, lease_until: datetime, due_by: datetime | None = None
) -> list[Claim]:
    """Claims the streams that have been due for longest, under a lease. An expired lease does not count. By id.

    In a backlog some of those that became due last are claimed too: a sale must not wait for an import, or for what
    an outage has left. `due_by`: only those that were due by then; without it, those that are due now.
    """
    rows: list[Row[*tuple[Any, ...]]] = []
    for statement, count in ((NEXT, limit - limit // LATEST_SHARE), (LATEST, limit // LATEST_SHARE)):
        found = tx.execute(statement, {"now": now, "due_by": due_by or now, "limit": count}).all() if count else []
        for chunk in padded_chunks(row.stream_id for row in found):
            tx.execute(LEASE[tx.dialect.name], {"stream_ids": chunk, "owner": owner, "until": lease_until})
        rows += found
        if len(found) < count:
            break
    claims = [
        Claim(
            stream_id=row.stream_id,
            scope=row.scope,
            state=_decode(row.state),
            version=row.version,
            first_at=row.first_at,
            has_customer=row.has_customer,
            owner=owner,
            leased_until=lease_until,
        )
        for row in rows
    ]
    return sorted(claims, key=lambda claim: claim.stream_id)


def save(tx: Connection, settled: Sequence[SettledStream], now: datetime) -> None:
    """Writes states and releases the streams. A stream is due again at its `due_at`, or when it was updated meanwhile.

    Raises `LeaseLost` when another worker has one of them by now: then the transaction must not be committed.
    """
    rows = [
        {**_key(one.claim), "seen": one.claim.version, "due": one.due_at, "why": one.reason, "now": now}
        for one in settled
    ]
    _update_claimed(tx, SAVE, rows)
    new_states = [{"stream_id": one.claim.stream_id, "state": compress(one.state.encode())} for one in settled]
    execute_many(tx, SAVE_STATE[tx.dialect.name], new_states)


def postpone(tx: Connection, claim: Claim, due_at: datetime, reason: str) -> None:
    """Releases the stream unsettled, due again at `due_at`, or when it was updated meanwhile. Raises `LeaseLost`."""
    _update_claimed(tx, POSTPONE, [{**_key(claim), "seen": claim.version, "due": due_at, "why": reason}])


def release(tx: Connection, claim: Claim) -> None:
    """Releases the stream unchanged, still due. Does nothing when the lease was lost."""
    tx.execute(RELEASE, _key(claim))


def release_all(tx: Connection, owner: str) -> int:
    """Releases all streams leased by a worker that has ended; returns how many."""
    return tx.execute(RELEASE_ALL, {"owner": owner}).rowcount


def _update_claimed(tx: Connection, statement: Update, rows: Sequence[Mapping[str, object]]) -> None:
    lost = len(rows) - execute_many(tx, statement, rows)
    if lost:
        raise LeaseLost(f"{lost} of {len(rows)} claimed streams were taken over by another worker")


def _key(claim: Claim) -> dict[str, object]:
    return {"claimed": claim.stream_id, "owner": claim.owner, "until": claim.leased_until}


# ---- Read ------------------------------------------------------------------------------------------------------

COUNTS = select(
    func.count().filter(streams.c.due_at > bindparam("now")),
    func.count().filter(streams.c.due_at <= bindparam("now"), UNLEASED),
    func.count().filter(streams.c.leased_until > bindparam("now")),
).where(DUE)
STATE = select(states.c.state).where(states.c.stream_id == bindparam("stream_id"))


def counts(tx: Connection, now: datetime) -> StreamCounts:
    """How many streams wait, are due, and are being settled; reads only streams with something to settle."""
    waiting, due, leased = tx.execute(COUNTS, {"now": now}).one()
    return StreamCounts(waiting=waiting, due=due, leased=leased)


def state_of(tx: Connection, stream_id: str) -> str | None:
    """The stream's last state, read only; None: it was never settled."""
    return _decode(tx.execute(STATE, {"stream_id": stream_id}).scalar())


def _decode(state: bytes | None) -> str | None:
    return None if state is None else decompress(state).decode()
