"""The streams: one customer of one ledger, the state that was folded so far, and when it is due to be settled again.

A worker claims what is due under a lease. What is touched while it is being settled stays due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Update, bindparam, case, delete, func, or_, select, update

from bridge.store.statements import Insert, InsertInto, chunks, each, either, run_each
from bridge.store.schema import DUE, PROVISIONAL, Instant, inbox, packed, states, streams, unpacked
from bridge.store.schema import links as link_table


class LeaseLost(Exception):
    """A claimed stream was meanwhile claimed by another worker, or merged away: nothing of it may be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUpdate:
    """Something arrived for a stream at `at`, so it is to be settled at `due_at`. `has_customer`: its customer is known."""

    stream_id: str
    scope: str
    has_customer: bool
    at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """A stream. `first_at`: when its window opened. `due_at` None: nothing waits. `settled_at` None: no state."""

    stream_id: str
    scope: str
    has_customer: bool
    first_at: datetime
    last_at: datetime
    due_at: datetime | None
    touched: int
    leased_by: str | None
    leased_until: datetime | None
    settled_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stream under lease. `touched`: its count of touches when it was claimed."""

    stream_id: str
    scope: str
    state: str | None
    touched: int
    first_at: datetime
    has_customer: bool
    owner: str
    leased_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledStream:
    """A claimed stream's new state. `due_at`: when it is to be settled again though nothing arrives, or None."""

    claim: Claim
    state: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCounts:
    """How many streams wait for their time, are due, and are in somebody's hands."""

    waiting: int
    due: int
    leased: int


# ---- Touching --------------------------------------------------------------------------------------------------


def _touch(insert_into: InsertInto) -> Insert:
    wanted = insert_into(streams)
    new = wanted.excluded
    is_new = or_(streams.c.due_at.is_(None), new.first_at < streams.c.first_at)
    return wanted.on_conflict_do_update(
        index_elements=["stream_id"],
        set_={
            "has_customer": or_(streams.c.has_customer, new.has_customer),
            "first_at": case((is_new, new.first_at), else_=streams.c.first_at),
            "last_at": case((new.last_at > streams.c.last_at, new.last_at), else_=streams.c.last_at),
            "due_at": new.due_at,
            "touched": streams.c.touched + 1,
            "reason": None,
        },
    )


TOUCH = each(_touch)


def touch(tx: Connection, touches: Iterable[StreamUpdate]) -> None:
    """Notes what arrived. A window that is open keeps its beginning; a stream that was never seen begins here."""
    rows = [
        {
            "stream_id": one.stream_id,
            "scope": one.scope,
            "has_customer": one.has_customer,
            "first_at": one.at,
            "last_at": one.at,
            "due_at": one.due_at,
            "touched": 1,
        }
        for one in sorted(touches, key=lambda one: one.stream_id)  # all lock in one order, so nobody waits in a ring
    ]
    run_each(tx, TOUCH[tx.dialect.name], rows)


# ---- Links -----------------------------------------------------------------------------------------------------

LINKS = either(
    lambda among: select(link_table.c.ref, link_table.c.stream_id).where(
        link_table.c.scope == bindparam("scope"), among(link_table.c.ref, "refs")
    )
)
LINK = each(
    lambda insert_into: (wanted := insert_into(link_table)).on_conflict_do_update(
        index_elements=["scope", "ref"],
        set_={"stream_id": wanted.excluded.stream_id, "provisional": wanted.excluded.provisional},
    )
)
LEAD_ON = update(link_table).where(link_table.c.stream_id == bindparam("old"), PROVISIONAL)
MOVE = update(inbox).where(inbox.c.stream_id == bindparam("old")).values(stream_id=bindparam("new"))
FORGET = delete(streams).where(streams.c.stream_id == bindparam("old"))


def links(tx: Connection, scope: str, refs: Iterable[str]) -> dict[str, str]:
    """The streams that ids of a ledger lead to; ids that lead nowhere are left out."""
    found: dict[str, str] = {}
    for chunk in chunks(refs):
        found |= {row.ref: row.stream_id for row in tx.execute(LINKS[tx.dialect.name], {"scope": scope, "refs": chunk})}
    return found


