"""A customer's life at Paddle Classic, told step by step: each step adds the alerts that Paddle would send.

    Customer.begin("ada", start).subscribe(PRO).renew().change(TEAM).cancel().webhooks

Steps return a new customer; prices are in major units, as Classic writes them. The bodies are forms without a signature.
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
    """What is sold: so much for each period of so many days."""

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
class Subscribed:
    """A subscription of the customer as it stands."""

    id: str
    plan: Plan
    quantity: int
    renews_at: datetime
    status: str = "active"
    payments: int = 0

    @property
    def per_period(self) -> Decimal:
        """What one whole period costs."""
        return self.plan.price * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """An order that was paid."""

    order_id: str
    gross: Decimal
    subscription: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One customer so far. `webhooks` are their bodies, in the order in which things happened; `at` is now."""

    tag: str
    at: datetime
    visit: Mapping[str, Any] | None = None  # what stands in the passthrough
    currency: str = "USD"
    webhooks: tuple[bytes, ...] = ()
    subscriptions: Mapping[str, Subscribed] = field(default_factory=dict)
    paid: tuple[Paid, ...] = ()

    @classmethod
    def begin(cls, tag: str, at: datetime, **more: Any) -> Self:
        """A new customer, who came by a visit that has the tag's name."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, **{"visit": visit, **more})

    def later(self, **span: float) -> Self:
        """The same some time later: `later(days=30)`."""
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
        """A new subscription, perhaps with a trial first."""
        sold = Subscribed(
            id=f"{self.tag}-s{name}",
            plan=plan,
            quantity=quantity,
            renews_at=self.at + timedelta(days=trial_days or plan.days),
            status="trialing" if trial_days else "active",
        )
        customer = self._with_subscription(name, sold).sent("subscription_created", self._fields(sold), 1)
        return customer if trial_days else customer.pay(name, tax=tax, coupon=coupon)

    def pay(self, name: str = "1", *, gross: str | None = None, tax: str = "0", coupon: str = "") -> Self:
        """A payment of the present period succeeds."""
        sold = self.subscriptions[name]
        order_id = f"{self.tag}-o{len(self.paid) + 1}"
        amount = sold.per_period + Decimal(tax) if gross is None else Decimal(gross)
        fields = {
            **self._fields(sold),
            "order_id": order_id,
            "subscription_payment_id": f"{self.tag}-p{len(self.paid) + 1}",
            "initial_payment": "0" if sold.payments else "1",
            "instalments": sold.payments + 1,
            "sale_gross": amount.quantize(CENT),
            "payment_tax": tax,
            "plan_name": sold.plan.name,
            "coupon": coupon,
        }
        customer = self._with_subscription(name, replace(sold, payments=sold.payments + 1))
        customer = customer.sent("subscription_payment_succeeded", fields, 2)
        paid = Paid(order_id=order_id, gross=amount, subscription=name)
        return replace(customer, paid=(*customer.paid, paid))

    def renew(self, name: str = "1", **more: str) -> Self:
        """The next period begins and is paid."""
        sold = self.subscriptions[name]
        customer = replace(self, at=max(self.at, sold.renews_at))
        renewed = replace(sold, renews_at=sold.renews_at + timedelta(days=sold.plan.days), status="active")
        return customer._with_subscription(name, renewed).pay(name, **more)

    def change(self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1") -> Self:
        """Another plan or quantity."""
        sold = self.subscriptions[name]
        new = replace(sold, plan=plan or sold.plan, quantity=sold.quantity if quantity is None else quantity)
        return self._updated(name, new)

    def become(self, status: str, *, name: str = "1") -> Self:
        """`past_due`, `paused`, or `active` again."""
        return self._updated(name, replace(self.subscriptions[name], status=status))

    def fail(self, name: str = "1") -> Self:
        """A payment fails."""
        return self.sent("subscription_payment_failed", {**self._fields(self.subscriptions[name]), "attempt_number": 1})

    def cancel(self, *, name: str = "1", at_once: bool = False) -> Self:
        """It is cancelled: with its period, or at once."""
        sold = replace(self.subscriptions[name], status="deleted")
        ends_at = self.at if at_once else sold.renews_at
        fields = {**self._fields(sold), "cancellation_effective_date": ends_at.strftime("%Y-%m-%d %H:%M:%S")}
        return self._with_subscription(name, sold).sent("subscription_cancelled", fields)

    def refund(self, gross: str | None = None, *, payment: int = -1, kind: str | None = None) -> Self:
        """An order is refunded, wholly or in part."""
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
        sold = self._fields(self.subscriptions[paid.subscription])
        return self.sent(
            "subscription_payment_refunded", {**sold, **fields, "subscription_payment_id": f"{self.tag}-p{number}"}
        )

    def dispute(self, *, payment: int = -1) -> Self:
        """The bank takes an order's money back."""
        paid = self.paid[payment]
        fields = {"order_id": paid.order_id, "amount": paid.gross.quantize(CENT), "status": "open", "fee_usd": "15.00"}
        return self.sent("payment_dispute_created", fields)

    # ---- How the steps are made ----

    def _with_subscription(self, name: str, sold: Subscribed) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: sold})

    def _updated(self, name: str, new: Subscribed) -> Self:
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

    def _fields(self, sold: Subscribed) -> dict[str, object]:
        return {
            "subscription_id": sold.id,
            "subscription_plan_id": sold.plan.id,
            "user_id": f"{self.tag}-u",
            "checkout_id": f"{self.tag}-c",
            "status": sold.status,
            "unit_price": sold.plan.price,
            "quantity": sold.quantity,
            "next_bill_date": sold.renews_at.date().isoformat(),
        }
