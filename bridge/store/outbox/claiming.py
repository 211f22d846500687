"""Claims the deliveries to send next, each under a lease."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from bridge.store.outbox.reading import from_row
from bridge.store.outbox.rows import IMPORTED, Delivery, DeliveryStatus
from bridge.store.schema import READY, outbox
from bridge.store.statements import literal, padded_chunks, per_dialect

# SKIP LOCKED: senders that claim at once get different rows and never wait for each other. The row lock ends with the
# transaction; while the request is on its way the lease (`ready_at` in the future) keeps others away, so that no lock
# is held over HTTP, and a killed sender's claims are sent again after it.
NEXT = (
    select(outbox)
    .where(READY, outbox.c.ready_at <= bindparam("now"))
    .where(outbox.c.priority <= bindparam("last_priority"))
    .where(outbox.c.source.not_in(bindparam("paused", expanding=True)))
    .order_by(outbox.c.priority, outbox.c.id)
    .limit(bindparam("limit"))
    .with_hint(outbox, "INDEXED BY ix_outbox_next", "sqlite")
    .with_for_update(skip_locked=True)
)
ANY_READY = select(outbox.c.id).where(READY, outbox.c.ready_at <= bindparam("now")).limit(1).with_hint(
    outbox, "INDEXED BY ix_outbox_next", "sqlite"
)  # fmt: skip
LEASE = per_dialect(
    lambda among: (
        update(outbox)
        .where(among(outbox.c.id, "ids"))
        .values(status=literal("pending"), leased_by=bindparam("owner"), ready_at=bindparam("until"))
    )
)
RELEASE_ALL = (
    update(outbox)
    .where(READY, outbox.c.leased_by == bindparam("owner"))
    .values(leased_by=None, ready_at=outbox.c.next_at)
)


def is_any_ready(tx: Connection, now: datetime) -> bool:
    """Whether there is anything to claim, pauses and limits aside."""
    return tx.execute(ANY_READY, {"now": now}).first() is not None


def claim(
    tx: Connection,
    now: datetime,
    limit: int,
    owner: str,
    lease_until: datetime,
    paused_sources: Iterable[str] = (),
    last_priority: int = IMPORTED,
) -> list[Delivery]:
    """Claims the next deliveries under a lease: heads of their streams that are ready, by priority, then by age.

    A held one whose hold is over becomes pending, and its body is final from here on.
    """
    query = {"now": now, "limit": limit, "paused": list(paused_sources), "last_priority": last_priority}
    rows = tx.execute(NEXT, query).all()
    for chunk in padded_chunks(row.id for row in rows):
        tx.execute(LEASE[tx.dialect.name], {"ids": chunk, "owner": owner, "until": lease_until})
    return [from_row(row, DeliveryStatus.PENDING) for row in rows]


def release_all(tx: Connection, owner: str) -> int:
    """Releases the claims of a worker that has ended, to be sent again at once; returns how many."""
    return tx.execute(RELEASE_ALL, {"owner": owner}).rowcount
