"""Steps in the life of a Paddle customer that a story for simulation has no need of: invoices, tax, odd clocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.simulation.customer import PRO, Customer, Subscribed


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling(Customer):
    """A story with further steps."""

    # ---- Which webhooks come at all ----

    def without(self, *kinds: str) -> Self:
        """Told to a destination that does not subscribe to some types."""
        return replace(self, webhooks=tuple(body for body in self.webhooks if _kind(body) not in kinds))

    def since_then(self) -> Self:
        """The bridge is installed now: nobody was told of what happened so far."""
        return replace(self, webhooks=())

    def twice(self) -> Self:
        """Every webhook so far is delivered once more: the same event under another notification."""
        return replace(self, webhooks=self.webhooks * 2)

    # ---- How it is paid ----

    def bill(
        self,
        *lines: Body,
        origin: str = "subscription_recurring",
        name: str | None = "1",
        credit: int = 0,
        discount_id: str | None = None,
    ) -> Self:
        """A transaction with these lines."""
        sold = None if name is None else self.subscriptions[name]
        plans = [] if sold is None else [(sold.plan, sold.quantity)]
        entity = payloads.transaction(
            f"txn_{self.tag}_{len(self.webhooks) + 1}",
            customer=self.customer_id,
            plans=plans,
            lines=lines,
            origin=origin,
            subscription=None if sold is None else sold.id,
            credit=credit,
            currency=self.currency,
            discount_id=discount_id,
            custom_data=self.visit,
            at=self.at,
        )
        minor = int(entity["details"]["totals"]["grand_total"])
        story = self.sent("transaction.completed", entity, 2.5)
        return replace(story, paid=(*story.paid, (entity["id"], minor, None if sold is None else sold.id)))

    def start(self, plan: Plan = PRO, quantity: int = 1, *, name: str = "1", **more: Any) -> Self:
        """A subscription is created and active; its payment is another step."""
        sold = Subscribed(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            renews_at=self.at + timedelta(days=30),
            **more,
        )
        story = self._with_subscription(name, sold).sent("subscription.created", self._entity(sold), 1)
        return story.sent("subscription.activated", self._entity(sold), 1.1)

    def stands(self, *, name: str = "1", kind: str = "subscription.updated", **more: Any) -> Self:
        """Something of the subscription is changed and told, under this type."""
        sold = replace(self.subscriptions[name], **more)
        return self._with_subscription(name, sold).sent(kind, self._entity(sold), 0.1)

    def says(self, kind: str, **more: Any) -> Self:
        """The subscription is told once more under another type, with something in the entity written differently."""
        return self.sent(kind, {**self._entity(self.subscriptions["1"]), **more}, 0.2)

    def discount(self, discount_id: str, **more: Any) -> Self:
        """The merchant makes a discount; ten percent for ever unless something else is said."""
        terms = {"type": "percentage", "amount": "10", "recur": True, "restrict_to": [], "code": discount_id.upper()}
        return self.sent("discount.created", {"id": discount_id, **terms, **more})

    def failing(self) -> Self:
        """A renewal fails as Paddle tells it: active with new dates first, and past due a little later."""
        sold = self.subscriptions["1"]
        story = replace(self, at=sold.renews_at).stands(renews_at=sold.renews_at + timedelta(days=30))
        line = payloads.line(sold.plan, amount=sold.per_period, rate="1")
        story = story._unpaid("transaction.payment_failed", "billed", line)
        story = story._unpaid("transaction.past_due", "past_due", line)
        return story.later(seconds=5).become("past_due")

    def _unpaid(self, kind: str, status: str, line: Body) -> Self:
        sold = self.subscriptions["1"]
        entity = payloads.transaction(
            f"txn_{self.tag}_unpaid",
            customer=self.customer_id,
            plans=[(sold.plan, sold.quantity)],
            lines=[line],
            origin="subscription_recurring",
            status=status,
            subscription=sold.id,
            at=self.at,
        )
        return self.sent(kind, entity, 1)

    def marked(self, visit: Mapping[str, Any] | None) -> Self:
        """From now on, this stands in the custom data."""
        return replace(self, visit=visit)


def net(plan: Plan, amount: int, tax: int = 0, **more: Any) -> Body:
    """A line of a transaction: `amount` without tax."""
    return payloads.line(plan, amount=amount, tax=tax, **more)


def _kind(body: bytes) -> str:
    return str(json.loads(body)["event_type"])
