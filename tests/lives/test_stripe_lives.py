"""The table of Stripe lives: the same revenue events in every shape and order, and sums that hold in any windows."""

from __future__ import annotations

import random
from functools import cache

import pytest

from processors.stripe import processor
from processors.stripe.bodies import Shape
from tests.lives.arrivals import Ledger, Told, as_it_happens, cut, imbalances, orders, rows, sums, translated
from tests.lives.stripe_lives import LIVES, Life

CUTS = 10
CASES = [pytest.param(life, shape, id=f"{life.what}-{shape.name}") for life in LIVES for shape in life.shapes]


@cache
def told_of(what: str, shape: Shape) -> tuple[Told, ...]:
    (life,) = (life for life in LIVES if life.what == what)
    return translated(life.webhooks(shape), processor)


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_in_every_order_a_life_yields_the_same_events(life: Life, shape: Shape) -> None:
    told = told_of(life.what, shape)

    first = Ledger(policy=life.policy).after(told)

    assert rows(first.events) == list(life.rows)
    assert [event for event in first.events if event.is_attributed is not life.attributed] == []
    for order in orders(told, life.what):
        assert Ledger(policy=life.policy).after(order).events == first.events


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_as_it_happens_a_life_yields_its_events_one_after_the_other(life: Life, shape: Shape) -> None:
    ledger = Ledger(policy=life.policy)

    for window in as_it_happens(told_of(life.what, shape)):
        ledger = ledger.after(window)

    assert rows(ledger.events) == list(life.live)
    assert imbalances(ledger) == []


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_cut_into_windows_anywhere_a_life_adds_up(life: Life, shape: Shape) -> None:
    told = told_of(life.what, shape)
    whole = Ledger(policy=life.policy).after(told)
    chance = random.Random(life.what)

    for _ in range(CUTS):
        ledger = Ledger(policy=life.policy)
        for window in cut(told, chance):
            ledger = ledger.after(window)

        assert imbalances(ledger) == []
        assert sums(ledger.events) == sums(whole.events)
