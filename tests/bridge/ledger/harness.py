"""A ledger for tests: settles windows of facts one after the other, and shows the events as short rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.ledger import EMPTY, Policy, RevenueEvent, Settlement, State, settle
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog, key_of
from bridge.ledger.state import dump, load
from processors.facts import CatalogEntry, Fact
from processors.money import round_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The state and all events after several settlements."""

    state: State = EMPTY
    events: tuple[RevenueEvent, ...] = ()
    released: tuple[RevenueEvent, ...] = ()
    last: Settlement = Settlement(state=EMPTY)  # noqa: RUF009  # frozen

    def after(self, facts: Sequence[Fact], policy: Policy, catalog: Catalog = EMPTY_CATALOG) -> Ledger:
        """The ledger after one more window. The state is stored and loaded in between, as in production."""
        made = settle(load(dump(self.state)), facts, policy, catalog)
        return Ledger(
            state=made.state,
            events=(*self.events, *made.events),
            released=(*self.released, *made.released),
            last=made,
        )


def settled(*windows: Iterable[Fact], policy: Policy | None = None, catalog: Catalog = EMPTY_CATALOG) -> Ledger:
    """The ledger after these windows."""
    ledger = Ledger()
    for window in windows:
        ledger = ledger.after(list(window), policy or Policy(), catalog)
    return ledger


def catalog_of(*entries: CatalogEntry) -> Catalog:
    """A catalog of these entries."""
    return Catalog(entries={key: entry for entry in entries if (key := key_of(entry)) is not None})


def rows(events: Iterable[RevenueEvent]) -> list[str]:
    """Each event as type, amount, and movement of MRR (`-`: none is stated): "upgrade 25.00 +50.00"."""
    return [f"{event.event_type} {event.amount} {_signed(event)}" for event in events]


def _signed(event: RevenueEvent) -> str:
    return "-" if event.mrr_impact is None else f"{event.mrr_impact:+}" if event.mrr_impact else "0"


def balance(ledger: Ledger, subscription_id: str = "sub_1") -> tuple[int, int]:
    """The reported MRR including the baseline, and the true MRR, both in minor units."""
    known = ledger.state.subscriptions[subscription_id]
    reported = sum(
        int((event.mrr_impact or 0) * 100) for event in ledger.events if event.subscription_id == subscription_id
    )
    return known.baseline + reported, round_minor(known.mrr)
