"""Subscriptions that move to another customer, together with a change: routed and settled, nothing is lost or twice.

A row reads: customer, type, amount, MRR movement. Each sum of movements is the MRR that is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

import pytest

from bridge.ledger import Policy, RevenueEvent
from bridge.ledger.routing import RoutableWebhook, route_webhooks
from processors.interface import Processor
from processors.paddle import processor as billing
from processors.paddle.simulation.customer import EBOOK, PRO, STARTER, TEAM
from processors.paddle_classic import processor as classic
from processors.paddle_classic.simulation import customer as classic_customer
from tests.lifecycles.harness import Ledger, TranslatedWebhook, shuffled, windows_in_real_time
from tests.lifecycles.paddle_customer import ExtendedCustomer
from tests.lifecycles.paddle_lifecycle import make_lifecycle, translated

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = 40
SCOPE = "paddle||live"


@dataclass(slots=True)
class Merchant:
    """Every stream of one merchant, with the links of the routing."""

    links: dict[str, str] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)

    def receive(self, window: Sequence[TranslatedWebhook]) -> None:
        """Routes a window in the order of its arrival, and settles each stream once."""
        webhooks = [
            RoutableWebhook(row_id=number, scope=SCOPE, facts=one.facts)
            for number, one in enumerate(window)
            if one.facts
        ]
        routes = route_webhooks(webhooks, self.links, set(self.ledgers))
        assert not routes.merged  # Paddle's webhooks name their customer
        self.links |= routes.links
        for stream_id in dict.fromkeys(routes.stream_of.values()):
            own = [window[row] for row, stream in routes.stream_of.items() if stream == stream_id]
            self.ledgers[stream_id] = self.ledgers.get(stream_id, Ledger(policy=Policy(source="paddle"))).after(own)

    @property
    def events(self) -> list[RevenueEvent]:
        """The events of all streams, in order of time."""
        found = [event for ledger in self.ledgers.values() for event in ledger.events]
        return sorted(found, key=lambda event: (event.occurred_at, event.output_key))


def after(windows: Iterable[Sequence[TranslatedWebhook]]) -> Merchant:
    """The merchant after these windows."""
    merchant = Merchant()
    for window in windows:
        merchant.receive(window)
    return merchant


def rows(events: Iterable[RevenueEvent]) -> list[str]:
    """One line for each event."""
    return [
        f"{one.customer_id} {one.event_type} {one.amount:f} {'-' if one.mrr_impact is None else f'{one.mrr_impact:+f}'}"
        for one in events
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicCustomer(classic_customer.Customer):
    """A Paddle Classic customer whose user id may change."""

    owner: str | None = None

    def move_to(self, owner: str) -> Self:
        """From the next step on, the alerts name another user."""
        return replace(self, owner=owner)

    def _fields(self, subscription: classic_customer.Subscription) -> dict[str, object]:
        return {**classic_customer.Customer._fields(self, subscription), "user_id": f"{self.owner or self.tag}-u"}


Webhooks = Callable[[], tuple[bytes, ...]]


def paddle(build: Callable[[ExtendedCustomer], ExtendedCustomer]) -> Webhooks:
    return lambda: build(ExtendedCustomer.begin("ada", START)).webhooks


def of_classic(build: Callable[[ClassicCustomer], ClassicCustomer]) -> Webhooks:
    return lambda: build(ClassicCustomer.begin("ada", START)).webhooks


def next_to_own_purchases() -> tuple[bytes, ...]:
    """Bob has bought things of his own before he takes over Ada's subscription, and does so afterwards."""
    bob = ExtendedCustomer.begin("bob", START).subscribe(STARTER).later(days=3).buy(EBOOK)
    ada = ExtendedCustomer.begin("ada", START).subscribe(PRO).later(days=5).move_to("bob").change(TEAM)
    return bob.later(days=3).buy(EBOOK).webhooks + ada.later(days=4).cancel().webhooks


