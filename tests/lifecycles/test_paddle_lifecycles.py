"""The tables of Paddle lives: the same revenue events in every order, and sums that hold in any windows."""

from __future__ import annotations

import random
from functools import cache

import pytest

from bridge.ledger.policy import AmountBasis
from processors.interface import Processor
from processors.paddle import processor as billing
from processors.paddle_classic import processor as classic
from tests.lifecycles.harness import Ledger, Told, as_it_happens, cut, imbalances, moved, orders, paid, rows
from tests.lifecycles.paddle_classic_lifecycles import CLASSIC_LIVES
from tests.lifecycles.paddle_lifecycle import Life, translated
from tests.lifecycles.paddle_lifecycles import LIVES

CUTS = 20
BOTH = ((billing, LIVES), (classic, CLASSIC_LIVES))
CASES = [
    pytest.param(life, processor, id=f"{processor.name}: {life.what}") for processor, lives in BOTH for life in lives
]


@cache
def told_of(what: str, name: str) -> tuple[Told, ...]:
    ((life, processor),) = (
        (life, processor) for processor, lives in BOTH for life in lives if (life.what, processor.name) == (what, name)
    )
    return translated(life, processor)


@pytest.mark.parametrize(("life", "processor"), CASES)
def test_in_every_order_a_life_yields_the_same_events(life: Life, processor: Processor) -> None:
    told = told_of(life.what, processor.name)

    first = Ledger(policy=life.policy).after(told)

    assert rows(first.events) == list(life.rows)
    assert {event.visitor_fingerprint for event in first.events if event.is_attributed} <= {"fp_ada"}
    for order in orders(told, life.what):
        assert Ledger(policy=life.policy).after(order).events == first.events


@pytest.mark.parametrize(("life", "processor"), CASES)
def test_as_it_happens_a_life_yields_its_events_one_after_the_other(life: Life, processor: Processor) -> None:
    ledger = Ledger(policy=life.policy)

    for window in as_it_happens(told_of(life.what, processor.name)):
        ledger = ledger.after(window)

    assert rows(ledger.events) == list(life.live)
    assert imbalances(ledger) == []


@pytest.mark.parametrize(("life", "processor"), CASES)
def test_cut_into_windows_anywhere_a_life_adds_up(life: Life, processor: Processor) -> None:
    told = told_of(life.what, processor.name)
    whole = Ledger(policy=life.policy).after(told)
    chance = random.Random(life.what)

    for _ in range(CUTS):
        ledger = Ledger(policy=life.policy)
        for window in cut(told, chance):
            ledger = ledger.after(window)

        assert imbalances(ledger) == []
        assert moved(ledger.events) == moved(whole.events)
        if life.policy.amount_basis is AmountBasis.GROSS:
            assert paid(ledger.events) == paid(whole.events)


def test_the_tables_hold_at_least_forty_lives_each_told_once() -> None:
    names = {processor.name: [life.what for life in lives] for processor, lives in BOTH}

    assert len(names["paddle"]) >= 30
    assert len(names["paddle-classic"]) >= 10
    for told in names.values():
        assert len(set(told)) == len(told)
