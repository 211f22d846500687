"""A random merchant's customers, told by Stripe in webhooks that come late, shuffled and doubled: the books must agree.

MERCHANT_STEPS=1000000 python -m pytest tests/lifecycles/test_stripe_merchant.py     a long campaign, other every time
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

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
from bridge.ledger.policy import ChurnAt, MrrDiscounts
from bridge.ledger.catalog import CatalogKey, key_of
from processors.facts import CatalogEntry
from processors.stripe import processor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Shape
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Plan
from tests.lifecycles.harness import Ledger, Told, imbalances, shuffled, translated
from tests.lifecycles.reference_ledger import Books, Cut, Sold
from tests.lifecycles.stripe_customer import Telling

STEPS = int(os.environ.get("MERCHANT_STEPS", "10000"))
IS_CAMPAIGN = "MERCHANT_STEPS" in os.environ

START = datetime(2026, 1, 15, tzinfo=UTC)
CUSTOMERS = 3
MANY = 60  # webhooks on their way
WEEKLY = Plan(id="price_weekly", minor=1099, name="Weekly", interval="week")
QUARTERLY = Plan(id="price_quarterly", minor=9999, name="Quarterly", interval_count=3)
DAILY = Plan(id="price_daily", minor=75, name="Daily", interval="day")
PLANS = {plan.name: plan for plan in (STARTER, PRO, TEAM, PRO_YEARLY, WEEKLY, QUARTERLY, DAILY)}
COUPONS = {
    "25 %": payloads.coupon("QUARTER", percent=25),
    "free": payloads.coupon("FREE", percent=100),
    "5.00 off": payloads.coupon("FIVE", amount_off=500, currency="usd"),
    "half the first": payloads.coupon("FIRST", percent=50, duration="once"),
    "30 % for a spring": payloads.coupon("SPRING", percent=30, duration="repeating", months=3),
}
MOVES = frozenset({EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN})

some = st.integers(min_value=0, max_value=10**6)  # which of those there are


Fits = Callable[[Sold], bool]


def is_active(sold: Sold) -> bool:
    """Paid and running."""
    return sold.status == "active"


def is_served(sold: Sold) -> bool:
    """Running, paid or on trial."""
    return sold.status in ("active", "trialing")


def is_there(sold: Sold) -> bool:
    """Not ended."""
    return sold.status != "canceled"


def goes_on(sold: Sold) -> bool:
    """Running, and meant to run on."""
    return is_served(sold) and not sold.is_leaving


def is_leaving(sold: Sold) -> bool:
    """Running until the end of its period."""
    return is_served(sold) and sold.is_leaving


def has_coupon(sold: Sold) -> bool:
    """Running with a coupon."""
    return is_active(sold) and sold.cut is not None


def is_past_due(sold: Sold) -> bool:
    """A payment failed."""
    return sold.status == "past_due"


def is_paused(sold: Sold) -> bool:
    """Paused by the merchant."""
    return sold.status == "paused"


def owes(sold: Sold) -> bool:
    """A payment failed, lately or for good."""
    return sold.status in ("past_due", "unpaid")


@dataclass
class Customer:
    """One customer: what Stripe tells of them, what of it has arrived, and their true books."""

    story: Telling
    books: Books
    ledger: Ledger
    told: list[Told] = field(default_factory=list)  # on its way
    arrived: list[Told] = field(default_factory=list)
    sent: int = 0
    told_until: datetime = START
    is_quiet: bool = False  # the last step told nothing later than its own second

    def lives(self, step: Callable[[Telling], Telling]) -> int:
        """Takes a step in the story; its webhooks are on their way. Returns what was paid with it."""
        paid_before = len(self.story.payments)
        self.story = step(self.story)
        fresh = translated(self.story.webhooks[self.sent :], processor)
        self.told += fresh
        self.told_until = max([self.told_until, *(one.at for one in fresh)])
        self.is_quiet = self.is_quiet and self.told_until <= self.story.at
        self.sent = len(self.story.webhooks)
        return sum(one.minor for one in self.story.payments[paid_before:])

    def receives(self, share: float, chance: random.Random) -> None:
        """A share of what is on its way arrives, in disorder, some of it twice, with copies of earlier webhooks."""
        fresh: list[Told] = []
        later: list[Told] = []
        for one in self.told:
            (fresh if share == 1 or chance.random() < share else later).append(one)
        if not fresh:
            return
        copies = chance.sample(self.arrived, min(len(self.arrived), 2))
        self.told, self.arrived = later, [*self.arrived, *fresh]
        self.ledger = self.ledger.after(shuffled([*fresh, *copies], chance))
        assert imbalances(self.ledger) == []


class Merchant(RuleBasedStateMachine):
    """The merchant. In order: each window holds all that was told since the last. Else webhooks overtake each other."""

    all_steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.in_order = True
        self.steps = 0
        self.serial = 0
        self.disputed: set[str] = set()
        self.customers: list[Customer] = []

    @initialize(
        in_order=st.booleans(),
        discounts=st.sampled_from(MrrDiscounts),
        churn_at=st.sampled_from(ChurnAt),
        shapes=st.lists(st.sampled_from(Shape), min_size=CUSTOMERS, max_size=CUSTOMERS),
    )
    def opens(self, in_order: bool, discounts: MrrDiscounts, churn_at: ChurnAt, shapes: list[Shape]) -> None:
        self.in_order = in_order
        policy = Policy(mrr_discounts=discounts, churn_at=churn_at)
        self.customers = [
            Customer(
                story=Telling.begin(f"c{number}", START, shape),
                books=Books(discounts=discounts.value, leaving_counts=churn_at is ChurnAt.END),
                ledger=Ledger(policy=policy, known=catalogue()),
            )
            for number, shape in enumerate(shapes)
        ]

    # ---- What customers do ----

    @rule(which=some, minor=st.one_of(st.sampled_from((1900, 4900)), st.integers(1, 20_000)), checkout=st.booleans())
    @precondition(lambda self: self.steps % 3 == 0)
    def buys(self, which: int, minor: int, checkout: bool) -> None:
        customer = self.passing(which)
        paid = customer.lives(lambda story: story.buy(minor, checkout=checkout))
        assert paid == minor
        customer.books.received(minor, of_subscription=False)

    @rule(
        which=some,
        plan=st.sampled_from(sorted(PLANS)),
        seats=st.integers(1, 5),
        trial_days=st.sampled_from((0, 0, 0, 14)),
        coupon=st.sampled_from(("", "", *COUPONS)),
        checkout=st.booleans(),
    )
    def signs_up(self, which: int, plan: str, seats: int, trial_days: int, coupon: str, checkout: bool) -> None:
        customer, bought, taken = self.passing(which), PLANS[plan], COUPONS.get(coupon)
        self.serial += 1
        name = str(self.serial)
        paid = customer.lives(
            lambda story: story.subscribe(
                bought, seats, name=name, trial_days=trial_days, coupon=taken, checkout=checkout
            )
        )
        sold = Sold(
            minor=bought.minor,
            unit=bought.interval,
            count=bought.interval_count,
            seats=seats,
            status="trialing" if trial_days else "active",
            cut=cut_of(customer, taken, name),
        )
        customer.books.subscriptions[name] = sold
        assert paid == (0 if trial_days else invoiced(sold))
        self.stands(customer, name, paid)

    @rule(which=some, plan=st.sampled_from(sorted(PLANS)), seats=st.integers(1, 5), billed=st.booleans())
    @precondition(lambda self: self.any_sold(is_active))
    def changes(self, which: int, plan: str, seats: int, billed: bool) -> None:
        (customer, name), new = self.sold(which, is_active), PLANS[plan]
        paid = customer.lives(lambda story: story.change(new, seats, name=name, billed=billed))
        sold = customer.books.subscriptions[name]
        sold.minor, sold.unit, sold.count, sold.seats = new.minor, new.interval, new.interval_count, seats
        self.stands(customer, name, paid)

    @rule(which=some, coupon=st.sampled_from(sorted(COUPONS)))
    @precondition(lambda self: self.any_sold(is_active))
    def is_given_a_coupon(self, which: int, coupon: str) -> None:
        customer, name = self.sold(which, is_active)
        if customer.story.subscriptions[name].coupon == COUPONS[coupon]:
            return
        customer.lives(lambda story: story.with_coupon(COUPONS[coupon], name=name))
        customer.books.subscriptions[name].cut = cut_of(customer, COUPONS[coupon], name)
        self.stands(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_coupon))
    def loses_the_coupon(self, which: int) -> None:
        customer, name = self.sold(which, has_coupon, apart=True)  # else the coupon is over for the step before, too
        customer.lives(lambda story: story.without_coupon(name=name))
        customer.books.subscriptions[name].cut = None
        self.stands(customer, name)

    # ---- What time does ----

    @rule(which=some)
    @precondition(lambda self: self.any_sold(goes_on))
    def renews(self, which: int) -> None:
        customer, name = self.sold(which, goes_on)
        sold = customer.books.subscriptions[name]
        paid = customer.lives(lambda story: story.renew(name))
        sold.status = "active"
        assert paid == invoiced(sold)
        self.stands(customer, name, paid, hours_ago=1)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(goes_on))
    def fails_to_pay(self, which: int) -> None:
        customer, name = self.sold(which, goes_on)
        customer.lives(lambda story: story.next_period(name=name, status="past_due"))
        customer.books.subscriptions[name].status = "past_due"
        self.stands(customer, name)

    @rule(which=some, end=st.sampled_from(("unpaid", "canceled")))
    @precondition(lambda self: self.any_sold(is_past_due))
    def is_given_up(self, which: int, end: str) -> None:
        customer, name = self.sold(which, is_past_due)
        if end == "canceled":
            customer.lives(lambda story: story.later(days=21).cancel(name=name, reason="payment_failed"))
        else:
            customer.lives(lambda story: story.later(days=21).become("unpaid", name=name))
        customer.books.subscriptions[name].status = end
        self.stands(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(owes))
    def pays_after_all(self, which: int) -> None:
        customer, name = self.sold(which, owes)
        sold = customer.books.subscriptions[name]
        minor = invoiced(sold)
        customer.lives(lambda story: story.later(days=2).become("active", name=name))
        if minor:
            customer.lives(lambda story: story.bill(minor, "subscription_cycle", name=name))
        sold.status = "active"
        self.stands(customer, name, minor)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_active))
    def pauses(self, which: int) -> None:
        customer, name = self.sold(which, is_active, apart=True)
        customer.lives(lambda story: story.pause(name=name))
        customer.is_quiet = False  # told by two events of one second, one of which does not say what it changed
        customer.books.subscriptions[name].status = "paused"
        self.stands(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_paused))
    def resumes(self, which: int) -> None:
        customer, name = self.sold(which, is_paused, apart=True)
        customer.lives(lambda story: story.resume(name=name))
        customer.is_quiet = False
        customer.books.subscriptions[name].status = "active"
        self.stands(customer, name)

    # ---- How it ends ----

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_there))
    def leaves(self, which: int) -> None:
        customer, name = self.sold(which, is_there)
        customer.lives(lambda story: story.cancel(name=name))
        customer.books.subscriptions[name].status = "canceled"
        self.stands(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_served))
    def schedules_its_end_or_thinks_better_of_it(self, which: int) -> None:
        customer, name = self.sold(which, is_served)
        sold = customer.books.subscriptions[name]
        sold.is_leaving = not sold.is_leaving
        reason = "cancellation_requested" if sold.is_leaving else None
        customer.lives(lambda story: story.amend(name=name, cancel_at_period_end=sold.is_leaving, ended_reason=reason))
        self.stands(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_leaving))
    def ends_as_scheduled(self, which: int) -> None:
        customer, name = self.sold(which, is_leaving)
        customer.lives(lambda story: story.expire(name=name))
        customer.books.subscriptions[name].status = "canceled"
        self.stands(customer, name)

    # ---- Money that goes back ----

    @rule(which=some, share=st.sampled_from((10, 50, 100)))
    @precondition(lambda self: self.any_payment())
    def gets_money_back(self, which: int, share: int) -> None:
        customer, place = self.payment(which)
        paid = customer.story.payments[place]
        minor = max(1, (paid.minor - paid.refunded) * share // 100)
        customer.lives(lambda story: story.refund(minor, payment=place))
        customer.books.gave(minor)

    @rule(which=some)
    @precondition(lambda self: self.any_payment())
    def is_refunded_in_vain(self, which: int) -> None:
        customer, place = self.payment(which)
        paid, refund_id = customer.story.payments[place], f"re_{len(customer.story.webhooks)}"
        about: dict[str, Any] = {"payment": place, "refund_id": refund_id}
        customer.lives(lambda story: story.giving_back("refund.created", 1, "succeeded", **about))
        customer.lives(lambda story: story.later(days=2).giving_back("refund.failed", 1, "failed", **about))
        customer.books.gave(1)
        customer.books.received(1, of_subscription=paid.invoice_id is not None)

    @rule(which=some, is_won=st.booleans())
    @precondition(lambda self: self.any_payment())
    def disputes(self, which: int, is_won: bool) -> None:
        customer, place = self.payment(which)
        paid = customer.story.payments[place]
        if paid.refunds or paid.intent_id in self.disputed:
            return
        self.disputed.add(paid.intent_id)
        customer.lives(lambda story: story.dispute(payment=place))
        customer.books.gave(paid.minor)
        if is_won:
            customer.lives(lambda story: story.later(days=30).reinstate(payment=place))
            customer.books.received(paid.minor, of_subscription=paid.invoice_id is not None)

    # ---- How Stripe tells it ----

    @rule(which=some)
    @precondition(lambda self: any(one.story.shape is not Shape.CLOVER for one in self.customers))
    def moves_to_a_newer_api_version(self, which: int) -> None:
        older = [one for one in self.customers if one.story.shape is not Shape.CLOVER]
        customer = older[which % len(older)]
        newer = Shape.BASIL if customer.story.shape is Shape.OLD else Shape.CLOVER
        customer.story = replace(customer.story, shape=newer)

    @rule(which=some)
    @precondition(lambda self: any(one.told for one in self.customers))
    def a_window_arrives(self, which: int) -> None:
        self.deliver(self.customers[which % CUSTOMERS], random.Random(which))

    @rule(which=some)
    @precondition(lambda self: sum(len(one.told) for one in self.customers) > MANY)
    def everything_has_arrived(self, which: int) -> None:
        for customer in self.customers:
            self.close(customer, random.Random(which))

    @invariant()
    def counts(self) -> None:
        self.steps += 1
        Merchant.all_steps += 1

    def teardown(self) -> None:
        for customer in self.customers:
            self.close(customer, random.Random(self.serial))

    # ---- How the rules are made ----

    def passing(self, which: int, *, apart: bool = False) -> Customer:
        """One of the customers, some time later: days, or (told in order) within the same second as a quiet step."""
        customer = self.customers[which % CUSTOMERS]
        if which // CUSTOMERS // 4 % 2:
            self.deliver(customer, random.Random(which))
        at, days = customer.story.at, which // CUSTOMERS % 4
        if apart or days or not self.in_order or not customer.is_quiet:
            at = max(at, customer.told_until) + timedelta(days=days, seconds=10)
            customer.is_quiet = True
        else:
            customer.is_quiet = False  # at most two steps of one second: a third may close a circle
        customer.story = replace(customer.story, at=at)
        return customer

    def any_sold(self, fits: Fits) -> bool:
        """Whether there is such a subscription."""
        return bool(self._sold(fits))

    def sold(self, which: int, fits: Fits, *, apart: bool = False) -> tuple[Customer, str]:
        """One such subscription, its customer some time later."""
        found = self._sold(fits)
        number, name = found[which % len(found)]
        return self.passing(which // len(found) * CUSTOMERS + number, apart=apart), name

    def _sold(self, fits: Fits) -> list[tuple[int, str]]:
        return [
            (number, name)
            for number, customer in enumerate(self.customers)
            for name, sold in customer.books.subscriptions.items()
            if fits(sold)
        ]

    def any_payment(self) -> bool:
        """Whether there is money to give back."""
        return bool(self._payments())

    def payment(self, which: int) -> tuple[Customer, int]:
        """One payment that can be given back, its customer some time later."""
        found = self._payments()
        number, place = found[which % len(found)]
        return self.passing(which // len(found) * CUSTOMERS + number), place

    def _payments(self) -> list[tuple[int, int]]:
        return [
            (number, place)
            for number, customer in enumerate(self.customers)
            for place, paid in enumerate(customer.story.payments)
            if paid.refunded < paid.minor and paid.intent_id not in self.disputed
        ]

    def stands(self, customer: Customer, name: str, paid: int = 0, *, hours_ago: int = 0) -> None:
        """The books after Stripe told how a subscription stands, and perhaps took money for it."""
        customer.books.stands(name, customer.story.at - timedelta(hours=hours_ago))
        if paid:
            customer.books.received(paid, of_subscription=True)

    def deliver(self, customer: Customer, chance: random.Random) -> None:
        """A window of what is on its way: all of it when told in order, else some, and the rest overtakes nothing."""
        customer.receives(1 if self.in_order else chance.choice((0.2, 0.5, 0.8)), chance)

    def close(self, customer: Customer, chance: random.Random) -> None:
        """Everything arrives, told out of order in several windows; then the books are compared."""
        for _ in range(3):
            self.deliver(customer, chance)
        customer.receives(1, chance)
        agree(customer, self.in_order)


def catalogue() -> dict[CatalogKey, CatalogEntry]:
    """The merchant's coupons, told before anybody could use one."""
    created = (payloads.event("coupon.created", one, at=START, event_id=one["id"]) for one in COUPONS.values())
    told = translated(created, processor)
    return {key: known for one in told for known in one.known if (key := key_of(known))}


