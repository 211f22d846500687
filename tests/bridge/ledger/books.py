"""A ledger for tests: windows of facts in, everything that came out, in rows that a person can add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.ledger import EMPTY, Policy, RevenueEvent, Settlement, State, settle
from bridge.ledger.knowledge import NOTHING_KNOWN, Knowledge, key_of
from bridge.ledger.state import dump, load
from processors.facts import Fact, Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What several windows, settled one after the other, left behind and gave."""

    state: State = EMPTY
    events: tuple[RevenueEvent, ...] = ()
    released: tuple[RevenueEvent, ...] = ()
    last: Settlement = Settlement(state=EMPTY)  # noqa: RUF009  # frozen

    def after(self, facts: Sequence[Fact], policy: Policy, knowledge: Knowledge = NOTHING_KNOWN) -> Ledger:
        """The ledger after one more window; its state goes through the store, as it does in life."""
        made = settle(load(dump(self.state)), facts, policy, knowledge)
        return Ledger(
            state=made.state,
            events=(*self.events, *made.events),
            released=(*self.released, *made.released),
            last=made,
        )


def settled(*windows: Iterable[Fact], policy: Policy | None = None, knowledge: Knowledge = NOTHING_KNOWN) -> Ledger:
    """The ledger after these windows."""
    ledger = Ledger()
    for window in windows:
        ledger = ledger.after(list(window), policy or Policy(), knowledge)
    return ledger


def knowing(*entries: Known) -> Knowledge:
    """A catalogue of these entries."""
    return Knowledge(entries={key: entry for entry in entries if (key := key_of(entry)) is not None})


def rows(events: Iterable[RevenueEvent]) -> list[str]:
    """Each event as type, amount, and movement of MRR (`-`: none is stated): "upgrade 25.00 +50.00"."""
    return [f"{event.event_type} {event.amount} {_signed(event)}" for event in events]


def _signed(event: RevenueEvent) -> str:
    return "-" if event.mrr_impact is None else f"{event.mrr_impact:+}" if event.mrr_impact else "0"
