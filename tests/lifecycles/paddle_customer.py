"""A simulated Paddle customer with the steps that no scenario needs: invoices, tax, unusual timestamps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO, Customer, Subscription
from processors.paddle.simulation.payloads import Body, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedCustomer(Customer):
    """A customer with further steps. `owner`: the tag of the customer whom the webhooks name now.

    `extras`: further items of every subscription, each with its quantity. `taxes`: the tax in each transaction.
    """

    owner: str | None = None
    extras: tuple[tuple[Plan, int], ...] = ()
    taxes: Mapping[str, int] = field(default_factory=dict)

    @property
    def customer_id(self) -> str:
        """The id of the customer whom the webhooks name now."""
        return f"ctm_{self.owner or self.tag}"

    def move_to(self, owner: str) -> Self:
        """From the next step on, the subscriptions belong to another customer: sent with that step, in one request."""
        return replace(self, owner=owner)

    # ---- Which webhooks are sent ----

    def without(self, *kinds: str) -> Self:
        """As sent to a destination that does not subscribe to some types."""
        return replace(self, webhooks=tuple(body for body in self.webhooks if _kind(body) not in kinds))

    def forget_history(self) -> Self:
        """The bridge is installed now: it receives none of the earlier webhooks."""
        return replace(self, webhooks=())

    def duplicated(self) -> Self:
        """Every webhook so far is delivered again: the same event under another notification."""
        return replace(self, webhooks=self.webhooks * 2)

    # ---- Payments ----

    def bill(
        self,
        *lines: Body,
        origin: str = "subscription_recurring",
        name: str | None = "1",
        credit: int = 0,
        discount_id: str | None = None,
        credited: Plan | None = None,
    ) -> Self:
        """A transaction with these lines. `credited`: the plan of which a line takes back the rest of the period."""
        sold = None if name is None else self.subscriptions[name]
        plans = [] if sold is None else [(sold.plan, sold.quantity), *self.extras]
        plans += [] if credited is None else [(credited, -1)]
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
        customer = self.sent("transaction.completed", entity, 2.5)
        taxes = {**self.taxes, entity["id"]: int(entity["details"]["totals"]["grand_total_tax"])}
        paid = (*customer.paid, (entity["id"], minor, None if sold is None else sold.id))
        return replace(customer, paid=paid, taxes=taxes)

    def without_tax(self) -> Self:
        """No tax is left in the transactions so far."""
        return replace(self, taxes={})

    def refund_tax(self) -> Self:
        """The tax of the last payment is given back: the customer has stated a VAT number."""
        transaction, _, subscription = self.paid[-1]
        tax = self.taxes[transaction]
        entity = payloads.adjustment(
            f"adj_{self.tag}_{len(self.webhooks) + 1}",
            transaction=transaction,
            minor=tax,
            tax=tax,
            customer=self.customer_id,
            subscription=subscription,
            currency=self.currency,
            at=self.at,
        )
        items = [{**item, "type": "tax"} for item in entity["items"]]
        return self.sent("adjustment.created", {**entity, "items": items})

    def _adjustment(self, adjustment_id: str, action: str, minor: int | None, payment: int, status: str) -> Body:
        transaction, paid, subscription = self.paid[payment]
        amount = paid if minor is None else minor
        return payloads.adjustment(
            adjustment_id,
            transaction=transaction,
            minor=amount,
            tax=self.taxes.get(transaction, 0) * amount // paid if paid else 0,
            customer=self.customer_id,
            subscription=subscription,
            action=action,
            status=status,
            currency=self.currency,
            is_full=minor in (None, paid),
            at=self.at,
        )

    def start(self, plan: Plan = PRO, quantity: int = 1, *, name: str = "1", **more: Any) -> Self:
        """A subscription is created and active; its payment is another step."""
        sold = Subscription(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            renews_at=self.at + timedelta(days=30),
            **more,
        )
        customer = self._with_subscription(name, sold).sent("subscription.created", self._entity(sold), 1)
        return customer.sent("subscription.activated", self._entity(sold), 1.1)

    def update_subscription(self, *, name: str = "1", kind: str = "subscription.updated", **more: Any) -> Self:
        """Fields of the subscription change, sent under this event type."""
        sold = replace(self.subscriptions[name], **more)
        return self._with_subscription(name, sold).sent(kind, self._entity(sold), 0.1)

    def resend_as(self, kind: str, **more: Any) -> Self:
        """The subscription is sent again under another event type, with some fields replaced."""
        return self.sent(kind, {**self._entity(self.subscriptions["1"]), **more}, 0.2)

    def discount(self, discount_id: str, **more: Any) -> Self:
        """The merchant makes a discount; 10 % for ever by default."""
        terms = {"type": "percentage", "amount": "10", "recur": True, "restrict_to": [], "code": discount_id.upper()}
        return self.sent("discount.created", {"id": discount_id, **terms, **more})

    def fail_renewal(self) -> Self:
        """A renewal fails, as Paddle reports it: active with new dates first, past due a little later."""
        sold = self.subscriptions["1"]
        customer = replace(self, at=sold.renews_at).update_subscription(renews_at=sold.renews_at + timedelta(days=30))
        line = payloads.line(sold.plan, amount=sold.per_period, rate="1")
        customer = customer._unpaid("transaction.payment_failed", "billed", line)
        customer = customer._unpaid("transaction.past_due", "past_due", line)
        return customer.later(seconds=5).become("past_due")

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

    def _entity(self, subscription: Subscription, *, created: bool = False, seconds: float = 0) -> Body:
        found = Customer._entity(self, subscription, created=created, seconds=seconds)
        further = [
            {
                **found["items"][0],
                "price": payloads.price(plan),
                "product": payloads.product(plan),
                "quantity": quantity,
            }
            for plan, quantity in self.extras
        ]
        return {**found, "items": [*found["items"], *further]}

    def with_custom_data(self, visit: Mapping[str, Any] | None) -> Self:
        """From now on, this is the custom data."""
        return replace(self, visit=visit)


def net(plan: Plan, amount: int, tax: int = 0, **more: Any) -> Body:
    """A line of a transaction: `amount` without tax."""
    return payloads.line(plan, amount=amount, tax=tax, **more)


def _kind(body: bytes) -> str:
    return str(json.loads(body)["event_type"])
