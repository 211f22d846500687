"""A random Paddle customer, with late, shuffled and duplicated webhooks: the ledger matches the reference.

A campaign, with another seed in each run:

    MERCHANT_STEPS=1000000 python -m pytest tests/lifecycles/test_paddle_merchant.py
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from bridge.ledger import Policy
from bridge.ledger.events import EventType
from bridge.ledger.policy import ChurnAt
from processors.paddle import processor
from tests.lifecycles.harness import Ledger, translated
from tests.lifecycles.merchant_frame import START, CountedMachine, Delivery, agree, run, some, types_of
from tests.lifecycles.paddle_customer import net
from tests.lifecycles.paddle_merchant_customer import PLANS, MerchantCustomer
from tests.lifecycles.reference_ledger import ReferenceLedger, ReferenceSubscription

chances = st.randoms(use_true_random=False)
plans = st.sampled_from(sorted(PLANS))
seats = st.integers(1, 5)


class Customer(CountedMachine):
    """One customer, with the true payments and MRR."""

    @initialize(churn_at=st.sampled_from(ChurnAt), in_order=st.booleans(), currency=st.sampled_from(("USD", "GBP")))
    def begins(self, churn_at: ChurnAt, in_order: bool, currency: str) -> None:
        self.simulated = MerchantCustomer.begin("c", START, currency=currency)
        self.delivery = Delivery(ledger=Ledger(policy=Policy(churn_at=churn_at)))
        self.reference = ReferenceLedger(discounts="none", leaving_counts=churn_at is ChurnAt.END)
        self.in_order = in_order
        self.refundable: dict[int, int] = {}  # by payment, the amount not refunded yet
        self.charged_back: dict[int, int] = {}  # by payment, the amount charged back

    @property
    def sold(self) -> dict[str, ReferenceSubscription]:
        """The subscriptions by name."""
        return self.reference.subscriptions

    # ---- The customer's actions ----

    @rule(days=st.integers(0, 20))
    def buys(self, days: int) -> None:
        self.step(lambda simulated: simulated.buy(), days)

    @rule(days=st.integers(0, 20), plan=plans, seats=seats, trial_days=st.sampled_from((0, 0, 14)))
    def signs_up(self, days: int, plan: str, seats: int, trial_days: int) -> None:
        bought, name = PLANS[plan], str(len(self.sold) + 1)
        if not self.simulated.can_buy(bought) or (trial_days and self.simulated.needs_bill(bought)):
            return
        self.sold[name] = ReferenceSubscription(
            items=[self.simulated.sold(bought, seats)],
            status="trialing" if trial_days else "active",
        )
        self.step(lambda simulated: simulated.subscribe(bought, seats, name=name, trial_days=trial_days), days, name)

    @rule(which=some, days=st.integers(0, 20), plan=plans, seats=seats, billed=st.sampled_from((None, 0, 777)))
    @precondition(lambda self: self.any_in("active"))
    def changes(self, which: int, days: int, plan: str, seats: int, billed: int | None) -> None:
        name, new = self.one_in(which, "active"), PLANS[plan]
        sold, is_same = self.sold[name], self.simulated.subscriptions[name].plan == new
        if not self.simulated.can_buy(new):
            return
        sold.items = [self.simulated.sold(new, seats)]
        if self.simulated.needs_bill(new) and not (is_same and billed is None):
            self.step(lambda simulated: simulated.change_and_begin_anew(new, seats, name=name), days, name)
        else:
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

        def change(simulated: MerchantCustomer) -> MerchantCustomer:
            back = simulated.become("active", name=name)
            own = back.subscriptions[name]
            line = net(own.plan, own.per_period, quantity=own.quantity, rate="1")
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
        self.reference.received(minor, of_subscription=False)

    # ---- Delivery ----

    @rule(chance=chances, share=st.sampled_from((0.3, 0.6, 1)))
    @precondition(lambda self: self.delivery.in_transit)
    def a_window_arrives(self, chance: random.Random, share: float) -> None:
        self.delivery.receives(1 if self.in_order else share, chance)

    def teardown(self) -> None:
        if hasattr(self, "simulated"):
            self.delivery.receives(1, random.Random(0))
            events = self.delivery.ledger.events
            agree(events, self.reference, in_order=self.in_order)
            assert types_of(events)[EventType.REFUND] == self.reference.refunds

    # ---- Helpers of the rules ----

    def step(self, change: Callable[[MerchantCustomer], MerchantCustomer], days: int, name: str | None = None) -> None:
        """Takes a step some time later; its webhooks are in transit, and the reference is updated."""
        paid_before = len(self.simulated.paid)
        self.simulated = change(self.simulated.later(days=days, seconds=20))
        fresh = self.simulated.webhooks[self.delivery.sent :]
        self.delivery.sent = len(self.simulated.webhooks)
        self.delivery.in_transit += translated(fresh, processor)
        for place in range(paid_before, len(self.simulated.paid)):
            minor = self.simulated.paid[place][1]
            self.refundable[place] = minor
            self.reference.received(minor, of_subscription=False)
        if name is not None:
            self.reference.subscription_changed(name, self.simulated.at)

    def refunded(self, place: int, minor: int) -> None:
        self.refundable[place] -= minor
        self.reference.refunded(minor)

    def any_in(self, *statuses: str) -> bool:
        return any(sold.status in statuses for sold in self.sold.values())

    def one_in(self, which: int, *statuses: str) -> str:
        found = [name for name, sold in self.sold.items() if sold.status in statuses]
        return found[which % len(found)]

    def payment(self, which: int, amounts: dict[int, int]) -> int:
        found = [place for place, minor in amounts.items() if minor]
        return found[which % len(found)]


@pytest.mark.timeout(3600)  # a campaign may be long
def test_the_ledger_agrees_with_the_reference_ledger_of_a_random_customer_of_paddle() -> None:
    run(Customer, steps=800, length=40)