def link(tx: Connection, scope: str, leads: Mapping[str, str]) -> None:
    """Lets ids lead to streams, also those that led elsewhere before."""
    rows = [
        {"scope": scope, "ref": ref, "stream_id": stream_id, "provisional": is_provisional(scope, stream_id)}
        for ref, stream_id in sorted(leads.items())
    ]
    run_each(tx, LINK[tx.dialect.name], rows)


def merge(tx: Connection, old_id: str, new_id: str) -> None:
    """Moves the rows and ids of a stream without customer and state to another stream; the old one is gone."""
    scope = old_id.partition("|~")[0]
    tx.execute(LEAD_ON.values(stream_id=new_id, provisional=is_provisional(scope, new_id)), {"old": old_id})
    tx.execute(MOVE, {"old": old_id, "new": new_id})
    tx.execute(FORGET, {"old": old_id})


def is_provisional(scope: str, stream_id: str) -> bool:
    """Whether a stream stands for nobody yet: it is named after an id that is not a customer's."""
    return stream_id.startswith(f"{scope}|~")


# ---- Settling --------------------------------------------------------------------------------------------------

KNOWN = either(lambda among: select(streams).where(among(streams.c.stream_id, "stream_ids")))
FREE = or_(streams.c.leased_until.is_(None), streams.c.leased_until <= bindparam("now"))
NEXT = (
    select(streams, states.c.state)
    .outerjoin(states, states.c.stream_id == streams.c.stream_id)
    .where(DUE, streams.c.due_at <= bindparam("due_by"), FREE)
    .order_by(streams.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, of=streams)
)
LEASE = either(
    lambda among: (
        update(streams)
        .where(among(streams.c.stream_id, "stream_ids"))
        .values(leased_by=bindparam("owner"), leased_until=bindparam("until"))
    )
)
OURS = (
    streams.c.stream_id == bindparam("claimed"),
    streams.c.leased_by == bindparam("owner"),
    streams.c.leased_until == bindparam("until"),
)
UNTOUCHED = streams.c.touched == bindparam("seen")
FREED: Mapping[str, None] = {"leased_by": None, "leased_until": None}
RELEASE_ALL = update(streams).where(DUE, streams.c.leased_by == bindparam("owner")).values(**FREED)
SAVE = update(streams).where(*OURS).values(
    **FREED,
    due_at=case((UNTOUCHED, bindparam("due", type_=Instant)), else_=streams.c.due_at),
    first_at=case((UNTOUCHED, streams.c.first_at), else_=streams.c.last_at),
    settled_at=bindparam("now"),
    reason=None,
)  # fmt: skip
KEEP = each(
    lambda insert_into: (wanted := insert_into(states)).on_conflict_do_update(
        index_elements=["stream_id"], set_={"state": wanted.excluded.state}
    )
)
POSTPONE = update(streams).where(*OURS).values(**FREED, due_at=bindparam("due"), reason=bindparam("why"))
RELEASE = update(streams).where(*OURS).values(**FREED)
ANY_DUE = select(streams.c.stream_id).where(DUE, streams.c.due_at <= bindparam("due_by"), FREE).limit(1)


def known(tx: Connection, stream_ids: Iterable[str]) -> dict[str, StreamRow]:
    """Those of the streams that exist."""
    found: dict[str, StreamRow] = {}
    for chunk in chunks(stream_ids):
        found |= {row.stream_id: _row(row) for row in tx.execute(KNOWN[tx.dialect.name], {"stream_ids": chunk})}
    return found


def is_any_due(tx: Connection, now: datetime, due_by: datetime | None = None) -> bool:
    """Whether there is anything to claim."""
    return tx.execute(ANY_DUE, {"now": now, "due_by": due_by or now}).first() is not None


