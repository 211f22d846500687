"""A simulated Paddle Classic customer: each step adds the alerts that Paddle would send.

    Customer.begin("ada", start).subscribe(PRO).renew().change(TEAM).cancel().webhooks

Steps return a new value; prices are in major units, as in Classic's alerts. The bodies are unsigned forms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlencode

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A product with a price in major units per period of `days`."""

    id: str
    price: Decimal
    name: str
    days: int = 30


PRO = Plan(id="12345", price=Decimal("49.00"), name="Pro")
YEARLY = Plan(id="12346", price=Decimal("490.00"), name="Pro", days=365)
TEAM = Plan(id="12347", price=Decimal("99.00"), name="Team")
STARTER = Plan(id="12348", price=Decimal("19.00"), name="Starter")
PLANS = "12345=month,12346=year,12347=month,12348=month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription in its current state."""

    id: str
    plan: Plan
    quantity: int
    renews_at: datetime
    status: str = "active"
    payments: int = 0

    @property
    def per_period(self) -> Decimal:
        """The price of one whole period."""
        return self.plan.price * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """An order that was paid."""

    order_id: str
    gross: Decimal
    subscription: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """`webhooks`: the bodies so far, in the order in which things happened. `at`: the current time."""

    tag: str
    at: datetime
    visit: Mapping[str, Any] | None = None  # the passthrough
    currency: str = "USD"
    webhooks: tuple[bytes, ...] = ()
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    paid: tuple[Paid, ...] = ()

    @classmethod
    def begin(cls, tag: str, at: datetime, **more: Any) -> Self:
        """A new customer with an attribution named after the tag."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, **{"visit": visit, **more})

    def later(self, **span: float) -> Self:
        """The same customer some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def sent(self, name: str, fields: Mapping[str, object], seconds: int = 0) -> Self:
        """With one more alert, dated `seconds` after now."""
        at = self.at + timedelta(seconds=seconds)
        common = {
            "alert_id": f"{self.tag}-{len(self.webhooks) + 1}",
            "alert_name": name,
            "event_time": at.strftime("%Y-%m-%d %H:%M:%S"),
            "currency": self.currency,
            "passthrough": "" if self.visit is None else json.dumps(dict(self.visit)),
            "marketing_consent": "",
        }
        body = urlencode({**common, **fields}).encode()
        return replace(self, webhooks=(*self.webhooks, body))

    # ---- Steps ----

    def buy(self, gross: str = "29.00") -> Self:
        """A one-time purchase."""
        order_id = f"{self.tag}-o{len(self.paid) + 1}"
        fields = {"order_id": order_id, "sale_gross": gross, "payment_tax": "0", "product_name": "E-book"}
        customer = self.sent("payment_succeeded", fields)
        return replace(
            customer, paid=(*customer.paid, Paid(order_id=order_id, gross=Decimal(gross), subscription=None))
        )

    def subscribe(
        self,
        plan: Plan = PRO,
        quantity: int = 1,
        *,
        name: str = "1",
        trial_days: int = 0,
        tax: str = "0",
        coupon: str = "",
    ) -> Self:
        """A new subscription, optionally with a trial first."""
        subscription = Subscription(
            id=f"{self.tag}-s{name}",
            plan=plan,
            quantity=quantity,
            renews_at=self.at + timedelta(days=trial_days or plan.days),
            status="trialing" if trial_days else "active",
        )
        customer = self._with_subscription(name, subscription).sent(
            "subscription_created", self._fields(subscription), 1
        )
        return customer if trial_days else customer.pay(name, tax=tax, coupon=coupon)

    def pay(self, name: str = "1", *, gross: str | None = None, tax: str = "0", coupon: str = "") -> Self:
        """A payment for the current period succeeds."""
        subscription = self.subscriptions[name]
        order_id = f"{self.tag}-o{len(self.paid) + 1}"
        amount = subscription.per_period + Decimal(tax) if gross is None else Decimal(gross)
        fields = {
            **self._fields(subscription),
            "order_id": order_id,
            "subscription_payment_id": f"{self.tag}-p{len(self.paid) + 1}",
            "initial_payment": "0" if subscription.payments else "1",
            "instalments": subscription.payments + 1,
            "sale_gross": amount.quantize(CENT),
            "payment_tax": tax,
            "plan_name": subscription.plan.name,
            "coupon": coupon,
        }
        customer = self._with_subscription(name, replace(subscription, payments=subscription.payments + 1))
        customer = customer.sent("subscription_payment_succeeded", fields, 2)
        paid = Paid(order_id=order_id, gross=amount, subscription=name)
        return replace(customer, paid=(*customer.paid, paid))

    def renew(self, name: str = "1", **more: str) -> Self:
        """The next period begins and is paid."""
        subscription = self.subscriptions[name]
        customer = replace(self, at=max(self.at, subscription.renews_at))
        renewed = replace(
            subscription, renews_at=subscription.renews_at + timedelta(days=subscription.plan.days), status="active"
        )
        return customer._with_subscription(name, renewed).pay(name, **more)

    def change(self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1") -> Self:
        """Another plan or quantity."""
        subscription = self.subscriptions[name]
        new = replace(
            subscription,
            plan=plan or subscription.plan,
            quantity=subscription.quantity if quantity is None else quantity,
        )
        return self._updated(name, new)

    def become(self, status: str, *, name: str = "1") -> Self:
        """`past_due`, `paused`, or `active` again."""
        return self._updated(name, replace(self.subscriptions[name], status=status))

    def fail(self, name: str = "1") -> Self:
        """A payment fails."""
        return self.sent("subscription_payment_failed", {**self._fields(self.subscriptions[name]), "attempt_number": 1})

    def cancel(self, *, name: str = "1", at_once: bool = False) -> Self:
        """The subscription is cancelled: at the end of its period, or at once."""
        subscription = replace(self.subscriptions[name], status="deleted")
        ends_at = self.at if at_once else subscription.renews_at
        fields = {**self._fields(subscription), "cancellation_effective_date": ends_at.strftime("%Y-%m-%d %H:%M:%S")}
        return self._with_subscription(name, subscription).sent("subscription_cancelled", fields)

    def refund(self, gross: str | None = None, *, payment: int = -1, kind: str | None = None) -> Self:
        """An order is refunded, in full or in part."""
        paid = self.paid[payment]
        partial = gross is not None and Decimal(gross) != paid.gross
        fields: dict[str, object] = {
            "order_id": paid.order_id,
            "amount": paid.gross.quantize(CENT),
            "gross_refund": paid.gross.quantize(CENT) if gross is None else gross,
            "refund_type": kind or ("partial" if partial else "full"),
            "refund_reason": "requested",
        }
        if paid.subscription is None:
            return self.sent("payment_refunded", fields)
        number = paid.order_id.rpartition("o")[2]
        subscription = self._fields(self.subscriptions[paid.subscription])
        return self.sent(
            "subscription_payment_refunded",
            {**subscription, **fields, "subscription_payment_id": f"{self.tag}-p{number}"},
        )

    def dispute(self, *, payment: int = -1) -> Self:
        """The bank takes an order's money back."""
        paid = self.paid[payment]
        fields = {"order_id": paid.order_id, "amount": paid.gross.quantize(CENT), "status": "open", "fee_usd": "15.00"}
        return self.sent("payment_dispute_created", fields)

    # ---- Helpers ----

    def _with_subscription(self, name: str, subscription: Subscription) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: subscription})

    def _updated(self, name: str, new: Subscription) -> Self:
        old = self.subscriptions[name]
        customer = self._with_subscription(name, new)
        fields = {key: value for key, value in customer._fields(new).items() if key not in ("unit_price", "quantity")}
        changed = {
            **fields,
            "new_price": new.per_period,
            "new_quantity": new.quantity,
            "new_unit_price": new.plan.price,
            "old_price": old.per_period,
            "old_quantity": old.quantity,
            "old_unit_price": old.plan.price,
            "old_status": old.status,
            "old_subscription_plan_id": old.plan.id,
            "old_next_bill_date": old.renews_at.date().isoformat(),
        }
        return customer.sent("subscription_updated", changed)

    def _fields(self, subscription: Subscription) -> dict[str, object]:
        return {
            "subscription_id": subscription.id,
            "subscription_plan_id": subscription.plan.id,
            "user_id": f"{self.tag}-u",
            "checkout_id": f"{self.tag}-c",
            "status": subscription.status,
            "unit_price": subscription.plan.price,
            "quantity": subscription.quantity,
            "next_bill_date": subscription.renews_at.date().isoformat(),
        }
