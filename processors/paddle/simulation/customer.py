"""A simulated Paddle customer: each step adds the webhooks that Paddle would send.

    Customer.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new value; amounts are in minor units. Ids contain the customer's tag, so two customers share none. The
events of a step and their order follow the scenarios of Paddle's webhook simulator (developer.paddle.com).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.simulation.timeline import Subscription, Timeline, Transaction

__all__ = ["EBOOK", "PRO", "STARTER", "TEAM", "Customer", "Subscription"]

STARTER = Plan(id="starter", minor=1900, name="Starter")
PRO = Plan(id="pro", minor=4900, name="Pro")
TEAM = Plan(id="team", minor=9900, name="Team")
EBOOK = Plan(id="ebook", minor=2900, name="E-book", interval=None)

KINDS = {"past_due": "subscription.past_due", "paused": "subscription.paused", "active": "subscription.resumed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(Timeline):
    """A customer with a history, and the steps that may follow."""

    # ---- Buying ----

    def buy(self, plan: Plan = EBOOK, *, guest: bool = False) -> Self:
        """A one-time purchase."""
        line = payloads.line(plan, amount=plan.minor)
        transaction = Transaction(
            id=self._numbered("txn"), origin="web", plans=((plan, 1),), lines=(line,), is_guests=guest
        )
        return self._opened(transaction)._completed(transaction)

    def subscribe(
        self,
        plan: Plan = PRO,
        quantity: int = 1,
        *,
        name: str = "1",
        trial_days: int = 0,
        discount: Body | None = None,
        percent_off: int = 0,
    ) -> Self:
        """A new subscription through checkout, optionally with a trial first, or with a discount on every payment."""
        trial_ends_at = self.at + timedelta(days=trial_days) if trial_days else None
        subscription = Subscription(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            renews_at=trial_ends_at or self.at + plan.period,
            status="trialing" if trial_days else "active",
            trial_ends_at=trial_ends_at,
            discount=discount,
            percent_off=percent_off,
            first_transaction=self._numbered("txn"),
        )
        line = payloads.line(
            plan,
            amount=0 if trial_days else subscription.per_period,
            quantity=quantity,
            discount=0 if trial_days else subscription.off_per_period,
        )
        transaction = Transaction(
            id=self._numbered("txn"),
            origin="web",
            plans=((plan, quantity),),
            lines=(line,),
            subscription=subscription,
            discount_id=_discount_id(subscription),
        )
        customer = self._opened(transaction)._with_subscription(name, subscription)
        customer = customer.sent("subscription.created", self._entity(subscription, created=True, seconds=1), 1)
        kind = "subscription.trialing" if trial_days else "subscription.activated"
        customer = customer.sent(kind, self._entity(subscription, seconds=1), 1.1)
        return customer.sent("transaction.updated", self._transaction(transaction, "paid"), 1.5)._completed(transaction)

    def subscribe_with_coupon(self, percent: int, plan: Plan = PRO) -> Self:
        """A new subscription with a discount that was made for this customer, on every payment."""
        discount_id = f"dsc_{self.tag}"
        customer = self.sent("discount.created", payloads.discount(discount_id, percent=percent, at=self.at))
        applied = {"id": discount_id, "starts_at": payloads.stamp(self.at), "ends_at": None}
        return customer.subscribe(plan, discount=applied, percent_off=percent)

    def charge(self, plan: Plan = EBOOK, *, name: str = "1") -> Self:
        """A one-time charge on a subscription."""
        line = payloads.line(plan, amount=plan.minor)
        return self._charged("subscription_charge", ((plan, 1),), (line,), self.subscriptions[name])

    # ---- Continuing ----

    def renew(self, name: str = "1") -> Self:
        """The next period begins and is paid: after a trial the first one, after a pause a new one."""
        subscription = self.subscriptions[name]
        if subscription.status == "paused":
            return self.resume(name)
        customer = replace(self, at=max(self.at, subscription.renews_at))
        renewed = replace(subscription, renews_at=subscription.renews_at + subscription.plan.period)
        if subscription.status != "trialing":
            renewed = replace(renewed, status="active")
            return customer._updated(name, renewed)._period_paid(renewed)
        customer = customer._updated(name, renewed)._period_paid(renewed)
        return customer._activated(name, replace(renewed, status="active", trial_ends_at=None, billed_at=customer.at))

    def resume(self, name: str = "1") -> Self:
        """A paused subscription resumes: a new period begins now and is paid."""
        subscription = self.subscriptions[name]
        resumed = replace(subscription, status="active", paused_at=None, renews_at=self.at + subscription.plan.period)
        customer = self._updated(name, resumed).sent("subscription.resumed", self._entity(resumed, seconds=0.1), 0.2)
        return customer._period_paid(resumed)._activated(name, resumed)

    def change(
        self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1", billed: int | None = None
    ) -> Self:
        """Another plan or quantity; `billed`: minor units charged at once, for the rest of the period."""
        subscription = self.subscriptions[name]
        new = replace(
            subscription,
            plan=plan or subscription.plan,
            quantity=subscription.quantity if quantity is None else quantity,
        )
        customer = self._updated(name, new)
        if billed is None:
            return customer
        share = self._share_left(subscription)
        credit = round(subscription.per_period * share)
        lines = (
            payloads.line(new.plan, amount=billed + credit, quantity=new.quantity, rate=f"{share:.5f}"),
            payloads.line(subscription.plan, amount=-credit, quantity=-subscription.quantity, rate=f"{share:.5f}"),
        )
        plans = ((new.plan, new.quantity), (subscription.plan, subscription.quantity))
        return customer._charged("subscription_update", plans, lines, new)

    def become(self, status: str, *, name: str = "1") -> Self:
        """`past_due`, `paused`, or `active` again without a charge: an update, and the event of that name."""
        subscription = replace(
            self.subscriptions[name], status=status, paused_at=self.at if status == "paused" else None
        )
        return self._updated(name, subscription).sent(KINDS[status], self._entity(subscription, seconds=0.1), 0.2)

    # ---- Cancelling ----

    def cancel(self, *, name: str = "1", scheduled: bool = False) -> Self:
        """The subscription ends now, or is scheduled to end with its period."""
        subscription = self.subscriptions[name]
        if scheduled:
            change = {"action": "cancel", "effective_at": payloads.stamp(subscription.renews_at), "resume_at": None}
            return self._updated(name, replace(subscription, scheduled_change=change))
        ended = replace(subscription, status="canceled", canceled_at=self.at, scheduled_change=None)
        return self._updated(name, ended).sent("subscription.canceled", self._entity(ended, seconds=0.1), 0.2)

    def expire(self, *, name: str = "1") -> Self:
        """The scheduled end arrives."""
        return replace(self, at=max(self.at, self.subscriptions[name].renews_at)).cancel(name=name)

    # ---- Refunds and chargebacks ----

    def refund(self, minor: int | None = None, *, payment: int = -1, approved: bool = True) -> Self:
        """A refund is requested, and approved or rejected ten minutes later."""
        adjustment_id = self._numbered("adj")
        asked = self._adjustment(adjustment_id, "refund", minor, payment, "pending_approval")
        done = self._adjustment(adjustment_id, "refund", minor, payment, "approved" if approved else "rejected")
        return self.sent("adjustment.created", asked).sent("adjustment.updated", done, 600)

    def adjusted(self, action: str, minor: int | None = None, *, payment: int = -1) -> Self:
        """A chargeback, a chargeback warning, a credit, or a reversal, which also marks the original as reversed."""
        adjustment_id = self._numbered("adj")
        place = payment % len(self.paid)
        amount = self.paid[place][1] if minor is None else minor
        entity = self._adjustment(adjustment_id, action, minor, payment, "approved")
        customer = replace(self, chargebacks=(*self.chargebacks, (adjustment_id, action, amount, place)))
        for first_id, first, taken, paid in self.chargebacks:
            if action == f"{first}_reverse" and paid == place:
                reversed_ = self._adjustment(first_id, first, taken, place, "reversed")
                customer = customer.sent("adjustment.updated", reversed_)
        return customer.sent("adjustment.created", entity, 0.1)

    # ---- Helpers ----

    def _charged(
        self, origin: str, plans: tuple[tuple[Plan, int], ...], lines: tuple[Body, ...], subscription: Subscription
    ) -> Self:
        transaction = Transaction(
            id=self._numbered("txn"),
            origin=origin,
            plans=plans,
            lines=lines,
            subscription=subscription,
            discount_id=_discount_id(subscription) if origin == "subscription_recurring" else None,
        )
        return self._billed(transaction)._completed(transaction)

    def _period_paid(self, subscription: Subscription) -> Self:
        line = payloads.line(
            subscription.plan,
            amount=subscription.per_period,
            quantity=subscription.quantity,
            discount=subscription.off_per_period,
            rate="1",
        )
        return self._charged(
            "subscription_recurring", ((subscription.plan, subscription.quantity),), (line,), subscription
        )

    def _activated(self, name: str, subscription: Subscription) -> Self:
        """The payment after a trial or a pause has completed."""
        customer = self._updated(name, subscription, 3)
        return customer.sent("subscription.activated", self._entity(subscription, seconds=3), 3.1)

    def _share_left(self, subscription: Subscription) -> float:
        """The share of the present period that is left: below 1, since a rate of 1 means a whole period."""
        return min(max((subscription.renews_at - self.at) / subscription.plan.period, 0.0), 0.99999)


def _discount_id(subscription: Subscription) -> str | None:
    return None if subscription.discount is None or not subscription.percent_off else subscription.discount["id"]
