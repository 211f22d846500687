"""A random Paddle customer, with late, shuffled and duplicated webhooks: the ledger matches the reference.

A campaign, with another seed in each run:

    MERCHANT_STEPS=1000000 python -m pytest tests/lifecycles/test_paddle_merchant.py
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.ledger import Policy
from bridge.ledger.events import EventType
from bridge.ledger.policy import ChurnAt
from processors.paddle import processor
from processors.paddle.simulation.customer import PRO, STARTER, TEAM
from processors.paddle.simulation.payloads import Plan
from tests.lifecycles.harness import Ledger, TranslatedWebhook, imbalances, shuffled
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import make_lifecycle, translated
from tests.lifecycles.reference_ledger import ReferenceItem, ReferenceSubscription

STEPS = int(os.environ.get("MERCHANT_STEPS", "4000"))
IS_CAMPAIGN = "MERCHANT_STEPS" in os.environ
START = datetime(2026, 1, 15, tzinfo=UTC)
YEARLY = Plan(id="yearly", minor=49000, name="Yearly", interval="year")
WEEKLY = Plan(id="weekly", minor=1099, name="Weekly", interval="week")
QUARTERLY = Plan(id="quarterly", minor=9999, name="Quarterly", frequency=3)
PLANS = {plan.name: plan for plan in (STARTER, PRO, TEAM, YEARLY, WEEKLY, QUARTERLY)}

MOVES = frozenset({EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN})

some = st.integers(min_value=0, max_value=10**6)  # an index, taken modulo the number of candidates
chances = st.randoms(use_true_random=False)
plans = st.sampled_from(sorted(PLANS))
seats = st.integers(1, 5)


def reference_item(plan: Plan, seats: int) -> ReferenceItem:
    """What is sold, in the reference."""
    return ReferenceItem(
        product=plan.id, seats=seats, period=plan.minor * seats, unit=plan.interval or "", count=plan.frequency
    )


class Customer(RuleBasedStateMachine):
    """One customer, with the true payments and MRR."""

    all_steps: ClassVar[int] = 0

    @initialize(churn_at=st.sampled_from(ChurnAt), in_order=st.booleans())
    def begins(self, churn_at: ChurnAt, in_order: bool) -> None:
        self.simulated = ExtendedCustomer.begin("c", START)
        self.ledger = Ledger(policy=Policy(churn_at=churn_at))
        self.leaving_counts = churn_at is ChurnAt.END
        self.in_order = in_order
        self.sold: dict[str, ReferenceSubscription] = {}
        self.money = self.refunds = 0
        self.refundable: dict[int, int] = {}  # by payment, the amount not refunded yet
        self.charged_back: dict[int, int] = {}  # by payment, the amount charged back
        self.moves: Counter[str] = Counter()
        self.in_transit: list[TranslatedWebhook] = []
        self.arrived: list[TranslatedWebhook] = []
        self.sent = 0

    # ---- The customer's actions ----

    @rule(days=st.integers(0, 20))
    def buys(self, days: int) -> None:
        self.step(lambda simulated: simulated.buy(), days)

    @rule(days=st.integers(0, 20), plan=plans, seats=seats, trial_days=st.sampled_from((0, 0, 14)))
    def signs_up(self, days: int, plan: str, seats: int, trial_days: int) -> None:
        bought, name = PLANS[plan], str(len(self.sold) + 1)
        self.sold[name] = ReferenceSubscription(
            items=[reference_item(bought, seats)],
            status="trialing" if trial_days else "active",
        )
        self.step(lambda simulated: simulated.subscribe(bought, seats, name=name, trial_days=trial_days), days, name)

    @rule(which=some, days=st.integers(0, 20), plan=plans, seats=seats, billed=st.sampled_from((None, 0, 777)))
    @precondition(lambda self: self.any_in("active"))
    def changes(self, which: int, days: int, plan: str, seats: int, billed: int | None) -> None:
        name, new = self.one_in(which, "active"), PLANS[plan]
        sold = self.sold[name]
        sold.items = [reference_item(new, seats)]
        self.step(lambda simulated: simulated.change(new, seats, name=name, billed=billed), days, name)

    @rule(which=some)
    @precondition(lambda self: self.any_in("active", "trialing"))
    def renews(self, which: int) -> None:
        name = self.one_in(which, "active", "trialing")
        if self.sold[name].is_leaving:
            return
        self.sold[name].status = "active"
        self.step(lambda simulated: simulated.renew(name), 0, name)

    @rule(which=some, days=st.integers(0, 20))
    @precondition(lambda self: self.any_in("active"))
    def buys_an_extra(self, which: int, days: int) -> None:
        name = self.one_in(which, "active")
        self.step(lambda simulated: simulated.charge(name=name), days)

    @rule(which=some, days=st.integers(0, 20), status=st.sampled_from(("past_due", "paused")))
    @precondition(lambda self: self.any_in("active"))
    def falters(self, which: int, days: int, status: str) -> None:
        name = self.one_in(which, "active")
        if self.sold[name].is_leaving:
            return
        self.sold[name].status = status
        self.step(lambda simulated: simulated.become(status, name=name), days, name)

    @rule(which=some, days=st.integers(0, 40), pays=st.booleans())
    @precondition(lambda self: self.any_in("past_due", "paused"))
    def comes_back(self, which: int, days: int, pays: bool) -> None:
        name = self.one_in(which, "past_due", "paused")
        sold = self.sold[name]
        sold.status = "active"

        def change(simulated: ExtendedCustomer) -> ExtendedCustomer:
            back = simulated.become("active", name=name)
            plan = back.subscriptions[name].plan
            line = net(plan, sold.items[0].period, quantity=sold.items[0].seats, rate="1")
            return back.bill(line, name=name) if pays else back

        self.step(change, days, name)

    # ---- Ends ----

    @rule(which=some, days=st.integers(0, 20))
    @precondition(lambda self: self.any_in("active", "trialing", "past_due", "paused"))
    def leaves(self, which: int, days: int) -> None:
        name = self.one_in(which, "active", "trialing", "past_due", "paused")
        self.sold[name].status = "canceled"
        self.step(lambda simulated: simulated.cancel(name=name), days, name)

    @rule(which=some, days=st.integers(0, 20))
    @precondition(lambda self: self.any_in("active", "trialing"))
    def schedules_its_end_or_thinks_better_of_it(self, which: int, days: int) -> None:
        name = self.one_in(which, "active", "trialing")
        sold = self.sold[name]
        sold.is_leaving = not sold.is_leaving
        if sold.is_leaving:
            self.step(lambda simulated: simulated.cancel(name=name, scheduled=True), days, name)
        else:
            self.step(lambda simulated: simulated.update_subscription(name=name, scheduled_change=None), days, name)

    # ---- Refunds and chargebacks ----

    @rule(which=some, days=st.integers(0, 20), share=st.sampled_from((10, 50, 100)), approved=st.booleans())
    @precondition(lambda self: any(self.refundable.values()))
    def asks_for_money_back(self, which: int, days: int, share: int, approved: bool) -> None:
        place = self.payment(which, self.refundable)
        minor = max(1, self.refundable[place] * share // 100)
        self.step(lambda simulated: simulated.refund(minor, payment=place, approved=approved), days)
        if approved:
            self.refunded(place, minor)

    @rule(which=some, days=st.integers(0, 20), action=st.sampled_from(("chargeback", "chargeback_warning")))
    @precondition(lambda self: any(self.refundable.values()))
    def charges_back(self, which: int, days: int, action: str) -> None:
        place = self.payment(which, self.refundable)
        minor = self.refundable[place]
        self.step(lambda simulated: simulated.adjusted(action, minor, payment=place), days)
        self.refunded(place, minor)
        self.charged_back[place] = minor

    @rule(which=some, days=st.integers(0, 20))
    @precondition(lambda self: any(self.charged_back.values()))
    def loses_the_chargeback(self, which: int, days: int) -> None:
        place = self.payment(which, self.charged_back)
        minor = self.charged_back.pop(place)
        self.step(lambda simulated: simulated.adjusted("chargeback_reverse", minor, payment=place), days)
        self.money += minor

    # ---- Delivery ----

    @rule(chance=chances, share=st.sampled_from((0.3, 0.6, 1)))
    @precondition(lambda self: self.in_transit)
    def a_window_arrives(self, chance: random.Random, share: float) -> None:
        self.receives(1 if self.in_order else share, chance)

    @invariant()
    def counts(self) -> None:
        Customer.all_steps += 1

    def teardown(self) -> None:
        if hasattr(self, "simulated"):
            self.receives(1, random.Random(0))
            self.agrees()

    # ---- Helpers of the rules ----

    def step(self, change: Callable[[ExtendedCustomer], ExtendedCustomer], days: int, name: str | None = None) -> None:
        """Takes a step some time later; its webhooks are in transit, and the reference is updated."""
        paid_before = len(self.simulated.paid)
        self.simulated = change(self.simulated.later(days=days, seconds=20))
        fresh = self.simulated.webhooks[self.sent :]
        self.sent = len(self.simulated.webhooks)
        self.in_transit += translated(make_lifecycle("", lambda: fresh, (), None, Policy()), processor)
        for place in range(paid_before, len(self.simulated.paid)):
            minor = self.simulated.paid[place][1]
            self.refundable[place] = minor
            self.money += minor
        if name is not None:
            self.subscription_changed(name)

    def subscription_changed(self, name: str) -> None:
        sold = self.sold[name]
        before, sold.mrr = sold.mrr, sold.monthly(self.simulated.at, "none", self.leaving_counts)
        if before != sold.mrr:
            kind = "subscription" if before == 0 else "upgrade" if sold.mrr > before else "downgrade"
            self.moves["churn" if sold.mrr == 0 else kind] += 1

    def refunded(self, place: int, minor: int) -> None:
        self.refundable[place] -= minor
        self.money -= minor
        self.refunds += 1

    def receives(self, share: float, chance: random.Random) -> None:
        """A share of the webhooks in transit arrives, shuffled, with duplicates of these and of earlier ones."""
        fresh = [one for one in self.in_transit if share == 1 or chance.random() < share]
        if not fresh:
            return
        copies = chance.sample(self.arrived, min(len(self.arrived), 2))
        self.in_transit = [one for one in self.in_transit if one not in fresh]
        self.arrived += fresh
        self.ledger = self.ledger.after(shuffled([*fresh, *copies], chance))
        assert imbalances(self.ledger) == []

    def agrees(self) -> None:
        """Compares with the reference: money and MRR to the minor unit and, in order, each movement."""
        events = self.ledger.events
        types = Counter(event.event_type for event in events)
        recurring: dict[str, Decimal] = {}
        for event in events:
            if event.subscription_id is not None:
                name = event.subscription_id.rpartition("_")[2]
                recurring[name] = recurring.get(name, Decimal(0)) + (event.mrr_impact or 0)

        assert sum(event.amount for event in events) * 100 == self.money
        assert {name: mrr * 100 for name, mrr in recurring.items() if mrr} == {
            name: sold.mrr for name, sold in self.sold.items() if sold.mrr
        }
        assert types[EventType.REFUND] == self.refunds
        assert types[EventType.SUBSCRIPTION] - types[EventType.CHURN] == sum(
            sold.mrr > 0 for sold in self.sold.values()
        )
        if self.in_order:
            assert {kind.value: times for kind, times in types.items() if kind in MOVES} == self.moves

    def any_in(self, *statuses: str) -> bool:
        return any(sold.status in statuses for sold in self.sold.values())

    def one_in(self, which: int, *statuses: str) -> str:
        found = [name for name, sold in self.sold.items() if sold.status in statuses]
        return found[which % len(found)]

    def payment(self, which: int, amounts: dict[int, int]) -> int:
        found = [place for place, minor in amounts.items() if minor]
        return found[which % len(found)]


MOVES = frozenset(
    kind.value for kind in (EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN)
)


@pytest.mark.timeout(3600)  # a campaign may be long
def test_the_ledger_keeps_the_books_of_a_random_customer_of_paddle() -> None:
    Customer.all_steps = 0
    campaign = settings(
        max_examples=max(1, STEPS // 25),
        stateful_step_count=40,
        derandomize=not IS_CAMPAIGN,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Customer, settings=campaign)

    assert Customer.all_steps >= STEPS
