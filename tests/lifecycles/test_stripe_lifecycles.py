"""The table of Stripe lives: the same revenue events in every shape and order, and sums that hold in any windows."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from bridge.ledger.policy import AmountBasis, MovementAmount
from bridge.ledger.catalog import key_of
from processors.stripe import processor
from processors.stripe.simulation.payloads import Shape
from processors.stripe.simulation.customer import PRO, Customer
from tests.lifecycles.harness import Ledger, Told, as_it_happens, cut, imbalances, moved, orders, paid, rows, translated
from tests.lifecycles.stripe_lifecycle import START, Life
from tests.lifecycles.stripe_lifecycles import LIVES

CUTS = 10
SCOPES = [
    pytest.param({}, None, True, id="the merchant's own account, live"),
    pytest.param({"livemode": False}, None, False, id="test mode"),
    pytest.param({"account": "acct_1"}, "acct_1", True, id="a connected account"),
    pytest.param({"account": "acct_1", "livemode": False}, "acct_1", False, id="a connected account in test mode"),
]
CASES = [pytest.param(life, shape, id=f"{life.what}-{shape.name}") for life in LIVES for shape in life.shapes]


@cache
def told_of(what: str, shape: Shape) -> tuple[Told, ...]:
    (life,) = (life for life in LIVES if life.what == what)
    return translated(life.webhooks(shape), processor)


def fresh(life: Life) -> Ledger:
    return Ledger(policy=life.policy, known={key: known for known in life.told_by_api if (key := key_of(known))})


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_in_every_order_a_life_yields_the_same_events(life: Life, shape: Shape) -> None:
    told = told_of(life.what, shape)

    first = fresh(life).after(told)

    assert rows(first.events) == list(life.rows)
    assert {event.visitor_fingerprint for event in first.events if event.is_attributed} <= {"fp_ada"}
    for order in orders(told, life.what):
        assert fresh(life).after(order).events == first.events


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_as_it_happens_a_life_yields_its_events_one_after_the_other(life: Life, shape: Shape) -> None:
    ledger = fresh(life)

    for window in as_it_happens(told_of(life.what, shape)):
        ledger = ledger.after(window)

    assert rows(ledger.events) == list(life.live)
    assert imbalances(ledger) == []


@pytest.mark.parametrize(("life", "shape"), CASES)
def test_cut_into_windows_anywhere_a_life_adds_up(life: Life, shape: Shape) -> None:
    told = told_of(life.what, shape)
    whole = fresh(life).after(told)
    chance = random.Random(life.what)

    for _ in range(CUTS):
        ledger = fresh(life)
        for window in cut(told, chance):
            ledger = ledger.after(window)

        assert imbalances(ledger) == []
        assert moved(ledger.events) == moved(whole.events)
        if life.policy.movement_amount is MovementAmount.ZERO and life.policy.amount_basis is AmountBasis.GROSS:
            assert paid(ledger.events) == paid(whole.events)  # else what one window knows changes what it tells


def test_the_table_holds_at_least_sixty_lives_each_told_once() -> None:
    names = [life.what for life in LIVES]

    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("more", "account", "livemode"), SCOPES)
def test_every_webhook_of_a_life_names_the_account_and_the_mode_that_its_ledger_is_of(
    more: dict[str, Any], account: str | None, livemode: bool
) -> None:
    story = Customer.begin("ada", START, **more).subscribe(PRO).later(days=3).refund().cancel()

    signed = [processor.sign(body, processor.demo_secret, START) for body in story.webhooks]
    events = [
        processor.verify(one.body, one.headers, [processor.demo_secret], START, timedelta(minutes=5)) for one in signed
    ]

    assert {(event.account, event.livemode) for event in events} == {(account, livemode)}
