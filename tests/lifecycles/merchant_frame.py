"""The frame of the random merchants: webhooks in transit, the comparison with the reference, and the campaign."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

from bridge.ledger import RevenueEvent
from bridge.ledger.events import EventType
from tests.lifecycles.harness import Ledger, TranslatedWebhook, imbalances, shuffled
from tests.lifecycles.reference_ledger import ReferenceLedger

IS_CAMPAIGN = "MERCHANT_STEPS" in os.environ
START = datetime(2026, 1, 15, tzinfo=UTC)
MOVES = frozenset({EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN})

some = st.integers(min_value=0, max_value=10**6)  # an index, taken modulo the number of candidates


class CountedMachine(RuleBasedStateMachine):
    """A random merchant whose steps are counted."""

    all_steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    @invariant()
    def counts(self) -> None:
        self.steps += 1
        type(self).all_steps += 1


def run(machine: type[CountedMachine], *, steps: int, length: int) -> None:
    """Runs so many steps, in examples of at most this length: the same ones each time unless it is a campaign."""
    wanted = int(os.environ.get("MERCHANT_STEPS", steps))
    machine.all_steps = 0
    campaign = settings(
        max_examples=1 + wanted * (4 if IS_CAMPAIGN else 3) // (length * 2),  # some examples are shorter
        stateful_step_count=length,
        derandomize=not IS_CAMPAIGN,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=campaign)
    print(f"{machine.__name__}: {machine.all_steps} steps")  # shown with -s
    assert machine.all_steps >= wanted


@dataclass(kw_only=True)
class Delivery:
    """One customer's webhooks, sent and arrived, and the ledger that they lead to."""

    ledger: Ledger
    in_transit: list[TranslatedWebhook] = field(default_factory=list)  # sent, not arrived
    arrived: list[TranslatedWebhook] = field(default_factory=list)
    sent: int = 0

    def receives(self, share: float, chance: random.Random) -> None:
        """A share of the webhooks in transit arrives, shuffled, with duplicates of these and of earlier ones."""
        fresh: list[TranslatedWebhook] = []
        later: list[TranslatedWebhook] = []
        for one in self.in_transit:
            (fresh if share == 1 or chance.random() < share else later).append(one)
        if not fresh:
            return
        copies = chance.sample(self.arrived, min(len(self.arrived), 2))
        self.in_transit, self.arrived = later, [*self.arrived, *fresh]
        self.ledger = self.ledger.after(shuffled([*fresh, *copies], chance))
        assert imbalances(self.ledger) == []


def agree(events: Iterable[RevenueEvent], reference: ReferenceLedger, *, in_order: bool) -> None:
    """Compares the ledger with the reference: totals to the minor unit and, in order, the number of each movement."""
    events = list(events)
    types = types_of(events)
    assert sum(event.amount for event in events) * 100 == reference.money
    assert _mrr_by_subscription(events) == {
        name: sold.mrr for name, sold in reference.subscriptions.items() if sold.mrr
    }
    assert types[EventType.SUBSCRIPTION] - types[EventType.CHURN] == sum(
        sold.mrr > 0 for sold in reference.subscriptions.values()
    )
    if in_order:
        assert {kind.value: types[kind] for kind in MOVES if types[kind]} == reference.moves


def types_of(events: Iterable[RevenueEvent]) -> Counter[EventType]:
    """The number of events of each type."""
    return Counter(event.event_type for event in events)


def _mrr_by_subscription(events: Iterable[RevenueEvent]) -> Mapping[str, Decimal]:
    """The movements in minor units, by the last part of the subscription's id."""
    found: dict[str, Decimal] = {}
    for event in events:
        if event.subscription_id is not None:
            name = event.subscription_id.rpartition("_")[2]
            found[name] = found.get(name, Decimal(0)) + (event.mrr_impact or 0)
    return {name: mrr * 100 for name, mrr in found.items() if mrr}