PLANS = {"PADDLE_CLASSIC_PLANS": classic_customer.PLANS}
LIFECYCLES: Mapping[str, tuple[Processor, Webhooks, Sequence[str], Decimal]] = {
    "moves and upgrades in one request, renews and leaves": (
        billing,
        paddle(lambda ada: ada.subscribe(PRO).later(days=9).move_to("bob").change(TEAM).renew().later(days=2).cancel()),
        (
            "ctm_ada subscription 49.00 +49.00",
            "ctm_bob upgrade 0.00 +50.00",  # 99 - 49
            "ctm_bob renewal 99.00 +0.00",
            "ctm_bob churn 0.00 -99.00",
        ),
        Decimal(0),
    ),
    "moves and upgrades, billed at once: 49.00 x 21/30 more": (
        billing,
        paddle(lambda ada: ada.subscribe(PRO).later(days=9).move_to("bob").change(TEAM, billed=3500)),
        ("ctm_ada subscription 49.00 +49.00", "ctm_bob upgrade 35.00 +50.00"),
        Decimal(99),
    ),
    "moves and downgrades in one request": (
        billing,
        paddle(lambda ada: ada.subscribe(TEAM).later(days=9).move_to("bob").change(STARTER).renew()),
        (
            "ctm_ada subscription 99.00 +99.00",
            "ctm_bob downgrade 0.00 -80.00",  # 19 - 99
            "ctm_bob renewal 19.00 +0.00",
        ),
        Decimal(19),
    ),
    "only moves: no movement, and the next events are the new customer's": (
        billing,
        paddle(
            lambda ada: (
                ada.subscribe(PRO).later(days=9).move_to("bob").update_subscription().renew().later(days=1).cancel()
            )
        ),
        ("ctm_ada subscription 49.00 +49.00", "ctm_bob renewal 49.00 +0.00", "ctm_bob churn 0.00 -49.00"),
        Decimal(0),
    ),
    "moves during the trial: the new customer starts": (
        billing,
        paddle(lambda ada: ada.subscribe(PRO, trial_days=14).later(days=3).move_to("bob").change(TEAM).renew()),
        ("ctm_bob subscription 99.00 +99.00",),
        Decimal(99),
    ),
    "moves and moves back, changing each time": (
        billing,
        paddle(
            lambda ada: (
                ada.subscribe(PRO)
                .later(days=5)
                .move_to("bob")
                .change(TEAM)
                .later(days=5)
                .move_to("ada")
                .change(STARTER)
                .later(days=5)
                .cancel()
            )
        ),
        (
            "ctm_ada subscription 49.00 +49.00",
            "ctm_bob upgrade 0.00 +50.00",
            "ctm_ada downgrade 0.00 -80.00",
            "ctm_ada churn 0.00 -19.00",
        ),
        Decimal(0),
    ),
    "moves, and the former customer gets the first payment back": (
        billing,
        paddle(
            lambda ada: (
                ada.subscribe(PRO)
                .later(days=5)
                .move_to("bob")
                .change(quantity=2)
                .later(days=1)
                .move_to("ada")
                .refund(payment=0)
                .move_to("bob")
                .renew()
            )
        ),
        (
            "ctm_ada subscription 49.00 +49.00",
            "ctm_bob upgrade 0.00 +49.00",
            "ctm_ada refund -49.00 +0.00",
            "ctm_bob renewal 98.00 +0.00",
        ),
        Decimal(98),
    ),
    "moves to a customer who buys other things": (
        billing,
        next_to_own_purchases,
        (
            "ctm_ada subscription 49.00 +49.00",
            "ctm_bob subscription 19.00 +19.00",
            "ctm_bob purchase 29.00 -",
            "ctm_bob upgrade 0.00 +50.00",
            "ctm_bob purchase 29.00 -",
            "ctm_bob churn 0.00 -99.00",
        ),
        Decimal(19),
    ),
    "Classic: another user and another plan in one alert": (
        classic,
        of_classic(
            lambda ada: ada.subscribe(classic_customer.PRO).later(days=9).move_to("bob").change(classic_customer.TEAM)
        ),
        ("ada-u subscription 49.00 +49.00", "bob-u upgrade 0.00 +50.00"),
        Decimal(99),
    ),
    "Classic: another user, who leaves": (
        classic,
        of_classic(
            lambda ada: (
                ada.subscribe(classic_customer.PRO)
                .later(days=9)
                .move_to("bob")
                .change(classic_customer.STARTER)
                .later(days=3)
                .cancel(at_once=True)
            )
        ),
        ("ada-u subscription 49.00 +49.00", "bob-u downgrade 0.00 -30.00", "bob-u churn 0.00 -19.00"),
        Decimal(0),
    ),
}
CASES = [pytest.param(*entry, id=title) for title, entry in LIFECYCLES.items()]


