"""A customer's life at Stripe, told step by step: each step adds the webhooks that Stripe would send.

    Story.begin("ada", start).subscribe(PRO).later(days=30).renew().change(TEAM).cancel().webhooks

Steps return a new story; amounts are in minor units. Ids carry the story's tag, so stories never meet.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Self

from processors.money import round_minor
from processors.stripe import bodies
from processors.stripe.bodies import Body, Period, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sold: a price in minor units per interval."""

    id: str
    minor: int
    name: str
    interval: str = "month"
    interval_count: int = 1

    def price(self, currency: str) -> Body:
        """The plan as Stripe's price."""
        return bodies.price(
            self.id,
            minor=self.minor,
            currency=currency,
            interval=self.interval,
            interval_count=self.interval_count,
            product_id=f"prod_{self.id}",
            nickname=self.name,
        )


STARTER = Plan(id="price_starter", minor=1900, name="Starter")
PRO = Plan(id="price_pro", minor=4900, name="Pro")
TEAM = Plan(id="price_team", minor=9900, name="Team")
PRO_YEARLY = Plan(id="price_pro_yearly", minor=49000, name="Pro, yearly", interval="year")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscription of the story as it stands."""

    id: str
    plan: Plan
    quantity: int
    started_at: datetime
    period: Period
    status: str = "active"
    trial_end: datetime | None = None
    coupon: Body | None = None
    cancel_at_period_end: bool = False
    ended_at: datetime | None = None
    ended_reason: str | None = None
    latest_invoice: str | None = None
    pause_collection: Body | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def per_period(self) -> int:
        """What one whole period costs, before discounts."""
        return self.plan.minor * self.quantity

    @property
    def item_id(self) -> str:
        """The id of its one item."""
        return f"si_{self.id.removeprefix('sub_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment of the story."""

    intent_id: str
    charge_id: str
    minor: int
    at: datetime
    invoice_id: str | None = None
    customer_id: str | None = None
    refunds: tuple[Body, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """What was given back so far."""
        return sum(found["amount"] for found in self.refunds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
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

    @classmethod
    def begin(cls, tag: str, at: datetime, shape: Shape = Shape.CLOVER, **more: Any) -> Self:
        """A new customer, who came by a visit that has the tag's name."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, shape=shape, **{"visit": visit, **more})

    @property
    def customer_id(self) -> str:
        """The customer."""
        return f"cus_{self.tag}"

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
        total = max(0, sum(found["amount"] - _taken_off(found) for found in lines))
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

    def _subscription(self, sold: Subscribed) -> Body:
        row = bodies.item(
            sold.item_id,
            sold.plan.price(self.currency),
            subscription=sold.id,
            quantity=sold.quantity,
            period=sold.period,
            shape=self.shape,
        )
        return bodies.subscription(
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
        found = bodies.discount(
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
        off = [{"amount": _off(sold.coupon, minor), "discount": one["id"]} for one in found]
        return bodies.line(
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
        return bodies.invoice(
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
        return bodies.invoice_payment(
            f"inpay_{paid.intent_id.removeprefix('pi_')}",
            invoice=invoice_id,
            amount_paid=paid.minor,
            payment_intent=paid.intent_id,
            currency=self.currency,
        )

    def _charge(self, paid: Paid) -> Body:
        return bodies.charge(
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
        return bodies.payment_intent(
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
        return bodies.checkout_session(
            f"cs_{sold.id.removeprefix('sub_')}",
            mode="subscription",
            customer=self.customer_id,
            minor=0 if sold.status == "trialing" else sold.per_period - _off(sold.coupon, sold.per_period),
            currency=self.currency,
            payment_status="no_payment_required" if sold.status == "trialing" else "paid",
            subscription=sold.id,
            invoice=sold.latest_invoice,
            metadata=self.visit,
        )

    def _dispute(self, payment: int, minor: int | None, status: str) -> Body:
        paid = self.payments[payment]
        return bodies.dispute(
            f"dp_{paid.intent_id.removeprefix('pi_')}",
            minor=paid.minor if minor is None else minor,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
            status=status,
        )


def period_end(start: datetime, plan: Plan) -> datetime:
    """When a period of the plan that begins at `start` ends; months end on the same day, or on their last."""
    if plan.interval in ("day", "week"):
        return start + timedelta(days=plan.interval_count * (7 if plan.interval == "week" else 1))
    months = start.month - 1 + plan.interval_count * (12 if plan.interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


def _off(coupon: Body | None, minor: int) -> int:
    """What a coupon takes off an amount."""
    if coupon is None or minor <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return round_minor(Fraction(str(coupon["percent_off"])) * minor / 100)
    return min(minor, int(coupon["amount_off"]))


def _taken_off(found: Body) -> int:
    return sum(part["amount"] for part in found["discount_amounts"])
