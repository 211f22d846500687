"""The tables of Paddle lifecycles: the same revenue events in every order, the same sums in any windows."""

from __future__ import annotations

import random
from functools import cache

import pytest

from bridge.ledger.policy import AmountBasis
from processors.interface import Processor
from processors.paddle import processor as billing
from processors.paddle_classic import processor as classic
from tests.lifecycles import harness
from tests.lifecycles.harness import (
    Ledger,
    TranslatedWebhook,
    imbalances,
    moved,
    orders,
    paid,
    rows,
    split_into_windows,
    windows_in_real_time,
)
from tests.lifecycles.paddle_classic_lifecycles import CLASSIC_LIFECYCLES
from tests.lifecycles.paddle_lifecycle import Lifecycle, translated
from tests.lifecycles.paddle_lifecycles import LIFECYCLES

CUTS = harness.ORDERS if harness.ALL_ORDERS else 5  # windows cut at random, of each lifecycle
BOTH = ((billing, LIFECYCLES), (classic, CLASSIC_LIFECYCLES))
CASES = [
    pytest.param(lifecycle, processor, id=f"{processor.name}: {lifecycle.title}")
    for processor, lifecycles in BOTH
    for lifecycle in lifecycles
]


@cache
def webhooks_of(title: str, name: str) -> tuple[TranslatedWebhook, ...]:
    ((lifecycle, processor),) = (
        (lifecycle, processor)
        for processor, lifecycles in BOTH
        for lifecycle in lifecycles
        if (lifecycle.title, processor.name) == (title, name)
    )
    return translated(lifecycle, processor)


@pytest.mark.parametrize(("lifecycle", "processor"), CASES)
def test_in_every_order_a_lifecycle_yields_the_same_events(lifecycle: Lifecycle, processor: Processor) -> None:
    webhooks = webhooks_of(lifecycle.title, processor.name)

    first = Ledger(policy=lifecycle.policy).after(webhooks)

    assert rows(first.events) == list(lifecycle.rows)
    assert {event.visitor_fingerprint for event in first.events if event.is_attributed} <= {"fp_ada"}
    for order in orders(webhooks, lifecycle.title):
        assert Ledger(policy=lifecycle.policy).after(order).events == first.events


@pytest.mark.parametrize(("lifecycle", "processor"), CASES)
def test_as_it_happens_a_lifecycle_yields_its_events_one_after_the_other(
    lifecycle: Lifecycle, processor: Processor
) -> None:
    ledger = Ledger(policy=lifecycle.policy)

    for window in windows_in_real_time(webhooks_of(lifecycle.title, processor.name)):
        ledger = ledger.after(window)

    assert rows(ledger.events) == list(lifecycle.live)
    assert imbalances(ledger) == []


@pytest.mark.parametrize(("lifecycle", "processor"), CASES)
def test_cut_into_windows_anywhere_a_lifecycle_adds_up(lifecycle: Lifecycle, processor: Processor) -> None:
    webhooks = webhooks_of(lifecycle.title, processor.name)
    whole = Ledger(policy=lifecycle.policy).after(webhooks)
    chance = random.Random(lifecycle.title)

    for _ in range(CUTS):
        ledger = Ledger(policy=lifecycle.policy)
        for window in split_into_windows(webhooks, chance):
            ledger = ledger.after(window)

        assert imbalances(ledger) == []
        assert moved(ledger.events) == moved(whole.events)
        if lifecycle.policy.amount_basis is AmountBasis.GROSS:
            assert paid(ledger.events) == paid(whole.events)


def test_the_tables_have_at_least_forty_lifecycles_each_once() -> None:
    names = {processor.name: [lifecycle.title for lifecycle in lifecycles] for processor, lifecycles in BOTH}

    assert len(names["paddle"]) >= 30
    assert len(names["paddle-classic"]) >= 10
    for webhooks in names.values():
        assert len(set(webhooks)) == len(webhooks)
