"""A customer's life at Paddle, told step by step: each step adds the webhooks that Paddle would send.

    Story.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new story; amounts are in minor units. Ids carry the story's tag, so stories never meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.paddle import bodies
from processors.paddle.bodies import Body, Plan

STARTER = Plan(id="starter", minor=1900, name="Starter")
PRO = Plan(id="pro", minor=4900, name="Pro")
TEAM = Plan(id="team", minor=9900, name="Team")
EBOOK = Plan(id="ebook", minor=2900, name="E-book", interval=None)
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscription of the story as it stands."""

    id: str
    plan: Plan
    quantity: int
    started_at: datetime
    renews_at: datetime
    status: str = "active"
    trial_ends_at: datetime | None = None
    canceled_at: datetime | None = None
    scheduled_change: Body | None = None
    discount: Body | None = None
    first_transaction: str | None = None

    @property
    def per_period(self) -> int:
        """What one whole period costs, before discounts and tax."""
        return self.plan.minor * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One customer so far. `webhooks` are their bodies, in the order in which things happened; `at` is now."""

    tag: str
    at: datetime
    visit: Mapping[str, Any] | None = None  # the custom data that names the visit
    currency: str = "USD"
    webhooks: tuple[bytes, ...] = ()
    subscriptions: Mapping[str, Subscribed] = field(default_factory=dict)
    paid: tuple[tuple[str, int, str | None], ...] = ()  # transaction, minor units, subscription

    @classmethod
    def begin(cls, tag: str, at: datetime, **more: Any) -> Self:
        """A new customer, who came by a visit that has the tag's name."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, **{"visit": visit, **more})

    @property
    def customer_id(self) -> str:
        """The customer."""
        return f"ctm_{self.tag}"

    def later(self, **span: float) -> Self:
        """The same some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def told(self, kind: str, entity: Body, seconds: float = 0) -> Self:
        """With one more webhook, dated `seconds` after now."""
        event_id = f"evt_{self.tag}_{len(self.webhooks) + 1}"
        body = bodies.event(kind, entity, at=self.at + timedelta(seconds=seconds), event_id=event_id)
        return replace(self, webhooks=(*self.webhooks, body))

    # ---- Steps ----

    def buy(self, plan: Plan = EBOOK, *, guest: bool = False) -> Self:
        """A one-time purchase."""
        line = bodies.line(plan, amount=plan.minor)
        return self._transacted("web", [(plan, 1)], [line], None, guest=guest)

    def subscribe(
        self, plan: Plan = PRO, quantity: int = 1, *, name: str = "1", trial_days: int = 0, discount: Body | None = None
    ) -> Self:
        """A new subscription through checkout, perhaps with a trial first."""
        trial_ends_at = self.at + timedelta(days=trial_days) if trial_days else None
        transaction_id = f"txn_{self.tag}_{len(self.webhooks) + 1}"
        sold = Subscribed(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            renews_at=trial_ends_at or self.at + MONTH,
            status="trialing" if trial_days else "active",
            trial_ends_at=trial_ends_at,
            discount=discount,
            first_transaction=transaction_id,
        )
        story = self._holding(name, sold).told("subscription.created", self._entity(sold, created=True), 1)
        story = story.told("subscription.trialing" if trial_days else "subscription.activated", self._entity(sold), 1.1)
        amount = 0 if trial_days else sold.per_period
        line = bodies.line(plan, amount=amount, quantity=quantity)
        return story._transacted("web", [(plan, quantity)], [line], sold.id, transaction_id=transaction_id)

    def renew(self, name: str = "1") -> Self:
        """The next period begins and is paid."""
        sold = self.subscriptions[name]
        story = replace(self, at=max(self.at, sold.renews_at))
        renewed = replace(sold, renews_at=sold.renews_at + MONTH, status="active", trial_ends_at=None)
        story = story._became(name, renewed)
        if sold.status in ("trialing", "paused"):
            story = story.told("subscription.activated", story._entity(renewed), 5)
        line = bodies.line(sold.plan, amount=sold.per_period, quantity=sold.quantity, rate="1")
        return story._transacted("subscription_recurring", [(sold.plan, sold.quantity)], [line], sold.id)

    def change(
        self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1", billed: int | None = None
    ) -> Self:
        """Another plan or quantity; `billed`: minor units asked for at once, for the rest of the period."""
        sold = self.subscriptions[name]
        new = replace(sold, plan=plan or sold.plan, quantity=sold.quantity if quantity is None else quantity)
        story = self._became(name, new)
        if billed is None:
            return story
        line = bodies.line(new.plan, amount=billed, quantity=new.quantity, rate="0.5")
        return story._transacted("subscription_update", [(new.plan, new.quantity)], [line], sold.id)

    def charge(self, plan: Plan = EBOOK, *, name: str = "1") -> Self:
        """A one-time charge on a subscription."""
        line = bodies.line(plan, amount=plan.minor)
        return self._transacted("subscription_charge", [(plan, 1)], [line], self.subscriptions[name].id)

    def become(self, status: str, *, name: str = "1") -> Self:
        """`past_due`, `paused`, or `active` again: an update, and the event of that name."""
        sold = replace(self.subscriptions[name], status=status)
        kinds = {"past_due": "subscription.past_due", "paused": "subscription.paused", "active": "subscription.resumed"}
        return self._became(name, sold).told(kinds[status], self._entity(sold), 0.2)

    def cancel(self, *, name: str = "1", scheduled: bool = False) -> Self:
        """The subscription ends now, or is scheduled to end with its period."""
        sold = self.subscriptions[name]
        if scheduled:
            change = {"action": "cancel", "effective_at": bodies.stamp(sold.renews_at), "resume_at": None}
            return self._became(name, replace(sold, scheduled_change=change))
        ended = replace(sold, status="canceled", canceled_at=self.at, scheduled_change=None)
        return self._became(name, ended).told("subscription.canceled", self._entity(ended), 0.2)

    def expire(self, *, name: str = "1") -> Self:
        """The scheduled end arrives."""
        return replace(self, at=max(self.at, self.subscriptions[name].renews_at)).cancel(name=name)

    def refund(self, minor: int | None = None, *, payment: int = -1, approved: bool = True) -> Self:
        """A refund is asked for, and approved or rejected some minutes later."""
        adjustment_id = f"adj_{self.tag}_{len(self.webhooks) + 1}"
        asked = self._adjustment(adjustment_id, "refund", minor, payment, "pending_approval")
        done = self._adjustment(adjustment_id, "refund", minor, payment, "approved" if approved else "rejected")
        return self.told("adjustment.created", asked).told("adjustment.updated", done, 600)

    def adjusted(self, action: str, minor: int | None = None, *, payment: int = -1) -> Self:
        """A chargeback, a warning of one, or what reverses them."""
        adjustment_id = f"adj_{self.tag}_{len(self.webhooks) + 1}"
        return self.told("adjustment.created", self._adjustment(adjustment_id, action, minor, payment, "approved"))

    # ---- How the steps are made ----

    def _holding(self, name: str, sold: Subscribed) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: sold})

    def _became(self, name: str, sold: Subscribed) -> Self:
        return self._holding(name, sold).told("subscription.updated", self._entity(sold), 0.1)

    def _entity(self, sold: Subscribed, *, created: bool = False) -> Body:
        return bodies.subscription(
            sold.id,
            customer=self.customer_id,
            plans=[(sold.plan, sold.quantity)],
            status=sold.status,
            started_at=sold.started_at,
            updated_at=self.at,
            currency=self.currency,
            transaction_id=sold.first_transaction if created else None,
            trial_ends_at=sold.trial_ends_at,
            scheduled_change=sold.scheduled_change,
            discount=sold.discount,
            canceled_at=sold.canceled_at,
            custom_data=self.visit,
        )

    def _transacted(
        self,
        origin: str,
        plans: list[tuple[Plan, int]],
        lines: list[Body],
        subscription: str | None,
        *,
        transaction_id: str | None = None,
        guest: bool = False,
    ) -> Self:
        """A transaction from draft to completed, with all that Paddle tells on the way."""
        key = transaction_id or f"txn_{self.tag}_{len(self.webhooks) + 1}"

        def entity(status: str, owner: str | None) -> Body:
            return bodies.transaction(
                key,
                customer=None if guest else self.customer_id,
                plans=plans,
                lines=lines,
                origin=origin,
                status=status,
                subscription=owner,
                currency=self.currency,
                custom_data=self.visit,
                at=self.at,
            )

        begun = None if origin == "web" else subscription
        story = self.told("transaction.created", entity("billed" if begun else "ready", begun), 0.3)
        story = story.told("transaction.paid", entity("paid", begun), 0.8)
        story = story.told("transaction.updated", entity("paid", subscription), 1.5)
        story = story.told("transaction.completed", entity("completed", subscription), 2.5)
        minor = int(entity("completed", subscription)["details"]["totals"]["grand_total"])
        return replace(story, paid=(*story.paid, (key, minor, subscription)))

    def _adjustment(self, adjustment_id: str, action: str, minor: int | None, payment: int, status: str) -> Body:
        transaction, paid, subscription = self.paid[payment]
        return bodies.adjustment(
            adjustment_id,
            transaction=transaction,
            minor=paid if minor is None else minor,
            customer=self.customer_id,
            subscription=subscription,
            action=action,
            status=status,
            currency=self.currency,
            at=self.at,
        )
