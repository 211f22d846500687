"""A customer's life at Stripe, told step by step: each step adds the webhooks that Stripe would send.

    Story.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new story; amounts are in minor units. Ids carry the story's tag, so stories never meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.stripe import bodies
from processors.stripe.bodies import Body, Shape
from processors.stripe.scenes import Scene
from processors.stripe.sold import PRO, PRO_YEARLY, STARTER, TEAM, Paid, Plan, Subscribed, period_end

__all__ = ["PRO", "PRO_YEARLY", "STARTER", "TEAM", "Paid", "Plan", "Story", "Subscribed", "period_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(Scene):
    """One customer so far. `webhooks` are their bodies, in the order in which things happened; `at` is now."""

    @classmethod
    def begin(cls, tag: str, at: datetime, shape: Shape = Shape.CLOVER, **more: Any) -> Self:
        """A new customer, who came by a visit that has the tag's name."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, shape=shape, **{"visit": visit, **more})

    def later(self, **span: float) -> Self:
        """The same some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def told(self, kind: str, found: Body, previous: Body | None = None, seconds: int = 0) -> Self:
        """With one more webhook, dated `seconds` after now."""
        body = bodies.event(
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
        """A one-off payment through Checkout, or a bare payment intent that carries the visit itself."""
        customer_id = None if guest else self.customer_id
        story, paid = self._pay(minor, customer_id=customer_id, metadata={} if checkout else self.visit)
        if not checkout:
            return story
        session = bodies.checkout_session(
            f"cs_{self.tag}_{len(story.webhooks)}",
            mode="payment",
            customer=customer_id,
            minor=minor,
            currency=self.currency,
            payment_intent=paid.intent_id,
            metadata=self.visit,
        )
        return story.told("checkout.session.completed", session, seconds=2)

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
        sold = Subscribed(
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
        story = self if self.subscriptions else self.told("customer.created", bodies.customer(self.customer_id))
        story = story._started(name, sold, born_active=checkout and self.shape is not Shape.OLD)
        story = story._discounted(name)
        story = story._invoiced(name, "subscription_create", story._lines(story.subscriptions[name]))
        if not checkout:
            return story
        return story.told("checkout.session.completed", story._session(name), seconds=4)

    def renew(self, name: str = "1") -> Self:
        """The next period begins: the subscription moves on, and an hour later its invoice is paid."""
        sold = self.subscriptions[name]
        story = replace(self, at=max(self.at, sold.period[1]))
        period = (sold.period[1], period_end(sold.period[1], sold.plan))
        status = "active" if sold.status in ("trialing", "past_due") else sold.status
        story = story._became(name, replace(sold, period=period, status=status)).later(hours=1)
        return story._invoiced(name, "subscription_cycle", story._lines(story.subscriptions[name]))

    def end_trial(self, name: str = "1") -> Self:
        """The trial ends and its first period is paid."""
        sold = self.subscriptions[name]
        warned = replace(self, at=sold.period[1] - timedelta(days=3)).told(
            "customer.subscription.trial_will_end", self._subscription(sold)
        )
        return warned.renew(name)

    def change(
        self, plan: Plan | None = None, quantity: int | None = None, *, name: str = "1", billed: bool = False
    ) -> Self:
        """Another plan or quantity; `billed` at once, by an invoice for the rest of the period."""
        sold = self.subscriptions[name]
        new = replace(sold, plan=plan or sold.plan, quantity=sold.quantity if quantity is None else quantity)
        story = self._became(name, new)
        if not billed:
            return story
        return story._invoiced(name, "subscription_update", story._prorations(sold, new))

    def become(self, status: str, *, name: str = "1") -> Self:
        """Another status: `past_due` when a payment failed, `unpaid` or `paused` when Stripe gave up."""
        return self._became(name, replace(self.subscriptions[name], status=status))

    def cancel(self, *, name: str = "1", at_period_end: bool = False, reason: str = "cancellation_requested") -> Self:
        """The subscription ends now, or is scheduled to end with its period."""
        sold = self.subscriptions[name]
        if at_period_end:
            return self._became(name, replace(sold, cancel_at_period_end=True, ended_reason=reason))
        ended = replace(sold, status="canceled", ended_at=self.at, ended_reason=reason)
        return self._holding(name, ended).told("customer.subscription.deleted", self._subscription(ended))

    def expire(self, *, name: str = "1") -> Self:
        """The scheduled end arrives."""
        sold = self.subscriptions[name]
        story = replace(self, at=max(self.at, sold.period[1]))
        return story.cancel(name=name, reason=sold.ended_reason or "cancellation_requested")

    # ---- Money that goes back ----

    def refund(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """A refund of a payment, in full unless said otherwise."""
        paid = self.payments[payment]
        amount = paid.minor - paid.refunded if minor is None else minor
        given_back = bodies.refund(
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
        story = self if self.shape is Shape.OLD else self.told("refund.created", given_back)
        story = story._paying(payment, after).told("charge.refunded", story._charge(after), previous)
        return story.told("charge.refund.updated", given_back, {"receipt_number": None}, seconds=1)

    def dispute(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """A dispute is opened and its money withdrawn."""
        found = self._dispute(payment, minor, "needs_response")
        return self.told("charge.dispute.created", found).told("charge.dispute.funds_withdrawn", found)

    def reinstate(self, minor: int | None = None, *, payment: int = -1) -> Self:
        """The dispute is won and the money comes back."""
        found = self._dispute(payment, minor, "won")
        story = self.told("charge.dispute.funds_reinstated", found)
        return story.told("charge.dispute.closed", found, seconds=1)

    # ---- How the steps are made ----

    def _holding(self, name: str, sold: Subscribed) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: sold})

    def _paying(self, payment: int, paid: Paid) -> Self:
        payments = list(self.payments)
        payments[payment] = paid
        return replace(self, payments=tuple(payments))

    def _started(self, name: str, sold: Subscribed, *, born_active: bool) -> Self:
        """Created: at once in its status, or incomplete until the first invoice is paid."""
        if born_active or sold.status == "trialing":
            return self._holding(name, sold).told("customer.subscription.created", self._subscription(sold))
        waiting = replace(sold, status="incomplete")
        story = self.told("customer.subscription.created", self._subscription(waiting))._holding(name, waiting)
        return story._became(name, sold, seconds=2)

    def _discounted(self, name: str) -> Self:
        sold = self.subscriptions[name]
        found = self._discounts(sold)
        return self.told("customer.discount.created", found[0]) if found else self

    def _became(self, name: str, sold: Subscribed, seconds: int = 0) -> Self:
        """The subscription changed, with the old values of what did."""
        old, new = self._subscription(self.subscriptions[name]), self._subscription(sold)
        previous = {key: value for key, value in old.items() if new[key] != value}
        return self._holding(name, sold).told("customer.subscription.updated", new, previous, seconds)

    def _invoiced(self, name: str, billing_reason: str, lines: list[Body]) -> Self:
        """An invoice of a subscription, and its payment if it is for more than nothing."""
        sold = self.subscriptions[name]
        total = max(0, sum(found["amount"] - discounts_of(found) for found in lines))
        invoice_id = f"in_{self.tag}_{len(self.webhooks) + 1}"
        about = (sold, billing_reason, lines, total)
        story = self.told("invoice.created", self._invoice(invoice_id, *about, None))
        story = story.told("invoice.finalized", story._invoice(invoice_id, *about, None))
        if total == 0:
            paid = None
        else:
            story, paid = story._pay(total, customer_id=self.customer_id, invoice_id=invoice_id)
        done = story._invoice(invoice_id, *about, paid, is_paid=True)
        story = story.told("invoice.paid", done, seconds=3).told("invoice.payment_succeeded", done, seconds=3)
        story = story._holding(name, replace(sold, latest_invoice=invoice_id))
        if paid is None or self.shape is Shape.OLD:
            return story
        return story.told("invoice_payment.paid", story._invoice_payment(invoice_id, paid), seconds=3)

    def _pay(
        self,
        minor: int,
        *,
        customer_id: str | None,
        invoice_id: str | None = None,
        metadata: Mapping[str, str] = bodies.NO_METADATA,
    ) -> tuple[Self, Paid]:
        """A payment by card: its charge and its intent, which tell the same money."""
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
        story = self.told("charge.succeeded", self._charge(paid), seconds=1)
        story = story.told("payment_intent.succeeded", self._intent(paid), seconds=1)
        return replace(story, payments=(*story.payments, paid)), paid


def discounts_of(found: Body) -> int:
    return sum(part["amount"] for part in found["discount_amounts"])
