"""All lifecycles, by a virtual clock: every order of arrival and every gap within a window gives the same events.

Beyond a window the types may differ, as somebody who sees only a part cannot know better; the sums never do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, partial

import pytest

from bridge.ledger import Policy
from bridge.ledger.catalog import key_of
from bridge.ledger.policy import AmountBasis, MovementAmount
from bridge.ledger.settle_window import WaitRules
from processors.facts import CatalogEntry
from processors.interface import Processor
from processors.paddle import processor as paddle
from processors.paddle_classic import processor as classic
from processors.stripe import processor as stripe
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles import harness, paddle_lifecycle, paddle_lifecycles, stripe_lifecycles
from tests.lifecycles.harness import (
    Ledger,
    TranslatedWebhook,
    every_order,
    imbalances,
    moved,
    paid,
    some_orders,
    split_into_windows,
)
from tests.lifecycles.paddle_classic_lifecycles import CLASSIC_LIFECYCLES
from tests.lifecycles.stripe_lifecycle import Lifecycle
from tests.lifecycles.virtual_pipeline import DEFAULT_RULES, NO_HOLD, NOON, Pipeline, at_once, with_gaps

RULES = [pytest.param(DEFAULT_RULES, id="defaults"), pytest.param(NO_HOLD, id="HOLD_HOURS=0")]
FEW = 2  # orders of each lifecycle, one of them the reverse one
MAX_SPREAD = 85.0  # what arrives within one window belongs together, whatever lies in between


Case = tuple[Policy, tuple[CatalogEntry, ...], tuple[TranslatedWebhook, ...]]


class Cases(Mapping[str, Case]):
    """Lifecycles by title, each translated when it is first used: not while tests are collected."""

    def __init__(self, makers: Mapping[str, Callable[[], Case]]) -> None:
        self._makers = {title: cache(maker) for title, maker in makers.items()}

    def __getitem__(self, title: str) -> Case:
        return self._makers[title]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@cache
def cases() -> Cases:
    """All lifecycles of all tables, by title."""
    found: dict[str, Callable[[], Case]] = {}
    for one in stripe_lifecycles.LIFECYCLES:
        for shape in one.shapes:
            found[f"{one.title}-{shape.name}"] = partial(of_stripe, one, shape)
    for processor, lifecycles in ((paddle, paddle_lifecycles.LIFECYCLES), (classic, CLASSIC_LIFECYCLES)):
        for other in lifecycles:
            found[f"{processor.name}: {other.title}"] = partial(of_paddle, other, processor)
    return Cases(found)


def of_stripe(one: Lifecycle, shape: Shape) -> Case:
    return one.policy, one.api_catalog, harness.translated(one.webhooks(shape), stripe)


def of_paddle(one: paddle_lifecycle.Lifecycle, processor: Processor) -> Case:
    return one.policy, (), paddle_lifecycle.translated(one, processor)


def some_cases() -> list[str]:
    """All lifecycles, those of Stripe in one of their shapes: the campaign takes every shape."""
    left_out = {
        f"{one.title}-{shape.name}"
        for number, one in enumerate(stripe_lifecycles.LIFECYCLES)
        for shape in set(one.shapes) - {one.shapes[number % len(one.shapes)]}
    }
    return [title for title in cases() if title not in left_out]


def pipeline(title: str, rules: WaitRules = DEFAULT_RULES) -> Pipeline:
    policy, api_catalog, _ = cases()[title]
    catalog = {key: entry for entry in api_catalog if (key := key_of(entry))}
    return Pipeline(policy=policy, rules=rules, catalog=catalog)


def gaps_within_a_window(count: int, chance: random.Random) -> list[float]:
    """Gaps of up to a minute whose sum stays within one window."""
    found = [chance.choice((0.0, 0.5, chance.uniform(0, 5), chance.uniform(0, 60))) for _ in range(count)]
    total = sum(found)
    return found if total <= MAX_SPREAD else [gap * MAX_SPREAD / total for gap in found]


def check_within_a_window(title: str, rules: WaitRules, some: Iterable[list[TranslatedWebhook]]) -> None:
    expected = pipeline(title).play(at_once(cases()[title][2])).sorted_events()
    chance = random.Random(title)
    for order in some:
        gaps = gaps_within_a_window(len(order), chance)
        assert pipeline(title, rules).play(with_gaps(order, gaps)).sorted_events() == expected


def check_sums(title: str, rules: WaitRules, count: int) -> None:
    """Windows hours or days apart, cut anywhere, each in any order: the sums are those of one window."""
    policy, _, webhooks = cases()[title]
    whole = pipeline(title).play(at_once(webhooks))
    chance = random.Random(title)
    for _ in range(count):
        played = pipeline(title, rules).play(in_windows(split_into_windows(webhooks, chance), chance))
        assert imbalances(ledger_of(policy, played)) == []
        assert moved(played.events) == moved(whole.events)
        if policy.movement_amount is MovementAmount.ZERO and policy.amount_basis is AmountBasis.GROSS:
            assert paid(played.events) == paid(whole.events)  # otherwise the amount depends on the window


def in_windows(
    windows: Iterable[Sequence[TranslatedWebhook]], chance: random.Random
) -> Iterator[tuple[datetime, TranslatedWebhook]]:
    at = NOON
    for window in windows:
        at += timedelta(seconds=chance.choice((60.0, 600.0, 4000.0, 90_000.0, 3_000_000.0)))
        for webhook in window:
            at += timedelta(seconds=chance.uniform(0, 5))
            yield at, webhook


def check_balance(title: str, rules: WaitRules, some: Iterable[list[TranslatedWebhook]]) -> None:
    """Any order with any gaps: each movement is reported once, and the movements make the present MRR."""
    policy = cases()[title][0]
    chance = random.Random(title)
    for order in some:
        gaps = [chance.choice((1.0, 60.0, 600.0, 4000.0, 90_000.0)) for _ in order]
        assert imbalances(ledger_of(policy, pipeline(title, rules).play(with_gaps(order, gaps)))) == []


def ledger_of(policy: Policy, played: Pipeline) -> Ledger:
    return Ledger(policy=policy, state=played.state(), events=tuple(played.events))


def few_orders(title: str) -> list[list[TranslatedWebhook]]:
    return some_orders(cases()[title][2], title)[:FEW]


def rules_for(title: str) -> WaitRules:
    """One of the two, the same in every run: the campaign plays both."""
    return random.Random(title).choice((DEFAULT_RULES, NO_HOLD))


@pytest.mark.parametrize("title", some_cases())
def test_within_a_window_neither_order_nor_gaps_change_anything(title: str) -> None:
    orders = few_orders(title)
    check_within_a_window(title, DEFAULT_RULES, orders[::2])
    check_within_a_window(title, NO_HOLD, orders[1::2])


@pytest.mark.parametrize("title", some_cases())
def test_in_windows_far_apart_the_sums_are_right(title: str) -> None:
    check_sums(title, rules_for(title), FEW)


@pytest.mark.parametrize("title", some_cases())
def test_in_any_order_with_any_gaps_the_ledger_balances(title: str) -> None:
    check_balance(title, rules_for(title), few_orders(title))


@pytest.mark.campaign
@pytest.mark.parametrize("rules", RULES)
def test_every_order_of_up_to_six_webhooks_and_many_of_more(rules: WaitRules) -> None:
    for title, (_, _, webhooks) in cases().items():
        check_within_a_window(title, rules, every_order(webhooks, title))
        check_sums(title, rules, harness.ORDERS)
        check_balance(title, rules, every_order(webhooks, title))