def webhooks_of(processor: Processor, webhooks: Webhooks) -> list[TranslatedWebhook]:
    return list(translated(make_lifecycle("", webhooks, (), None, Policy(), PLANS), processor))


@pytest.mark.parametrize(("processor", "webhooks", "expected", "mrr"), CASES)
def test_as_it_happens_both_customers_get_their_events(
    processor: Processor, webhooks: Webhooks, expected: Sequence[str], mrr: Decimal
) -> None:
    found = webhooks_of(processor, webhooks)

    merchant = after(windows_in_real_time(found))

    assert rows(merchant.events) == list(expected)
    assert sum((event.mrr_impact or Decimal(0) for event in merchant.events), Decimal(0)) == mrr
    assert {event.visitor_fingerprint for event in merchant.events} <= {"fp_ada", "fp_bob"}


@pytest.mark.parametrize(("processor", "webhooks", "expected", "mrr"), CASES)
def test_in_any_order_inside_its_windows_the_events_are_the_same(
    processor: Processor, webhooks: Webhooks, expected: Sequence[str], mrr: Decimal
) -> None:
    windows, chance = windows_in_real_time(webhooks_of(processor, webhooks)), random.Random(str(expected))
    first = after(windows).events

    for _ in range(ORDERS):
        assert after([shuffled(window, chance) for window in windows]).events == first


@pytest.mark.parametrize(("processor", "webhooks", "expected", "mrr"), CASES)
def test_in_one_window_the_events_are_the_same_in_any_order(
    processor: Processor, webhooks: Webhooks, expected: Sequence[str], mrr: Decimal
) -> None:
    found, chance = webhooks_of(processor, webhooks), random.Random(str(expected))

    for order in (found, found[::-1], *(shuffled(found, chance) for _ in range(ORDERS))):
        assert rows(after([order]).events) == list(expected)


@pytest.mark.parametrize(("processor", "webhooks", "expected", "mrr"), CASES)
def test_cut_into_windows_anywhere_the_sums_are_the_same(
    processor: Processor, webhooks: Webhooks, expected: Sequence[str], mrr: Decimal
) -> None:
    found, chance = webhooks_of(processor, webhooks), random.Random(str(expected))
    paid = sum((event.amount for event in after([found]).events), Decimal(0))

    for _ in range(ORDERS):
        arrived = shuffled(found, chance)
        place = chance.randrange(len(arrived) + 1)
        events = after([arrived[:place], arrived[place:]]).events

        assert sum((event.mrr_impact or Decimal(0) for event in events), Decimal(0)) == mrr
        assert sum((event.amount for event in events), Decimal(0)) == paid
        assert len({event.output_key for event in events}) == len(events)


def test_a_subscription_stays_in_the_stream_of_the_customer_under_whom_it_was_first_seen() -> None:
    ada = ExtendedCustomer.begin("ada", START).subscribe(PRO).later(days=9).move_to("bob").change(TEAM)

    merchant = after(windows_in_real_time(webhooks_of(billing, lambda: ada.buy(EBOOK).webhooks)))

    assert {stream: rows(ledger.events) for stream, ledger in merchant.ledgers.items()} == {
        f"{SCOPE}|ctm_ada": ["ctm_ada subscription 49.00 +49.00", "ctm_bob upgrade 0.00 +50.00"],
        f"{SCOPE}|ctm_bob": ["ctm_bob purchase 29.00 -"],
    }
