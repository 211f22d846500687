"""A customer's life at Paddle, told step by step: each step adds the webhooks that Paddle would send.

    Customer.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new customer; amounts are in minor units. Ids carry the customer's tag, so stories never meet. Which events a
step sends, and in which order, is what developer.paddle.com says of the simulator's scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.simulation.timeline import Bill, Subscribed, Timeline

__all__ = ["EBOOK", "PRO", "STARTER", "TEAM", "Customer", "Subscribed"]

STARTER = Plan(id="starter", minor=1900, name="Starter")
PRO = Plan(id="pro", minor=4900, name="Pro")
TEAM = Plan(id="team", minor=9900, name="Team")
EBOOK = Plan(id="ebook", minor=2900, name="E-book", interval=None)

KINDS = {"past_due": "subscription.past_due", "paused": "subscription.paused", "active": "subscription.resumed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(Timeline):
    """A customer's life so far, and what may happen next."""

    # ---- Buying ----

    def buy(self, plan: Plan = EBOOK, *, guest: bool = False) -> Self:
        """A one-time purchase."""
        line = payloads.line(plan, amount=plan.minor)
        bill = Bill(id=self._numbered("txn"), origin="web", plans=((plan, 1),), lines=(line,), is_guests=guest)
        return self._opened(bill)._completed(bill)

    def subscribe(
        self, plan: Plan = PRO, quantity: int = 1, *, name: str = "1", trial_days: int = 0, discount: Body | None = None
    ) -> Self:
        """A new subscription through checkout, perhaps with a trial first."""
        trial_ends_at = self.at + timedelta(days=trial_days) if trial_days else None
        sold = Subscribed(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            renews_at=trial_ends_at or self.at + plan.period,
            status="trialing" if trial_days else "active",
            trial_ends_at=trial_ends_at,
            discount=discount,
            first_transaction=self._numbered("txn"),
        )
        line = payloads.line(plan, amount=0 if trial_days else sold.per_period, quantity=quantity)
        bill = Bill(id=self._numbered("txn"), origin="web", plans=((plan, quantity),), lines=(line,), subscription=sold)
        customer = self._opened(bill)._with_subscription(name, sold)
        customer = customer.sent("subscription.created", self._entity(sold, created=True, seconds=1), 1)
        kind = "subscription.trialing" if trial_days else "subscription.activated"
        customer = customer.sent(kind, self._entity(sold, seconds=1), 1.1)
        return customer.sent("transaction.updated", self._transaction(bill, "paid"), 1.5)._completed(bill)

    def charge(self, plan: Plan = EBOOK, *, name: str = "1") -> Self:
        """A one-time charge on a subscription."""
        line = payloads.line(plan, amount=plan.minor)
        return self._charged("subscription_charge", ((plan, 1),), (line,), self.subscriptions[name])

    # ---- Going on ----

    def renew(self, name: str = "1") -> Self:
        """The next period begins and is paid: after a trial the first one, after a pause a new one."""
        sold = self.subscriptions[name]
        if sold.status == "paused":
            return self.resume(name)
        customer = replace(self, at=max(self.at, sold.renews_at))
        renewed = replace(sold, renews_at=sold.renews_at + sold.plan.period)
        if sold.status != "trialing":
            renewed = replace(renewed, status="active")
            return customer._updated(name, renewed)._period_paid(renewed)
        customer = customer._updated(name, renewed)._period_paid(renewed)
        return customer._activated(name, replace(renewed, status="active", trial_ends_at=None))

    def resume(self, name: str = "1") -> Self:
        """A paused subscription goes on: a new period begins now and is paid."""
        sold = self.subscriptions[name]
        resumed = replace(sold, status="active", paused_at=None, renews_at=self.at + sold.plan.period)
        customer = self._updated(name, resumed).sent("subscription.resumed", self._entity(resumed, seconds=0.1), 0.2)
        return customer._period_paid(resumed)._activated(name, resumed)

    def change(
        self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1", billed: int | None = None
    ) -> Self:
        """Another plan or quantity; `billed`: minor units asked for at once, for the rest of the period."""
        sold = self.subscriptions[name]
        new = replace(sold, plan=plan or sold.plan, quantity=sold.quantity if quantity is None else quantity)
        customer = self._updated(name, new)
        if billed is None:
            return customer
        share = self._share_left(sold)
        credit = round(sold.per_period * share)
        lines = (
            payloads.line(new.plan, amount=billed + credit, quantity=new.quantity, rate=f"{share:.5f}"),
            payloads.line(sold.plan, amount=-credit, quantity=-sold.quantity, rate=f"{share:.5f}"),
        )
        plans = ((new.plan, new.quantity), (sold.plan, sold.quantity))
        return customer._charged("subscription_update", plans, lines, new)

    def become(self, status: str, *, name: str = "1") -> Self:
        """`past_due`, `paused`, or `active` again without a bill: an update, and the event of that name."""
        sold = replace(self.subscriptions[name], status=status, paused_at=self.at if status == "paused" else None)
        return self._updated(name, sold).sent(KINDS[status], self._entity(sold, seconds=0.1), 0.2)

    # ---- Leaving ----

    def cancel(self, *, name: str = "1", scheduled: bool = False) -> Self:
        """The subscription ends now, or is scheduled to end with its period."""
        sold = self.subscriptions[name]
        if scheduled:
            change = {"action": "cancel", "effective_at": payloads.stamp(sold.renews_at), "resume_at": None}
            return self._updated(name, replace(sold, scheduled_change=change))
        ended = replace(sold, status="canceled", canceled_at=self.at, scheduled_change=None)
        return self._updated(name, ended).sent("subscription.canceled", self._entity(ended, seconds=0.1), 0.2)

    def expire(self, *, name: str = "1") -> Self:
        """The scheduled end arrives."""
        return replace(self, at=max(self.at, self.subscriptions[name].renews_at)).cancel(name=name)

    # ---- Money that goes back ----

    def refund(self, minor: int | None = None, *, payment: int = -1, approved: bool = True) -> Self:
        """A refund is asked for, and approved or rejected some minutes later."""
        adjustment_id = self._numbered("adj")
        asked = self._adjustment(adjustment_id, "refund", minor, payment, "pending_approval")
        done = self._adjustment(adjustment_id, "refund", minor, payment, "approved" if approved else "rejected")
        return self.sent("adjustment.created", asked).sent("adjustment.updated", done, 600)

    def adjusted(self, action: str, minor: int | None = None, *, payment: int = -1) -> Self:
        """A chargeback, a warning of one, a credit; or what reverses one, which marks the first as reversed too."""
        adjustment_id = self._numbered("adj")
        place = payment % len(self.paid)
        amount = self.paid[place][1] if minor is None else minor
        entity = self._adjustment(adjustment_id, action, minor, payment, "approved")
        customer = replace(self, taken_back=(*self.taken_back, (adjustment_id, action, amount, place)))
        for first_id, first, taken, paid in self.taken_back:
            if action == f"{first}_reverse" and paid == place:
                reversed_ = self._adjustment(first_id, first, taken, place, "reversed")
                customer = customer.sent("adjustment.updated", reversed_)
        return customer.sent("adjustment.created", entity, 0.1)

    # ---- How the steps are made ----

    def _charged(
        self, origin: str, plans: tuple[tuple[Plan, int], ...], lines: tuple[Body, ...], sold: Subscribed
    ) -> Self:
        bill = Bill(id=self._numbered("txn"), origin=origin, plans=plans, lines=lines, subscription=sold)
        return self._billed(bill)._completed(bill)

    def _period_paid(self, sold: Subscribed) -> Self:
        line = payloads.line(sold.plan, amount=sold.per_period, quantity=sold.quantity, rate="1")
        return self._charged("subscription_recurring", ((sold.plan, sold.quantity),), (line,), sold)

    def _activated(self, name: str, sold: Subscribed) -> Self:
        """The payment of a trial's end, or of what was paused, has completed."""
        customer = self._updated(name, sold, 3)
        return customer.sent("subscription.activated", self._entity(sold, seconds=3), 3.1)

    def _share_left(self, sold: Subscribed) -> float:
        """What share of the present period is still to come; never quite all of it."""
        return min(max((sold.renews_at - self.at) / sold.plan.period, 0.0), 0.99999)
