"""One life of a Stripe customer as the table writes it: what happened, how Stripe tells it, what must come of it.

A row reads: type, amount, movement of MRR (`-`: none is stated), currency unless USD, plan, interval, seats beyond one,
coupon, what it was before, why, and what is special. Amounts are in major units, computed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.ledger import Policy
from processors.facts import CatalogEntry
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_customer import Telling

DEFAULT = Policy()
START = datetime(2026, 1, 1, tzinfo=UTC)
OLD_AND_NOW = (Shape.OLD, Shape.CLOVER)
SINCE_BASIL = (Shape.BASIL, Shape.CLOVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life. `rows`: the events when all webhooks are settled in one window; `live`: as they come, where it differs.

    `told_by_api`: what a read key adds.
    """

    what: str
    tell: Callable[[Telling], Telling]
    rows: tuple[str, ...]
    live: tuple[str, ...]
    policy: Policy
    shapes: tuple[Shape, ...]
    currency: str
    told_by_api: tuple[CatalogEntry, ...]

    def webhooks(self, shape: Shape) -> tuple[bytes, ...]:
        """The life as Stripe tells it in this shape."""
        return self.tell(Telling.begin("ada", START, shape, currency=self.currency)).webhooks


def life(
    what: str,
    tell: Callable[[Telling], Telling],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    shapes: tuple[Shape, ...] = OLD_AND_NOW,
    currency: str = "usd",
    told_by_api: tuple[CatalogEntry, ...] = (),
) -> Life:
    """An entry of the table."""
    return Life(
        what=what,
        tell=tell,
        rows=_rows(expected),
        live=_rows(expected if live is None else live),
        policy=policy,
        shapes=shapes,
        currency=currency,
        told_by_api=told_by_api,
    )


def _rows(written: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(row.split()) for row in written)
