"""Random customers of a Stripe merchant, with late, shuffled and duplicated webhooks: the ledger matches the reference.

A campaign, with another seed in each run:

    MERCHANT_STEPS=1000000 python -m pytest tests/lifecycles/test_stripe_merchant.py
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
from bridge.ledger.catalog import CatalogKey, key_of
from bridge.ledger.events import EventType
from bridge.ledger.policy import ChurnAt, MrrDiscounts
from processors.facts import CatalogEntry
from processors.stripe import processor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.harness import Ledger, TranslatedWebhook, imbalances, shuffled, translated
from tests.lifecycles.merchant_customer import MerchantCustomer
from tests.lifecycles.merchant_offers import COUPONS, OFFERS, is_free, metered
from tests.lifecycles.reference_ledger import ReferenceCoupon, ReferenceItem, ReferenceLedger, ReferenceSubscription

STEPS = int(os.environ.get("MERCHANT_STEPS", "10000"))
IS_CAMPAIGN = "MERCHANT_STEPS" in os.environ

START = datetime(2026, 1, 15, tzinfo=UTC)
CUSTOMERS = 3
MANY = 60  # webhooks in transit
MOVES = frozenset({EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN})

some = st.integers(min_value=0, max_value=10**6)  # an index, taken modulo the number of candidates


Fits = Callable[[ReferenceSubscription], bool]


def is_active(sold: ReferenceSubscription) -> bool:
    """Paid and active."""
    return sold.status == "active"


def is_served(sold: ReferenceSubscription) -> bool:
    """Active or in trial."""
    return sold.status in ("active", "trialing")


def has_not_ended(sold: ReferenceSubscription) -> bool:
    """Not ended."""
    return sold.status != "canceled"


def is_continuing(sold: ReferenceSubscription) -> bool:
    """Active or in trial, and not scheduled to end."""
    return is_served(sold) and not sold.is_leaving


def is_leaving(sold: ReferenceSubscription) -> bool:
    """Scheduled to end with its period."""
    return is_served(sold) and sold.is_leaving


def has_coupon(sold: ReferenceSubscription) -> bool:
    """Active with a coupon."""
    return is_active(sold) and sold.coupon is not None


def is_past_due(sold: ReferenceSubscription) -> bool:
    """A payment failed."""
    return sold.status == "past_due"


def is_paused(sold: ReferenceSubscription) -> bool:
    """Paused by the merchant."""
    return sold.status == "paused"


def has_open_invoice(sold: ReferenceSubscription) -> bool:
    """A payment failed, recently or finally."""
    return sold.status in ("past_due", "unpaid")


@dataclass
class Customer:
    """One customer: the webhooks sent, those that arrived, and the reference totals."""

    simulated: MerchantCustomer
    reference: ReferenceLedger
    ledger: Ledger
    in_transit: list[TranslatedWebhook] = field(default_factory=list)  # sent, not arrived
    arrived: list[TranslatedWebhook] = field(default_factory=list)
    sent: int = 0
    last_sent_at: datetime = START
    is_quiet: bool = False  # the last step sent nothing dated later than its own second

    def step(self, change: Callable[[MerchantCustomer], MerchantCustomer]) -> int:
        """Takes a step; its webhooks are in transit. Returns the amount paid with it."""
        paid_before = len(self.simulated.payments)
        self.simulated = change(self.simulated)
        fresh = translated(self.simulated.webhooks[self.sent :], processor)
        self.in_transit += fresh
        self.last_sent_at = max([self.last_sent_at, *(one.at for one in fresh)])
        self.is_quiet = self.is_quiet and self.last_sent_at <= self.simulated.at
        self.sent = len(self.simulated.webhooks)
        return sum(one.minor for one in self.simulated.payments[paid_before:])

    def receives(self, share: float, chance: random.Random) -> None:
        """A share of the webhooks in transit arrives, shuffled, with duplicates of these and of earlier ones."""
        fresh: list[TranslatedWebhook] = []
        later: list[TranslatedWebhook] = []
        for one in self.in_transit:
            (fresh if share == 1 or chance.random() < share else later).append(one)
        if not fresh:
            return
        copies = chance.sample(self.arrived, min(len(self.arrived), 2))
        self.in_transit, self.arrived = later, [*self.arrived, *fresh]
        self.ledger = self.ledger.after(shuffled([*fresh, *copies], chance))
        assert imbalances(self.ledger) == []


class Merchant(RuleBasedStateMachine):
    """In order, each window holds everything sent since the last; otherwise webhooks overtake each other."""

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
                simulated=MerchantCustomer.begin(f"c{number}", START, shape),
                reference=ReferenceLedger(discounts=discounts.value, leaving_counts=churn_at is ChurnAt.END),
                ledger=Ledger(policy=policy, catalog=merchant_catalog()),
            )
            for number, shape in enumerate(shapes)
        ]

    # ---- Customers' actions ----

    @rule(which=some, minor=st.one_of(st.sampled_from((1900, 4900)), st.integers(1, 20_000)), checkout=st.booleans())
    @precondition(lambda self: self.steps % 3 == 0)
    def buys(self, which: int, minor: int, checkout: bool) -> None:
        customer = self.customer_after_a_while(which)
        paid = customer.step(lambda simulated: simulated.buy(minor, checkout=checkout))
        assert paid == minor
        customer.reference.received(minor, of_subscription=False)

    @rule(
        which=some,
        plan=st.sampled_from(sorted(OFFERS)),
        seats=st.integers(1, 5),
        trial_days=st.sampled_from((0, 0, 0, 14)),
        coupon=st.sampled_from(("", "", *COUPONS)),
        checkout=st.booleans(),
        has_usage=st.booleans(),
    )
    def signs_up(
        self, which: int, plan: str, seats: int, trial_days: int, coupon: str, checkout: bool, has_usage: bool
    ) -> None:
        customer, offer, taken = self.customer_after_a_while(which), OFFERS[plan], COUPONS.get(coupon)
        if offer.is_shown_by_bills and (trial_days or is_free(taken)):
            return  # no bill would show what it costs
        bought = metered(offer) if has_usage else offer
        self.serial += 1
        name = str(self.serial)
        paid = customer.step(
            lambda simulated: simulated.subscribe(
                bought, seats, name=name, trial_days=trial_days, coupon=taken, checkout=checkout
            )
        )
        sold = ReferenceSubscription(
            items=[offer.sold(seats)],
            status="trialing" if trial_days else "active",
            coupon=reference_coupon(customer, taken, name),
        )
        customer.reference.subscriptions[name] = sold
        assert paid == (0 if trial_days else invoiced(sold))
        self.subscription_changed(customer, name, paid)

    @rule(which=some, plan=st.sampled_from(sorted(OFFERS)), seats=st.integers(1, 5), billed=st.booleans())
    @precondition(lambda self: self.any_sold(is_active))
    def changes(self, which: int, plan: str, seats: int, billed: bool) -> None:
        (customer, name), offer = self.sold(which, is_active), OFFERS[plan]
        old, sold = customer.simulated.subscriptions[name], customer.reference.subscriptions[name]
        if offer.is_shown_by_bills and is_free(old.coupon):
            return
        new = metered(offer) if old.plan.extras else offer  # type: ignore[attr-defined]  # each plan is an offer
        if offer.is_shown_by_bills:
            paid = customer.step(lambda simulated: simulated.change_and_begin_anew(new, seats, name=name))
        else:
            paid = customer.step(lambda simulated: simulated.change(new, seats, name=name, billed=billed))
        sold.items[0] = offer.sold(seats)
        self.subscription_changed(customer, name, paid)

    @rule(which=some, units=st.sampled_from((200, 1000, 20_000)))
    @precondition(lambda self: self.any_sold(is_active))
    def reaches_a_usage_threshold(self, which: int, units: int) -> None:
        customer, name = self.sold(which, is_active, apart=True)
        if not customer.simulated.subscriptions[name].plan.extras:  # type: ignore[attr-defined]
            return
        paid = customer.step(lambda simulated: simulated.reach_threshold(units, name=name))
        if paid:
            customer.reference.received(paid, of_subscription=True)

    @rule(which=some, coupon=st.sampled_from(sorted(COUPONS)))
    @precondition(lambda self: self.any_sold(is_active))
    def is_given_a_coupon(self, which: int, coupon: str) -> None:
        customer, name = self.sold(which, is_active)
        if customer.simulated.subscriptions[name].coupon == COUPONS[coupon]:
            return
        customer.step(lambda simulated: simulated.with_coupon(COUPONS[coupon], name=name))
        customer.reference.subscriptions[name].coupon = reference_coupon(customer, COUPONS[coupon], name)
        self.subscription_changed(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_coupon))
    def loses_the_coupon(self, which: int) -> None:
        customer, name = self.sold(which, has_coupon, apart=True)  # else the coupon has ended for the step before, too
        customer.step(lambda simulated: simulated.without_coupon(name=name))
        customer.reference.subscriptions[name].coupon = None
        self.subscription_changed(customer, name)

    # ---- Events over time ----

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_continuing))
    def renews(self, which: int) -> None:
        customer, name = self.sold(which, is_continuing)
        sold = customer.reference.subscriptions[name]
        paid = customer.step(lambda simulated: simulated.renew(name))
        sold.status = "active"
        assert paid == invoiced(sold)
        self.subscription_changed(customer, name, paid, hours_ago=1)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_continuing))
    def fails_to_pay(self, which: int) -> None:
        customer, name = self.sold(which, is_continuing)
        customer.step(lambda simulated: simulated.next_period(name=name, status="past_due"))
        customer.reference.subscriptions[name].status = "past_due"
        self.subscription_changed(customer, name)

    @rule(which=some, end=st.sampled_from(("unpaid", "canceled")))
    @precondition(lambda self: self.any_sold(is_past_due))
    def is_given_up(self, which: int, end: str) -> None:
        customer, name = self.sold(which, is_past_due)
        if end == "canceled":
            customer.step(lambda simulated: simulated.later(days=21).cancel(name=name, reason="payment_failed"))
        else:
            customer.step(lambda simulated: simulated.later(days=21).become("unpaid", name=name))
        customer.reference.subscriptions[name].status = end
        self.subscription_changed(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_open_invoice))
    def pays_after_all(self, which: int) -> None:
        customer, name = self.sold(which, has_open_invoice)
        sold = customer.reference.subscriptions[name]
        paid = customer.step(lambda simulated: simulated.pay_open_invoice(name=name))
        assert paid == invoiced(sold)
        sold.status = "active"
        self.subscription_changed(customer, name, paid)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_active))
    def pauses(self, which: int) -> None:
        customer, name = self.sold(which, is_active, apart=True)
        customer.step(lambda simulated: simulated.pause(name=name))
        customer.is_quiet = False  # two events in one second, one without its previous attributes
        customer.reference.subscriptions[name].status = "paused"
        self.subscription_changed(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_paused))
    def resumes(self, which: int) -> None:
        customer, name = self.sold(which, is_paused, apart=True)
        customer.step(lambda simulated: simulated.resume(name=name))
        customer.is_quiet = False
        customer.reference.subscriptions[name].status = "active"
        self.subscription_changed(customer, name)

    # ---- Ends ----

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_not_ended))
    def leaves(self, which: int) -> None:
        customer, name = self.sold(which, has_not_ended)
        customer.step(lambda simulated: simulated.cancel(name=name))
        customer.reference.subscriptions[name].status = "canceled"
        self.subscription_changed(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_served))
    def schedules_its_end_or_thinks_better_of_it(self, which: int) -> None:
        customer, name = self.sold(which, is_served)
        sold = customer.reference.subscriptions[name]
        sold.is_leaving = not sold.is_leaving
        reason = "cancellation_requested" if sold.is_leaving else None
        customer.step(
            lambda simulated: simulated.amend(name=name, cancel_at_period_end=sold.is_leaving, ended_reason=reason)
        )
        self.subscription_changed(customer, name)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_leaving))
    def ends_as_scheduled(self, which: int) -> None:
        customer, name = self.sold(which, is_leaving)
        customer.step(lambda simulated: simulated.expire(name=name))
        customer.reference.subscriptions[name].status = "canceled"
        self.subscription_changed(customer, name)

    # ---- Refunds and disputes ----

    @rule(which=some, share=st.sampled_from((10, 50, 100)))
    @precondition(lambda self: self.any_payment())
    def gets_money_back(self, which: int, share: int) -> None:
        customer, place = self.payment(which)
        paid = customer.simulated.payments[place]
        minor = max(1, (paid.minor - paid.refunded) * share // 100)
        customer.step(lambda simulated: simulated.refund(minor, payment=place))
        customer.reference.refunded(minor)

    @rule(which=some)
    @precondition(lambda self: self.any_payment())
    def is_refunded_in_vain(self, which: int) -> None:
        customer, place = self.payment(which)
        paid, refund_id = customer.simulated.payments[place], f"re_{len(customer.simulated.webhooks)}"
        about: dict[str, Any] = {"payment": place, "refund_id": refund_id}
        customer.step(lambda simulated: simulated.refund_event("refund.created", 1, "succeeded", **about))
        customer.step(lambda simulated: simulated.later(days=2).refund_event("refund.failed", 1, "failed", **about))
        customer.reference.refunded(1)
        customer.reference.received(1, of_subscription=paid.invoice_id is not None)

    @rule(which=some, is_won=st.booleans())
    @precondition(lambda self: self.any_payment())
    def disputes(self, which: int, is_won: bool) -> None:
        customer, place = self.payment(which)
        paid = customer.simulated.payments[place]
        if paid.refunds or paid.intent_id in self.disputed:
            return
        self.disputed.add(paid.intent_id)
        customer.step(lambda simulated: simulated.dispute(payment=place))
        customer.reference.refunded(paid.minor)
        if is_won:
            customer.step(lambda simulated: simulated.later(days=30).reinstate(payment=place))
            customer.reference.received(paid.minor, of_subscription=paid.invoice_id is not None)

    # ---- Delivery ----

    @rule(which=some)
    @precondition(lambda self: any(one.simulated.shape is not Shape.CLOVER for one in self.customers))
    def moves_to_a_newer_api_version(self, which: int) -> None:
        older = [one for one in self.customers if one.simulated.shape is not Shape.CLOVER]
        customer = older[which % len(older)]
        newer = Shape.BASIL if customer.simulated.shape is Shape.OLD else Shape.CLOVER
        customer.simulated = replace(customer.simulated, shape=newer)

    @rule(which=some)
    @precondition(lambda self: any(one.in_transit for one in self.customers))
    def a_window_arrives(self, which: int) -> None:
        self.deliver(self.customers[which % CUSTOMERS], random.Random(which))

    @rule(which=some)
    @precondition(lambda self: sum(len(one.in_transit) for one in self.customers) > MANY)
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

    # ---- Helpers of the rules ----

    def customer_after_a_while(self, which: int, *, apart: bool = False) -> Customer:
        """One of the customers, some time later: days, or (in order only) within the same second as a quiet step."""
        customer = self.customers[which % CUSTOMERS]
        if which // CUSTOMERS // 4 % 2:
            self.deliver(customer, random.Random(which))
        at, days = customer.simulated.at, which // CUSTOMERS % 4
        if apart or days or not self.in_order or not customer.is_quiet:
            at = max(at, customer.last_sent_at) + timedelta(days=days, seconds=10)
            customer.is_quiet = True
        else:
            customer.is_quiet = False  # at most two steps of one second: a third may close a circle
        customer.simulated = replace(customer.simulated, at=at)
        return customer

    def any_sold(self, fits: Fits) -> bool:
        """Whether there is such a subscription."""
        return bool(self._sold(fits))

    def sold(self, which: int, fits: Fits, *, apart: bool = False) -> tuple[Customer, str]:
        """One such subscription; its customer's clock advances."""
        found = self._sold(fits)
        number, name = found[which % len(found)]
        return self.customer_after_a_while(which // len(found) * CUSTOMERS + number, apart=apart), name

    def _sold(self, fits: Fits) -> list[tuple[int, str]]:
        return [
            (number, name)
            for number, customer in enumerate(self.customers)
            for name, sold in customer.reference.subscriptions.items()
            if fits(sold)
        ]

    def any_payment(self) -> bool:
        """Whether a payment can be refunded."""
        return bool(self._payments())

    def payment(self, which: int) -> tuple[Customer, int]:
        """One payment that can be refunded; its customer's clock advances."""
        found = self._payments()
        number, place = found[which % len(found)]
        return self.customer_after_a_while(which // len(found) * CUSTOMERS + number), place

    def _payments(self) -> list[tuple[int, int]]:
        return [
            (number, place)
            for number, customer in enumerate(self.customers)
            for place, paid in enumerate(customer.simulated.payments)
            if paid.refunded < paid.minor and paid.intent_id not in self.disputed
        ]

    def subscription_changed(self, customer: Customer, name: str, paid: int = 0, *, hours_ago: int = 0) -> None:
        """Updates the reference after a change of a subscription, and counts the payment, if any."""
        customer.reference.subscription_changed(name, customer.simulated.at - timedelta(hours=hours_ago))
        if paid:
            customer.reference.received(paid, of_subscription=True)

    def deliver(self, customer: Customer, chance: random.Random) -> None:
        """Delivers one window: everything in transit when in order, otherwise a share of it."""
        customer.receives(1 if self.in_order else chance.choice((0.2, 0.5, 0.8)), chance)

    def close(self, customer: Customer, chance: random.Random) -> None:
        """Delivers everything, out of order in several windows, then compares with the reference."""
        for _ in range(3):
            self.deliver(customer, chance)
        customer.receives(1, chance)
        agree(customer, self.in_order)


def merchant_catalog() -> dict[CatalogKey, CatalogEntry]:
    """The merchant's coupons, created before the first use."""
    created = (payloads.event("coupon.created", one, at=START, event_id=one["id"]) for one in COUPONS.values())
    in_transit = translated(created, processor)
    return {key: catalog for one in in_transit for catalog in one.catalog if (key := key_of(catalog))}


def reference_coupon(customer: Customer, coupon: Body | None, name: str) -> ReferenceCoupon | None:
    """The coupon in the reference; its end comes from the payload."""
    if coupon is None:
        return None
    (found,) = customer.simulated._discounts(customer.simulated.subscriptions[name])
    return ReferenceCoupon(
        percent=int(coupon["percent_off"] or 0),
        minor=coupon["amount_off"] or 0,
        duration=coupon["duration"],
        ends_at=datetime.fromtimestamp(found["end"], tz=UTC) if found["end"] else None,
    )


def invoiced(sold: ReferenceSubscription) -> int:
    """The invoice total of one period, less the coupon that is still attached."""
    return sum(invoiced_for(item, sold.coupon) for item in sold.items)


def invoiced_for(item: ReferenceItem, coupon: ReferenceCoupon | None) -> int:
    """The invoice line of one item, less the coupon that is still attached."""
    if coupon is None:
        return item.period
    off = int(Fraction(item.period * coupon.percent, 100) + Fraction(1, 2)) + coupon.minor
    return max(0, item.period - off)


def agree(customer: Customer, in_order: bool) -> None:
    """Compares the ledger with the reference: totals to the minor unit and, in order, each event."""
    reference, events = customer.reference, customer.ledger.events
    types = Counter(event.event_type for event in events)
    recurring: dict[str, Decimal] = {}
    for event in events:
        if event.subscription_id is not None:
            name = event.subscription_id.rpartition("_")[2]
            recurring[name] = recurring.get(name, Decimal(0)) + (event.mrr_impact or 0)

    assert sum(event.amount for event in events) * 100 == reference.money
    assert {name: mrr * 100 for name, mrr in recurring.items() if mrr} == {
        name: sold.mrr for name, sold in reference.subscriptions.items() if sold.mrr
    }
    assert types[EventType.SUBSCRIPTION] - types[EventType.CHURN] == sum(
        sold.mrr > 0 for sold in reference.subscriptions.values()
    )
    if in_order:
        paired = sum(event.event_type in MOVES and event.amount > 0 for event in events)
        assert {kind.value: types[kind] for kind in MOVES if types[kind]} == reference.moves
        assert types[EventType.REFUND] == reference.refunds
        assert types[EventType.PURCHASE] == reference.bought
        assert types[EventType.RENEWAL] + paired == reference.billed


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
