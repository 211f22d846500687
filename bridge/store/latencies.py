"""How long revenue events took from their first webhook to Pulsora, as a histogram of all time.

Counted from an index over two columns at each scrape and never cached: with caches of different ages in several web
processes the counters would seem to go back, which Prometheus takes for a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import BigInteger, Connection, func, select, type_coerce

from bridge.store.schema import DELIVERED, outbox
from processors.values import Value

MICROSECOND = timedelta(microseconds=1)
TOOK = type_coerce(outbox.c.delivered_at, BigInteger) - type_coerce(outbox.c.received_at, BigInteger)


class LatencyCounts(Value):
    """`count` events took `seconds` in sum; `within`: how many of them took at most each of the given times."""

    count: int
    seconds: float
    within: tuple[int, ...]


def counts(tx: Connection, bounds: Sequence[timedelta]) -> LatencyCounts:
    """The delivered events by the time that they took. Events that no webhook caused are left out."""
    within = [func.count().filter(bound // MICROSECOND >= TOOK) for bound in bounds]
    query = select(func.count(), func.coalesce(func.sum(TOOK), 0), *within)
    count, total, *found = tx.execute(query.where(DELIVERED, outbox.c.received_at.is_not(None))).one()
    return LatencyCounts(count=count, seconds=int(total) / 1e6, within=tuple(found))
