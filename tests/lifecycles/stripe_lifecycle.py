"""One Stripe customer's lifecycle as a table entry: the webhooks and the expected revenue events.

A row reads: type, amount, MRR movement (`-`: none), currency unless USD, plan, interval, seats if more than one,
coupon, previous plan, reason, flags. Amounts are in major units, computed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.ledger import Policy
from processors.facts import CatalogEntry
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_customer import ExtendedCustomer

DEFAULT = Policy()
START = datetime(2026, 1, 1, tzinfo=UTC)
OLD_AND_NOW = (Shape.OLD, Shape.CLOVER)
SINCE_BASIL = (Shape.BASIL, Shape.CLOVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """One entry. `rows`: the events when all webhooks settle in one window; `live`: when each settles as it arrives.

    `api_catalog`: the entries that an API key adds.
    """

    title: str
    build: Callable[[ExtendedCustomer], ExtendedCustomer]
    rows: tuple[str, ...]
    live: tuple[str, ...]
    policy: Policy
    shapes: tuple[Shape, ...]
    currency: str
    api_catalog: tuple[CatalogEntry, ...]

    def webhooks(self, shape: Shape) -> tuple[bytes, ...]:
        """The webhooks in the shape of one API version."""
        return self.build(ExtendedCustomer.begin("ada", START, shape, currency=self.currency)).webhooks


def lifecycle(
    title: str,
    build: Callable[[ExtendedCustomer], ExtendedCustomer],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    shapes: tuple[Shape, ...] = OLD_AND_NOW,
    currency: str = "usd",
    api_catalog: tuple[CatalogEntry, ...] = (),
) -> Lifecycle:
    """Makes a table entry."""
    return Lifecycle(
        title=title,
        build=build,
        rows=_rows(expected),
        live=_rows(expected if live is None else live),
        policy=policy,
        shapes=shapes,
        currency=currency,
        api_catalog=api_catalog,
    )


def _rows(written: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(row.split()) for row in written)