def claim_due(
    tx: Connection, now: datetime, limit: int, owner: str, lease_until: datetime, due_by: datetime | None = None
) -> list[Claim]:
    """The streams that have waited longest, now under lease. A lease that ran out is no lease. By id.

    `due_by`: only those that were due by then; without it, those that are due now.
    """
    rows = tx.execute(NEXT, {"now": now, "due_by": due_by or now, "limit": limit}).all()
    for chunk in chunks(row.stream_id for row in rows):
        tx.execute(LEASE[tx.dialect.name], {"stream_ids": chunk, "owner": owner, "until": lease_until})
    claims = [
        Claim(
            stream_id=row.stream_id,
            scope=row.scope,
            state=_text(row.state),
            touched=row.touched,
            first_at=row.first_at,
            has_customer=row.has_customer,
            owner=owner,
            leased_until=lease_until,
        )
        for row in rows
    ]
    return sorted(claims, key=lambda claim: claim.stream_id)


def save(tx: Connection, claim: Claim, state: str, now: datetime, due_at: datetime | None = None) -> None:
    """Writes the state and gives the stream back. It is due again only at `due_at`, or when it was touched meanwhile.

    Raises `LeaseLost` when another has it by now: then the whole transaction must not be committed.
    """
    save_all(tx, [SettledStream(claim=claim, state=state, due_at=due_at)], now)


def save_all(tx: Connection, saved: Sequence[SettledStream], now: datetime) -> None:
    """The same for many streams, in a third of the time."""
    rows = [{**_identity(one.claim), "seen": one.claim.touched, "due": one.due_at, "now": now} for one in saved]
    _ours(tx, SAVE, rows)
    states = [{"stream_id": one.claim.stream_id, "state": packed(one.state.encode())} for one in saved]
    run_each(tx, KEEP[tx.dialect.name], states)


def postpone(tx: Connection, claim: Claim, due_at: datetime, reason: str) -> None:
    """Gives the stream back unsettled, to be looked at again at `due_at`. Raises `LeaseLost`."""
    _ours(tx, POSTPONE, [{**_identity(claim), "due": due_at, "why": reason}])


def release(tx: Connection, claim: Claim) -> None:
    """Gives the stream back as it was: still due. A lease that was lost is no matter."""
    tx.execute(RELEASE, _identity(claim))


def release_all(tx: Connection, owner: str) -> int:
    """Gives back what a worker that has ended had under lease; how many streams."""
    return tx.execute(RELEASE_ALL, {"owner": owner}).rowcount


# ---- Looking ---------------------------------------------------------------------------------------------------

COUNTS = select(
    func.count().filter(streams.c.due_at > bindparam("now")),
    func.count().filter(streams.c.due_at <= bindparam("now"), FREE),
    func.count().filter(streams.c.leased_until > bindparam("now")),
).where(DUE)


def counts(tx: Connection, now: datetime) -> StreamCounts:
    """How many streams wait, are due, and are being settled; those with nothing to settle are not looked at."""
    waiting, due, leased = tx.execute(COUNTS, {"now": now}).one()
    return StreamCounts(waiting=waiting, due=due, leased=leased)


STATE = select(states.c.state).where(states.c.stream_id == bindparam("stream_id"))


def state_of(tx: Connection, stream_id: str) -> str | None:
    """The state that a stream was last settled to, for looking at; None: it was never settled."""
    return _text(tx.execute(STATE, {"stream_id": stream_id}).scalar())


def _ours(tx: Connection, statement: Update, rows: Sequence[Mapping[str, object]]) -> None:
    """Changes streams that are still ours, all of them."""
    lost = len(rows) - run_each(tx, statement, rows)
    if lost:
        raise LeaseLost(f"{lost} of {len(rows)} claimed streams are another worker's by now")


def _identity(claim: Claim) -> dict[str, object]:
    return {"claimed": claim.stream_id, "owner": claim.owner, "until": claim.leased_until}


def _row(row: Row[*tuple[object, ...]]) -> StreamRow:
    return StreamRow(
        stream_id=row.stream_id,
        scope=row.scope,
        has_customer=row.has_customer,
        first_at=row.first_at,
        last_at=row.last_at,
        due_at=row.due_at,
        touched=row.touched,
        leased_by=row.leased_by,
        leased_until=row.leased_until,
        settled_at=row.settled_at,
        reason=row.reason,
    )


def _text(state: bytes | None) -> str | None:
    return None if state is None else unpacked(state).decode()
