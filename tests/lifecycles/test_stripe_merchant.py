"""Random customers of a Stripe merchant, with late, shuffled and duplicated webhooks: the ledger matches the reference.

A campaign, with another seed in each run:

    MERCHANT_STEPS=1000000 python -m pytest tests/lifecycles/test_stripe_merchant.py
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from bridge.ledger import Policy
from bridge.ledger.policy import ChurnAt, MrrDiscounts
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles import merchant_offers
from tests.lifecycles.harness import Ledger
from tests.lifecycles.merchant_customer import MerchantCustomer
from tests.lifecycles.merchant_frame import START, run, some
from tests.lifecycles.merchant_offers import ADDONS, COUPONS, CUSTOMER_COUPONS, METER, OFFERS, Offer, is_free
from tests.lifecycles.reference_ledger import ReferenceCoupon, ReferenceLedger, ReferenceSubscription
from tests.lifecycles.stripe_merchant import (
    CUSTOMERS,
    Customer,
    StripeMerchant,
    has_addon,
    has_coupon,
    has_not_ended,
    has_open_invoice,
    invoiced,
    is_active,
    is_continuing,
    is_leaving,
    is_past_due,
    is_paused,
    is_served,
    may_have_more,
    merchant_catalog,
    reference_coupon,
)

MANY = 60  # webhooks in transit


class Merchant(StripeMerchant):
    """What customers and merchant may do."""

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
        if trial_days and merchant_offers.is_shown_by_bills(taken):
            return  # no bill would show what the coupon comes off
        bought = replace(offer, extras=((METER, 1),)) if has_usage else offer
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
        assert paid == (0 if trial_days else invoiced(customer.reference, sold))
        self.subscription_changed(customer, name, paid)

    @rule(which=some, plan=st.sampled_from(sorted(OFFERS)), seats=st.integers(1, 5), billed=st.booleans())
    @precondition(lambda self: self.any_sold(is_active))
    def changes(self, which: int, plan: str, seats: int, billed: bool) -> None:
        (customer, name), offer = self.sold(which, is_active), OFFERS[plan]
        old, sold = customer.simulated.subscriptions[name], customer.reference.subscriptions[name]
        if offer.is_shown_by_bills and is_free(old.coupon):
            return
        new = replace(offer, extras=offer_of(customer.simulated, name).extras)
        if offer.is_shown_by_bills or merchant_offers.is_shown_by_bills(old.coupon):
            paid = customer.step(lambda simulated: simulated.change_and_begin_anew(new, seats, name=name))
        else:
            paid = customer.step(lambda simulated: simulated.change(new, seats, name=name, billed=billed))
        sold.items[0] = offer.sold(seats)
        self.subscription_changed(customer, name, paid)

    @rule(which=some, units=st.sampled_from((200, 1000, 20_000)))
    @precondition(lambda self: self.any_sold(is_active))
    def reaches_a_usage_threshold(self, which: int, units: int) -> None:
        customer, name = self.sold(which, is_active, apart=True)
        if (METER, 1) not in offer_of(customer.simulated, name).extras:
            return
        paid = customer.step(lambda simulated: simulated.reach_threshold(units, name=name))
        if paid:
            customer.reference.received(paid, of_subscription=True)

    @rule(which=some, addon=st.sampled_from(sorted(ADDONS)))
    @precondition(lambda self: self.any_sold(may_have_more))
    def adds_what_is_billed_alone(self, which: int, addon: str) -> None:
        customer, name = self.sold(which, may_have_more, apart=True)
        sold = customer.reference.subscriptions[name]
        if ADDONS[addon] in offer_of(customer.simulated, name).addons:
            return
        paid = customer.step(lambda simulated: simulated.add(ADDONS[addon], name=name))
        sold.items.append(ADDONS[addon].sold(1))
        self.subscription_changed(customer, name, paid)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_addon))
    def pays_for_an_addon_alone(self, which: int) -> None:
        customer, name = self.sold(which, has_addon, apart=True)
        addon = last_addon(customer.simulated, name)
        paid = customer.step(lambda simulated: simulated.bill_alone(addon, "subscription_cycle", name=name))
        if paid:
            customer.reference.received(paid, of_subscription=True)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_addon))
    def drops_an_addon(self, which: int) -> None:
        customer, name = self.sold(which, has_addon, apart=True)
        customer.step(lambda simulated: simulated.drop(last_addon(simulated, name), name=name))
        customer.reference.subscriptions[name].items.pop()
        self.subscription_changed(customer, name)

    @rule(which=some, coupon=st.sampled_from(sorted(COUPONS)))
    @precondition(lambda self: self.any_sold(is_active))
    def is_given_a_coupon(self, which: int, coupon: str) -> None:
        given = COUPONS[coupon]
        is_hidden = merchant_offers.is_shown_by_bills(given)
        customer, name = self.sold(which, is_active, apart=is_hidden)
        has_more = len(customer.reference.subscriptions[name].items) > 1
        if customer.simulated.subscriptions[name].coupon == given or (has_more and (is_hidden or coupon == "5.00 off")):
            return
        if is_hidden:
            paid = customer.step(lambda simulated: simulated.with_coupon(given, name=name).begin_anew(name=name))
            customer.is_quiet = False  # two changes in one second
        else:
            paid = customer.step(lambda simulated: simulated.with_coupon(given, name=name))
        customer.reference.subscriptions[name].coupon = reference_coupon(customer, given, name)
        self.subscription_changed(customer, name, paid)

    @rule(which=some)
    @precondition(lambda self: self.any_sold(has_coupon))
    def loses_the_coupon(self, which: int) -> None:
        customer, name = self.sold(which, has_coupon, apart=True)  # else the coupon has ended for the step before, too
        customer.step(lambda simulated: simulated.without_coupon(name=name))
        customer.reference.subscriptions[name].coupon = None
        self.subscription_changed(customer, name)

    @rule(which=some, coupon=st.sampled_from(sorted(CUSTOMER_COUPONS)))
    @precondition(lambda self: any(one.reference.coupon is None for one in self.customers))
    def the_customer_is_given_a_discount(self, which: int, coupon: str) -> None:
        customer, given = self.customer_after_a_while(which, apart=True), CUSTOMER_COUPONS[coupon]
        if customer.reference.coupon is not None:
            return
        customer.step(lambda simulated: simulated.with_discount(given))
        customer.reference.coupon = ReferenceCoupon(percent=int(given["percent_off"]))
        self.customer_changed(customer)

    @rule(which=some)
    @precondition(lambda self: any(one.reference.coupon is not None for one in self.customers))
    def the_customer_loses_the_discount(self, which: int) -> None:
        customer = self.customer_after_a_while(which, apart=True)
        if customer.reference.coupon is None:
            return
        customer.step(lambda simulated: simulated.without_discount())
        customer.reference.coupon = None
        self.customer_changed(customer)

    # ---- Events over time ----

    @rule(which=some)
    @precondition(lambda self: self.any_sold(is_continuing))
    def renews(self, which: int) -> None:
        customer, name = self.sold(which, is_continuing)
        sold = customer.reference.subscriptions[name]
        paid = customer.step(lambda simulated: simulated.renew(name))
        sold.status = "active"
        assert paid == invoiced(customer.reference, sold)
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
        assert paid == invoiced(customer.reference, sold)
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
        customer.is_quiet = False  # the order within a second is found by equal terms, which two versions do not have

    @rule(which=some)
    @precondition(lambda self: any(one.in_transit for one in self.customers))
    def a_window_arrives(self, which: int) -> None:
        self.deliver(self.customers[which % CUSTOMERS], random.Random(which))

    @rule(which=some)
    @precondition(lambda self: sum(len(one.in_transit) for one in self.customers) > MANY)
    def everything_has_arrived(self, which: int) -> None:
        for customer in self.customers:
            self.close(customer, random.Random(which))

    def teardown(self) -> None:
        for customer in self.customers:
            self.close(customer, random.Random(self.serial))


def last_addon(simulated: MerchantCustomer, name: str) -> Offer:
    """The item that was added last."""
    return offer_of(simulated, name).addons[-1]


def offer_of(simulated: MerchantCustomer, name: str) -> Offer:
    """The plan of a subscription with its further items."""
    plan = simulated.subscriptions[name].plan
    assert isinstance(plan, Offer)
    return plan


@pytest.mark.timeout(3600)  # a campaign may be long
def test_the_ledger_agrees_with_the_reference_ledger_of_a_random_merchant() -> None:
    run(Merchant, steps=2000, length=50)