def cut_of(customer: Customer, coupon: Body | None, name: str) -> Cut | None:
    """The coupon as the books have it; since when it is at work, Stripe says."""
    if coupon is None:
        return None
    (found,) = customer.story._discounts(customer.story.subscriptions[name])
    return Cut(
        percent=int(coupon["percent_off"] or 0),
        minor=coupon["amount_off"] or 0,
        lasts=coupon["duration"],
        ends_at=datetime.fromtimestamp(found["end"], tz=UTC) if found["end"] else None,
    )


def invoiced(sold: Sold) -> int:
    """What one period's invoice comes to; a coupon that is still there comes off."""
    whole = sold.minor * sold.seats
    if sold.cut is None:
        return whole
    off = int(Fraction(whole * sold.cut.percent, 100) + Fraction(1, 2)) + sold.cut.minor
    return max(0, whole - off)


def agree(customer: Customer, in_order: bool) -> None:
    """The ledger's events make the books: to the minor unit, and told in order also one by one."""
    books, events = customer.books, customer.ledger.events
    types = Counter(event.event_type for event in events)
    recurring: dict[str, Decimal] = {}
    for event in events:
        if event.subscription_id is not None:
            name = event.subscription_id.rpartition("_")[2]
            recurring[name] = recurring.get(name, Decimal(0)) + (event.mrr_impact or 0)

    assert sum(event.amount for event in events) * 100 == books.money
    assert {name: mrr * 100 for name, mrr in recurring.items() if mrr} == {
        name: sold.mrr for name, sold in books.subscriptions.items() if sold.mrr
    }
    assert types[EventType.SUBSCRIPTION] - types[EventType.CHURN] == sum(
        sold.mrr > 0 for sold in books.subscriptions.values()
    )
    if in_order:
        paired = sum(event.event_type in MOVES and event.amount > 0 for event in events)
        assert {kind.value: types[kind] for kind in MOVES if types[kind]} == books.moves
        assert types[EventType.REFUND] == books.given_back
        assert types[EventType.PURCHASE] == books.bought
        assert types[EventType.RENEWAL] + paired == books.billed


@pytest.mark.timeout(3600)  # a campaign may be long
def test_the_ledger_keeps_the_books_of_a_random_merchant() -> None:
    Merchant.all_steps = 0
    campaign = settings(
        max_examples=STEPS // 33,
        stateful_step_count=50,
        derandomize=not IS_CAMPAIGN,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Merchant, settings=campaign)

    assert Merchant.all_steps >= STEPS
