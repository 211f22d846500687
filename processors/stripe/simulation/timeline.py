"""A customer of a customer as they stand now, and the resources that Stripe would show of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from processors.money import round_minor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body, Period, Shape
from processors.stripe.simulation.plans import Paid, Subscribed, taken_off


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One customer so far. `webhooks` are their bodies, in the order in which things happened; `at` is now."""

    tag: str
    at: datetime
    shape: Shape = Shape.CLOVER
    currency: str = "usd"
    livemode: bool = True
    account: str | None = None
    visit: Mapping[str, str] = field(default_factory=dict)  # the metadata that names the visit
    webhooks: tuple[bytes, ...] = ()
    subscriptions: Mapping[str, Subscribed] = field(default_factory=dict)
    payments: tuple[Paid, ...] = ()

    @property
    def customer_id(self) -> str:
        """The customer."""
        return f"cus_{self.tag}"

    def _subscription(self, sold: Subscribed) -> Body:
        row = payloads.item(
            sold.item_id,
            sold.plan.price(self.currency),
            subscription=sold.id,
            quantity=sold.quantity,
            period=sold.period,
            shape=self.shape,
        )
        return payloads.subscription(
            sold.id,
            customer=self.customer_id,
            items=[row],
            started_at=sold.started_at,
            period=sold.period,
            status=sold.status,
            currency=self.currency,
            shape=self.shape,
            discounts=self._discounts(sold),
            metadata=sold.metadata,
            latest_invoice=sold.latest_invoice,
            trial_end=sold.trial_end,
            cancel_at_period_end=sold.cancel_at_period_end,
            ended_at=sold.ended_at,
            ended_reason=sold.ended_reason,
            pause_collection=sold.pause_collection,
        )

    def _discounts(self, sold: Subscribed) -> list[Body]:
        if sold.coupon is None:
            return []
        found = payloads.discount(
            f"di_{sold.id.removeprefix('sub_')}",
            sold.coupon,
            customer=self.customer_id,
            subscription=sold.id,
            start=sold.started_at,
            shape=self.shape,
        )
        return [found]

    def _lines(self, sold: Subscribed) -> list[Body]:
        """The line of a whole period; of nothing while on trial."""
        minor = 0 if sold.status == "trialing" else sold.per_period
        return [self._line(sold, minor, sold.period)]

    def _prorations(self, old: Subscribed, new: Subscribed) -> list[Body]:
        """What is left of the old period is credited, what is left of it at the new price is billed."""
        start, end = old.period
        left = Fraction(int((end - self.at).total_seconds()), int((end - start).total_seconds()))
        rest = (self.at, end)
        credit = self._line(old, -round_minor(old.per_period * left), rest, proration=True)
        return [credit, self._line(new, round_minor(new.per_period * left), rest, proration=True)]

    def _line(self, sold: Subscribed, minor: int, period: Period, *, proration: bool = False) -> Body:
        found = self._discounts(sold)
        off = [{"amount": taken_off(sold.coupon, minor), "discount": one["id"]} for one in found]
        return payloads.line(
            f"il_{self.tag}_{len(self.webhooks)}_{'credit' if minor < 0 else 'due'}",
            minor=minor,
            priced=sold.plan.price(self.currency),
            period=period,
            quantity=sold.quantity,
            subscription=sold.id,
            item_id=sold.item_id,
            proration=proration,
            shape=self.shape,
            discount_amounts=off,
            metadata=sold.metadata,
        )

    def _invoice(
        self,
        invoice_id: str,
        sold: Subscribed,
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
            subscription=sold.id,
            billing_reason=billing_reason,
            status="paid" if is_paid else "open",
            currency=self.currency,
            payment_intent=paid.intent_id if paid else None,
            charge=paid.charge_id if paid else None,
            shape=self.shape,
            discounts=self._discounts(sold),
            subscription_metadata=sold.metadata,
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
        sold = self.subscriptions[name]
        return payloads.checkout_session(
            f"cs_{sold.id.removeprefix('sub_')}",
            mode="subscription",
            customer=self.customer_id,
            minor=0 if sold.status == "trialing" else sold.per_period - taken_off(sold.coupon, sold.per_period),
            currency=self.currency,
            payment_status="no_payment_required" if sold.status == "trialing" else "paid",
            subscription=sold.id,
            invoice=sold.latest_invoice,
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
