"""A simulated Stripe customer: each step adds the webhooks that Stripe would send.

    Customer.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new value; amounts are in minor units. Ids contain the customer's tag, so two customers share none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Shape
from processors.stripe.simulation.plans import PRO, PRO_YEARLY, STARTER, TEAM, Paid, Plan, Subscription, period_end
from processors.stripe.simulation.timeline import Timeline

__all__ = ["PRO", "PRO_YEARLY", "STARTER", "TEAM", "Customer", "Paid", "Plan", "Subscription", "period_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(Timeline):
    """A customer with a history, and the steps that may follow."""

    @classmethod
    def begin(cls, tag: str, at: datetime, shape: Shape = Shape.CLOVER, **more: Any) -> Self:
        """A new customer with an attribution named after the tag."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, shape=shape, **{"visit": visit, **more})

    def later(self, **span: float) -> Self:
        """The same customer some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def sent(self, kind: str, found: Body, previous: Body | None = None, seconds: int = 0) -> Self:
        """With one more webhook, dated `seconds` after now."""
        body = payloads.event(
            kind,
            found,
            at=self.at + timedelta(seconds=seconds),
            event_id=f"evt_{self.tag}_{len(self.webhooks) + 1}",
            shape=self.shape,
            previous=previous,
            livemode=self.livemode,
            account=self.account,
        )
        return replace(self, webhooks=(*self.webhooks, body))

    # ---- One-off payments ----

    def buy(self, minor: int, *, guest: bool = False, checkout: bool = True) -> Self:
        """A one-off payment through Checkout, or a bare payment intent with the attribution in its own metadata."""
        customer_id = None if guest else self.customer_id
        customer, paid = self._pay(minor, customer_id=customer_id, metadata={} if checkout else self.visit)
        if not checkout:
            return customer
        session = payloads.checkout_session(
            f"cs_{self.tag}_{len(customer.webhooks)}",
            mode="payment",
            customer=customer_id,
            minor=minor,
            currency=self.currency,
            payment_intent=paid.intent_id,
            metadata=self.visit,
        )
        return customer.sent("checkout.session.completed", session, seconds=2)

    # ---- Subscriptions ----

    def subscribe(
        self,
        plan: Plan = PRO,
        quantity: int = 1,
        *,
        name: str = "1",
        trial_days: int = 0,
        coupon: Body | None = None,
        checkout: bool = True,
    ) -> Self:
        """A new subscription, through Checkout or (incomplete at first) through the API."""
        trial_end = self.at + timedelta(days=trial_days) if trial_days else None
        subscription = Subscription(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            period=(self.at, trial_end or period_end(self.at, plan)),
            status="trialing" if trial_end else "active",
            trial_end=trial_end,
            coupon=coupon,
            metadata=self.visit,
        )
        customer = self if self.subscriptions else self.sent("customer.created", payloads.customer(self.customer_id))
        customer = customer._started(name, subscription, born_active=checkout and self.shape is not Shape.OLD)
        customer = customer._discounted(name)
        customer = customer._invoiced(name, "subscription_create", customer._lines(customer.subscriptions[name]))
        if not checkout:
            return customer
        return customer.sent("checkout.session.completed", customer._session(name), seconds=4)

    def renew(self, name: str = "1") -> Self:
        """The next period begins: the subscription moves on, and an hour later its invoice is paid."""
        subscription = self.subscriptions[name]
        customer = replace(self, at=max(self.at, subscription.period[1]))
        period = (subscription.period[1], period_end(subscription.period[1], subscription.plan))
        status = "active" if subscription.status in ("trialing", "past_due") else subscription.status
        customer = customer._updated(name, replace(subscription, period=period, status=status)).later(hours=1)
        return customer._invoiced(name, "subscription_cycle", customer._lines(customer.subscriptions[name]))

    def end_trial(self, name: str = "1") -> Self:
        """The trial ends and its first period is paid."""
        subscription = self.subscriptions[name]
        warned = replace(self, at=subscription.period[1] - timedelta(days=3)).sent(
            "customer.subscription.trial_will_end", self._subscription(subscription)
        )
        return warned.renew(name)

    def change(
        self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1", billed: bool = False
    ) -> Self:
        """Another plan or quantity; `billed` at once, by an invoice for the rest of the period."""
        subscription = self.subscriptions[name]
        new = replace(
            subscription,
            plan=plan or subscription.plan,
            quantity=subscription.quantity if quantity is None else quantity,
        )
        if not billed:
            return self._updated(name, new)
        # The change names the invoice that bills it.
        customer = self._updated(name, replace(new, latest_invoice=self._invoice_id(after=1)))
        return customer._invoiced(name, "subscription_update", customer._prorations(subscription, new))

    def become(self, status: str, *, name: str = "1") -> Self:
        """Another status: `past_due` when a payment failed, `unpaid` or `paused` after Stripe's last retry."""
        return self._updated(name, replace(self.subscriptions[name], status=status))

    def cancel(self, *, name: str = "1", at_period_end: bool = False, reason: str = "cancellation_requested") -> Self:
        """The subscription ends now, or is scheduled to end with its period."""
        subscription = self.subscriptions[name]
        if at_period_end:
            return self._updated(name, replace(subscription, cancel_at_period_end=True, ended_reason=reason))
        ended = replace(subscription, status="canceled", ended_at=self.at, ended_reason=reason)
        return self._with_subscription(name, ended).sent("customer.subscription.deleted", self._subscription(ended))

    def expire(self, *, name: str = "1") -> Self:
        """The scheduled end arrives."""
        subscription = self.subscriptions[name]
        customer = replace(self, at=max(self.at, subscription.period[1]))
        return customer.cancel(name=name, reason=subscription.ended_reason or "cancellation_requested")

    # ---- Refunds and disputes ----

    def refund(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """A refund of a payment, in full by default."""
        paid = self.payments[payment]
        amount = paid.minor - paid.refunded if minor is None else minor
        given_back = payloads.refund(
            f"re_{self.tag}_{len(self.webhooks) + 1}",
            minor=amount,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
        )
        after = replace(paid, refunds=(given_back, *paid.refunds))
        previous: Body = {"amount_refunded": paid.refunded}
        if self.shape is Shape.OLD:
            previous["refunds"] = {"data": list(paid.refunds)}
        customer = self if self.shape is Shape.OLD else self.sent("refund.created", given_back)
        customer = customer._with_payment(payment, after).sent("charge.refunded", customer._charge(after), previous)
        return customer.sent("charge.refund.updated", given_back, {"receipt_number": None}, seconds=1)

    def fail_refund(self, *, payment: int = -1) -> Self:
        """The last refund fails: the bank returns its money."""
        paid = self.payments[payment]
        refund, *earlier = paid.refunds
        failed: Body = {**refund, "status": "failed", "failure_reason": "expired_or_canceled_card"}
        customer = self._with_payment(payment, replace(paid, refunds=tuple(earlier))).sent("refund.failed", failed)
        return customer.sent("charge.refund.updated", failed, {"status": refund["status"]}, seconds=1)

    def dispute(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """A dispute is opened and its money withdrawn."""
        found = self._dispute(payment, minor, "needs_response")
        return self.sent("charge.dispute.created", found).sent("charge.dispute.funds_withdrawn", found)

    def reinstate(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """The dispute is won and its money reinstated."""
        found = self._dispute(payment, minor, "won")
        customer = self.sent("charge.dispute.funds_reinstated", found)
        return customer.sent("charge.dispute.closed", found, seconds=1)

    # ---- Helpers ----

    def _with_subscription(self, name: str, subscription: Subscription) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: subscription})

    def _with_payment(self, payment: int, paid: Paid) -> Self:
        payments = list(self.payments)
        payments[payment] = paid
        return replace(self, payments=tuple(payments))

    def _started(self, name: str, subscription: Subscription, *, born_active: bool) -> Self:
        """Created: at once in its status, or incomplete until the first invoice is paid."""
        if born_active or subscription.status == "trialing":
            return self._with_subscription(name, subscription).sent(
                "customer.subscription.created", self._subscription(subscription)
            )
        waiting = replace(subscription, status="incomplete")
        customer = self.sent("customer.subscription.created", self._subscription(waiting))._with_subscription(
            name, waiting
        )
        return customer._updated(name, subscription, seconds=2)

    def _discounted(self, name: str) -> Self:
        subscription = self.subscriptions[name]
        found = self._discounts(subscription)
        return self.sent("customer.discount.created", found[0]) if found else self

    def _updated(self, name: str, subscription: Subscription, seconds: int = 0) -> Self:
        """An update of the subscription, with the old values of the changed fields."""
        old, new = self._subscription(self.subscriptions[name]), self._subscription(subscription)
        previous = {key: value for key, value in old.items() if new[key] != value}
        return self._with_subscription(name, subscription).sent("customer.subscription.updated", new, previous, seconds)

    def _invoiced(self, name: str, billing_reason: str, lines: list[Body]) -> Self:
        """An invoice of a subscription, and its payment if anything is due."""
        subscription = self.subscriptions[name]
        total = max(0, sum(found["amount"] - discounts_of(found) for found in lines))
        invoice_id = self._invoice_id()
        about = (subscription, billing_reason, lines, total)
        customer = self.sent("invoice.created", self._invoice(invoice_id, *about, None))
        customer = customer.sent("invoice.finalized", customer._invoice(invoice_id, *about, None))
        if total == 0:
            paid = None
        else:
            customer, paid = customer._pay(total, customer_id=self.customer_id, invoice_id=invoice_id)
        done = customer._invoice(invoice_id, *about, paid, is_paid=True)
        customer = customer.sent("invoice.paid", done, seconds=3).sent("invoice.payment_succeeded", done, seconds=3)
        customer = customer._with_subscription(name, replace(subscription, latest_invoice=invoice_id))
        if paid is None or self.shape is Shape.OLD:
            return customer
        return customer.sent("invoice_payment.paid", customer._invoice_payment(invoice_id, paid), seconds=3)

    def _invoice_id(self, after: int = 0) -> str:
        """The id of an invoice that is created now, or after that number of further webhooks."""
        return f"in_{self.tag}_{len(self.webhooks) + after + 1}"

    def _pay(
        self,
        minor: int,
        *,
        customer_id: str | None,
        invoice_id: str | None = None,
        metadata: Mapping[str, str] = payloads.NO_METADATA,
    ) -> tuple[Self, Paid]:
        """A payment by card: its charge and its intent, which are the same money."""
        serial = f"{self.tag}_{len(self.webhooks) + 1}"
        paid = Paid(
            intent_id=f"pi_{serial}",
            charge_id=f"ch_{serial}",
            minor=minor,
            at=self.at,
            invoice_id=invoice_id,
            customer_id=customer_id,
            metadata=metadata,
        )
        customer = self.sent("charge.succeeded", self._charge(paid), seconds=1)
        customer = customer.sent("payment_intent.succeeded", self._intent(paid), seconds=1)
        return replace(customer, payments=(*customer.payments, paid)), paid


def discounts_of(found: Body) -> int:
    return sum(part["amount"] for part in found["discount_amounts"])
