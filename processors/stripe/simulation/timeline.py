"""A simulated customer's current state and webhooks so far, and the resources that Stripe would show for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from processors.money import round_minor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Period, Shape
from processors.stripe.simulation.plans import Paid, Subscription, discount_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`webhooks`: the bodies so far, in the order in which things happened. `at`: the current time."""

    tag: str
    at: datetime
    shape: Shape = Shape.CLOVER
    currency: str = "usd"
    livemode: bool = True
    account: str | None = None
    visit: Mapping[str, str] = field(default_factory=dict)  # the metadata that contains the attribution
    webhooks: tuple[bytes, ...] = ()
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    payments: tuple[Paid, ...] = ()

    @property
    def customer_id(self) -> str:
        """The customer's id."""
        return f"cus_{self.tag}"

    def _subscription(self, subscription: Subscription) -> Body:
        row = payloads.item(
            subscription.item_id,
            subscription.plan.price(self.currency),
            subscription=subscription.id,
            quantity=subscription.quantity,
            period=subscription.period,
            shape=self.shape,
        )
        return payloads.subscription(
            subscription.id,
            customer=self.customer_id,
            items=[row],
            started_at=subscription.started_at,
            period=subscription.period,
            status=subscription.status,
            currency=self.currency,
            shape=self.shape,
            discounts=self._discounts(subscription),
            metadata=subscription.metadata,
            latest_invoice=subscription.latest_invoice,
            trial_end=subscription.trial_end,
            cancel_at_period_end=subscription.cancel_at_period_end,
            ended_at=subscription.ended_at,
            ended_reason=subscription.ended_reason,
            pause_collection=subscription.pause_collection,
        )

    def _discounts(self, subscription: Subscription) -> list[Body]:
        if subscription.coupon is None:
            return []
        found = payloads.discount(
            f"di_{subscription.id.removeprefix('sub_')}",
            subscription.coupon,
            customer=self.customer_id,
            subscription=subscription.id,
            start=subscription.started_at,
            shape=self.shape,
        )
        return [found]

    def _lines(self, subscription: Subscription) -> list[Body]:
        """The line of a whole period; of 0 while on trial."""
        minor = 0 if subscription.status == "trialing" else subscription.per_period
        return [self._line(subscription, minor, subscription.period)]

    def _prorations(self, old: Subscription, new: Subscription) -> list[Body]:
        """The rest of the period is credited at the old price and billed at the new one."""
        start, end = old.period
        left = Fraction(int((end - self.at).total_seconds()), int((end - start).total_seconds()))
        rest = (self.at, end)
        credit = self._line(old, -round_minor(old.per_period * left), rest, proration=True)
        return [credit, self._line(new, round_minor(new.per_period * left), rest, proration=True)]

    def _line(self, subscription: Subscription, minor: int, period: Period, *, proration: bool = False) -> Body:
        found = self._discounts(subscription)
        off = [{"amount": discount_on(subscription.coupon, minor), "discount": one["id"]} for one in found]
        return payloads.line(
            f"il_{self.tag}_{len(self.webhooks)}_{'credit' if minor < 0 else 'due'}",
            minor=minor,
            priced=subscription.plan.price(self.currency),
            period=period,
            quantity=subscription.quantity,
            subscription=subscription.id,
            item_id=subscription.item_id,
            proration=proration,
            shape=self.shape,
            discount_amounts=off,
            metadata=subscription.metadata,
        )

    def _invoice(
        self,
        invoice_id: str,
        subscription: Subscription,
        billing_reason: str,
        lines: list[Body],
        total: int,
        paid: Paid | None,
        *,
        is_paid: bool = False,
    ) -> Body:
        return payloads.invoice(
            invoice_id,
            customer=self.customer_id,
            lines=lines,
            amount_paid=total if is_paid else 0,
            amount_due=total,
            subscription=subscription.id,
            billing_reason=billing_reason,
            status="paid" if is_paid else "open",
            currency=self.currency,
            payment_intent=paid.intent_id if paid else None,
            charge=paid.charge_id if paid else None,
            shape=self.shape,
            discounts=self._discounts(subscription),
            subscription_metadata=subscription.metadata,
        )

    def _invoice_payment(self, invoice_id: str, paid: Paid) -> Body:
        return payloads.invoice_payment(
            f"inpay_{paid.intent_id.removeprefix('pi_')}",
            invoice=invoice_id,
            amount_paid=paid.minor,
            payment_intent=paid.intent_id,
            currency=self.currency,
        )

    def _charge(self, paid: Paid) -> Body:
        return payloads.charge(
            paid.charge_id,
            minor=paid.minor,
            customer=paid.customer_id,
            created=paid.at,
            payment_intent=paid.intent_id,
            invoice=paid.invoice_id,
            currency=self.currency,
            amount_refunded=paid.refunded,
            refunds=paid.refunds,
            shape=self.shape,
            metadata=paid.metadata,
        )

    def _intent(self, paid: Paid) -> Body:
        return payloads.payment_intent(
            paid.intent_id,
            minor=paid.minor,
            customer=paid.customer_id,
            charge=paid.charge_id,
            invoice=paid.invoice_id,
            currency=self.currency,
            shape=self.shape,
            metadata=paid.metadata,
        )

    def _session(self, name: str) -> Body:
        subscription = self.subscriptions[name]
        return payloads.checkout_session(
            f"cs_{subscription.id.removeprefix('sub_')}",
            mode="subscription",
            customer=self.customer_id,
            minor=0
            if subscription.status == "trialing"
            else subscription.per_period - discount_on(subscription.coupon, subscription.per_period),
            currency=self.currency,
            payment_status="no_payment_required" if subscription.status == "trialing" else "paid",
            subscription=subscription.id,
            invoice=subscription.latest_invoice,
            metadata=self.visit,
        )

    def _dispute(self, payment: int, minor: int | None, status: str) -> Body:
        paid = self.payments[payment]
        return payloads.dispute(
            f"dp_{paid.intent_id.removeprefix('pi_')}",
            minor=paid.minor if minor is None else minor,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
            status=status,
        )
