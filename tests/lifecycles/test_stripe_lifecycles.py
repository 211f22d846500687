"""The table of Stripe lifecycles: the same revenue events in every shape and order, the same sums in any windows."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from bridge.ledger.catalog import key_of
from bridge.ledger.policy import AmountBasis, MovementAmount
from processors.stripe import processor
from processors.stripe.simulation.customer import PRO, Customer
from processors.stripe.simulation.payloads import Shape
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
    translated,
    windows_in_real_time,
)
from tests.lifecycles.stripe_lifecycle import START, Lifecycle
from tests.lifecycles.stripe_lifecycles import LIFECYCLES

CUTS = harness.ORDERS if harness.ALL_ORDERS else 5  # windows cut at random, of each lifecycle
SCOPES = [
    pytest.param({}, None, True, id="the merchant's own account, live"),
    pytest.param({"livemode": False}, None, False, id="test mode"),
    pytest.param({"account": "acct_1"}, "acct_1", True, id="a connected account"),
    pytest.param({"account": "acct_1", "livemode": False}, "acct_1", False, id="a connected account in test mode"),
]
CASES = [
    pytest.param(lifecycle, shape, id=f"{lifecycle.title}-{shape.name}")
    for lifecycle in LIFECYCLES
    for shape in lifecycle.shapes
]
# Where the order or the shape proves nothing new: each lifecycle in one of its shapes.
ONE_SHAPE = [
    pytest.param(lifecycle, shape, id=f"{lifecycle.title}-{shape.name}")
    for number, lifecycle in enumerate(LIFECYCLES)
    for shape in [lifecycle.shapes[number % len(lifecycle.shapes)]]
]


@cache
def webhooks_of(title: str, shape: Shape) -> tuple[TranslatedWebhook, ...]:
    (lifecycle,) = (lifecycle for lifecycle in LIFECYCLES if lifecycle.title == title)
    return translated(lifecycle.webhooks(shape), processor)


def fresh(lifecycle: Lifecycle) -> Ledger:
    return Ledger(
        policy=lifecycle.policy, catalog={key: catalog for catalog in lifecycle.api_catalog if (key := key_of(catalog))}
    )


@pytest.mark.parametrize(("lifecycle", "shape"), CASES)
def test_in_every_order_a_lifecycle_yields_the_same_events(lifecycle: Lifecycle, shape: Shape) -> None:
    webhooks = webhooks_of(lifecycle.title, shape)

    first = fresh(lifecycle).after(webhooks)

    assert rows(first.events) == list(lifecycle.rows)
    assert {event.visitor_fingerprint for event in first.events if event.is_attributed} <= {"fp_ada"}
    for order in orders(webhooks, lifecycle.title):
        assert fresh(lifecycle).after(order).events == first.events


@pytest.mark.parametrize(("lifecycle", "shape"), CASES)
def test_as_it_happens_a_lifecycle_yields_its_events_one_after_the_other(lifecycle: Lifecycle, shape: Shape) -> None:
    ledger = fresh(lifecycle)

    for window in windows_in_real_time(webhooks_of(lifecycle.title, shape)):
        ledger = ledger.after(window)

    assert rows(ledger.events) == list(lifecycle.live)
    assert imbalances(ledger) == []


@pytest.mark.parametrize(("lifecycle", "shape"), CASES if harness.ALL_ORDERS else ONE_SHAPE)
def test_cut_into_windows_anywhere_a_lifecycle_adds_up(lifecycle: Lifecycle, shape: Shape) -> None:
    webhooks = webhooks_of(lifecycle.title, shape)
    whole = fresh(lifecycle).after(webhooks)
    chance = random.Random(lifecycle.title)

    for _ in range(CUTS):
        ledger = fresh(lifecycle)
        for window in split_into_windows(webhooks, chance):
            ledger = ledger.after(window)

        assert imbalances(ledger) == []
        assert moved(ledger.events) == moved(whole.events)
        if (
            lifecycle.policy.movement_amount is MovementAmount.ZERO
            and lifecycle.policy.amount_basis is AmountBasis.GROSS
        ):
            assert paid(ledger.events) == paid(whole.events)  # otherwise the amount depends on the window


def test_the_table_has_at_least_sixty_lifecycles_each_once() -> None:
    names = [lifecycle.title for lifecycle in LIFECYCLES]

    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("more", "account", "livemode"), SCOPES)
def test_every_webhook_of_a_lifecycle_names_the_account_and_the_mode_of_its_ledger(
    more: dict[str, Any], account: str | None, livemode: bool
) -> None:
    customer = Customer.begin("ada", START, **more).subscribe(PRO).later(days=3).refund().cancel()

    signed = [processor.sign(body, processor.demo_secret, START) for body in customer.webhooks]
    events = [
        processor.verify(one.body, one.headers, [processor.demo_secret], START, timedelta(minutes=5)) for one in signed
    ]

    assert {(event.account, event.livemode) for event in events} == {(account, livemode)}
