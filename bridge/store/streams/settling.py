"""Claims the streams to settle next, each under a lease, and saves their new states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, Update, bindparam, case, select, update

from bridge.store.schema import DUE, Instant, compress, states, streams
from bridge.store.statements import execute_many, insert_per_dialect, padded_chunks, per_dialect
from bridge.store.streams.reading import UNLEASED, decode
from bridge.store.streams.rows import Claim, LeaseLost, SettledStream

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
ANY_DUE = select(streams.c.stream_id).where(DUE, streams.c.due_at <= bindparam("due_by"), UNLEASED).limit(1)
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
SAVE_STATE = insert_per_dialect(
    lambda insert_into: (new := insert_into(states)).on_conflict_do_update(
        index_elements=["stream_id"], set_={"state": new.excluded.state}
    )
)
# A webhook that was routed while the stream was being settled is not in the new state: then the stream stays due, and
# the next window begins with that webhook.
SAVE = update(streams).where(*IS_CLAIMED).values(
    **NO_LEASE,
    due_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.due_at),
    first_at=case((IS_UNCHANGED, streams.c.first_at), else_=streams.c.last_at),
    settled_at=bindparam("now"),
    reason=case((IS_UNCHANGED, bindparam("why", type_=Text)), else_=None),
)  # fmt: skip
POSTPONE = update(streams).where(*IS_CLAIMED).values(
    **NO_LEASE,
    # The next window begins with what arrives next. What has arrived meanwhile has its own time.
    first_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.first_at),
    due_at=case((IS_UNCHANGED, bindparam("due", type_=Instant)), else_=streams.c.due_at),
    reason=case((IS_UNCHANGED, bindparam("why", type_=Text)), else_=None),
)  # fmt: skip
RELEASE = update(streams).where(*IS_CLAIMED).values(**NO_LEASE)


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
            state=decode(row.state),
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
    save_states(tx, {one.claim.stream_id: one.state for one in settled})


def save_states(tx: Connection, new_states: Mapping[str, str]) -> None:
    """Writes the states of streams, by stream id."""
    rows = [{"stream_id": stream_id, "state": compress(state.encode())} for stream_id, state in new_states.items()]
    execute_many(tx, SAVE_STATE[tx.dialect.name], rows)


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
