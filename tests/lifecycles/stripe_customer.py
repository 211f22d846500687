"""A simulated Stripe customer with the steps that no scenario needs: unusual payments, invoices and terms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import Customer, Paid, Plan, Subscription, period_end
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_paying_customer import PayingCustomer

UPDATED = "customer.subscription.updated"
RESUMED = "customer.subscription.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexPlan(Plan):
    """A plan whose price is more than an amount per period.

    `price_fields`, `item_fields`: fields that replace those of a plain price and item. `cost_of_seats`: minor units of
    one period by the number of seats. `extras`: further items, each with its seats.
    """

    price_fields: Mapping[str, Any] = field(default_factory=dict)
    item_fields: Mapping[str, Any] = field(default_factory=dict)
    cost_of_seats: Callable[[int], int] | None = None
    extras: tuple[tuple[Plan, int], ...] = ()

    def cost(self, quantity: int) -> int:
        """One period of this quantity in minor units, before discounts."""
        return Plan.cost(self, quantity) if self.cost_of_seats is None else self.cost_of_seats(quantity)

    def price(self, currency: str) -> Body:
        """The plan as Stripe's price."""
        return {**Plan.price(self, currency), **self.price_fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedCustomer(PayingCustomer):
    """A customer with further steps.

    By subscription id, `item_coupons` apply to its items, and `more_coupons` to itself in addition to its own coupon.
    `coupon_starts`: when a coupon started, by subscription and coupon id; without an entry, with the subscription.
    `subscription_fields`: fields that replace those of a plain subscription.
    """

    item_coupons: Mapping[str, tuple[Body, ...]] = field(default_factory=dict)
    more_coupons: Mapping[str, tuple[Body, ...]] = field(default_factory=dict)
    coupon_starts: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    subscription_fields: Mapping[str, Any] = field(default_factory=dict)

    # ---- Which webhooks are sent ----

    def without(self, *kinds: str) -> Self:
        """As sent to an endpoint that does not subscribe to some types."""
        return replace(self, webhooks=tuple(body for body in self.webhooks if _kind(body) not in kinds))

    def only(self, *kinds: str) -> Self:
        """As sent to an endpoint that subscribes to these types only."""
        return replace(self, webhooks=tuple(body for body in self.webhooks if _kind(body) in kinds))

    def forget_history(self) -> Self:
        """The bridge is installed now: it receives none of the earlier webhooks."""
        return replace(self, webhooks=())

    def duplicated(self) -> Self:
        """Stripe creates a second event for each: another event id, the same object."""
        return replace(self, webhooks=(*self.webhooks, *map(again, self.webhooks)))

    # ---- Subscriptions, step by step ----

    def start(self, plan: Plan, quantity: int = 1, *, name: str = "1", status: str = "active", **more: Any) -> Self:
        """A subscription is created, without a payment yet."""
        usual: dict[str, Any] = {"period": (self.at, period_end(self.at, plan)), "metadata": self.visit}
        sold = Subscription(
            id=f"sub_{self.tag}_{name}",
            plan=plan,
            quantity=quantity,
            started_at=self.at,
            status=status,
            **{**usual, **more},
        )
        return self._with_subscription(name, sold).sent("customer.subscription.created", self._subscription(sold))

    def start_term(self, plan: Plan, *, days: int) -> Self:
        """A subscription is created with its end: instalments, or a schedule that ends."""
        started = self.start(plan)
        found = {
            **self._subscription(started.subscriptions["1"]),
            "cancel_at": _unix(self.at + timedelta(days=days)),
            "created": _unix(self.at),
            "canceled_at": None,
        }
        return replace(started, webhooks=self.webhooks).sent("customer.subscription.created", found)

    def amend(self, *, name: str = "1", **changes: Any) -> Self:
        """The subscription is updated."""
        return self._updated(name, replace(self.subscriptions[name], **changes))

    def schedule_end(self, *, days: int, name: str = "1") -> Self:
        """The merchant sets the date on which it ends."""
        found = self._subscription(self.subscriptions[name])
        updated = {**found, "cancel_at": _unix(self.at + timedelta(days=days)), "canceled_at": _unix(self.at)}
        return self.sent("customer.subscription.updated", updated, {"cancel_at": None, "canceled_at": None})

    def leave_term(self, *, days: int) -> Self:
        """The subscription is to end with its period, not with its term, which is over in so many days."""
        asked = self.cancel(at_period_end=True)
        sent = json.loads(asked.webhooks[-1])
        sent["data"]["previous_attributes"]["cancel_at"] = _unix(self.at + timedelta(days=days))
        return replace(asked, webhooks=(*asked.webhooks[:-1], json.dumps(sent).encode()))

    def next_period(self, *, name: str = "1", **changes: Any) -> Self:
        """The next period begins, before its invoice."""
        sold = self.subscriptions[name]
        customer = replace(self, at=max(self.at, sold.period[1]))
        return customer.amend(name=name, period=(sold.period[1], period_end(sold.period[1], sold.plan)), **changes)

    def end_trial_without_card(self, *, name: str = "1") -> Self:
        """The trial ends without a card: Stripe pauses the subscription."""
        paused = replace(self.subscriptions[name], status="paused")
        customer = replace(self, at=max(self.at, paused.period[1]))
        return customer._paused_or_resumed(name, paused, "paused")

    def resume(self, *, name: str = "1") -> Self:
        """A paused subscription resumes, with a new period from now."""
        sold = self.subscriptions[name]
        running = replace(sold, status="active", period=(self.at, period_end(self.at, sold.plan)), ended_reason=None)
        return self._paused_or_resumed(name, running, "resumed")

    def pause(self, *, name: str = "1") -> Self:
        """The merchant pauses the subscription (since endive: status paused, whatever the reason)."""
        return self._paused_or_resumed(name, replace(self.subscriptions[name], status="paused"), "paused")

    def _paused_or_resumed(self, name: str, sold: Subscription, kind: str) -> Self:
        return self._updated(name, sold).sent(f"customer.subscription.{kind}", self._subscription(sold))

    def with_discount_events(self, *, name: str = "1") -> Self:
        """Each active discount is sent as an event."""
        sold, customer = self.subscriptions[name], self
        for found in (*self._discounts(sold), *self._found(sold, self.item_coupons.get(sold.id, ()), "item")):
            customer = customer.sent("customer.discount.created", found)
        return customer

    def with_coupon(self, coupon: Body, *, name: str = "1") -> Self:
        """A coupon is given to a running subscription."""
        sold = self.subscriptions[name]
        customer = replace(self, coupon_starts={**self.coupon_starts, (sold.id, coupon["id"]): self.at}).amend(
            name=name, coupon=coupon
        )
        (found,) = customer._discounts(customer.subscriptions[name])
        return customer.sent("customer.discount.created", found)

    def without_coupon(self, *, name: str = "1") -> Self:
        """The coupon ends or is removed."""
        (found,) = self._discounts(self.subscriptions[name])
        return self.amend(name=name, coupon=None).sent("customer.discount.deleted", {**found, "end": _unix(self.at)})

    # ---- Invoices ----

    def bill(
        self,
        minor: int,
        why: str = "manual",
        *,
        name: str | None = None,
        parts: Sequence[int] | None = None,
        apart: timedelta = timedelta(0),
        lines: Sequence[Body] | None = None,
        guest: bool = False,
        **more: Any,
    ) -> Self:
        """An invoice is paid, in one payment by card or in `parts`, `apart` from each other.

        `name`: the subscription it is for.
        """
        invoice_id = self._invoice_id()
        customer, paid = self._with_invoice_named(invoice_id, name), None
        for number, part in enumerate([minor] if parts is None else parts):
            customer = replace(customer, at=customer.at + apart) if number else customer
            customer, paid = customer._pay(part, customer_id=None if guest else self.customer_id, invoice_id=invoice_id)
            if self.shape is not Shape.OLD:
                customer = customer.sent("invoice_payment.paid", customer._invoice_payment(invoice_id, paid), seconds=3)
        found = self.invoice_of(invoice_id, minor, why, name=name, lines=lines, paid=paid, guest=guest, **more)
        customer = customer.sent("invoice.paid", found, seconds=3)
        if name is None:
            return customer
        return customer._with_subscription(name, replace(self.subscriptions[name], latest_invoice=invoice_id))

    def _with_invoice_named(self, invoice_id: str, name: str | None) -> Self:
        """If the subscription was changed just now, its webhooks name the invoice that follows, as Stripe's do."""
        webhooks = list(self.webhooks)
        for number in reversed(range(len(webhooks) if name is not None else 0)):
            sent = json.loads(webhooks[number])
            found = sent["data"]["object"]
            is_change = sent["type"] in (UPDATED, RESUMED) and sent["created"] == _unix(self.at)
            is_own = found["id"] == self.subscriptions[name or ""].id
            if not (is_change and is_own) or found["latest_invoice"] == invoice_id:
                break
            if sent["type"] == UPDATED:
                sent["data"]["previous_attributes"]["latest_invoice"] = found["latest_invoice"]
            found["latest_invoice"] = invoice_id
            webhooks[number] = json.dumps(sent).encode()
            if sent["type"] == UPDATED:
                break
        return replace(self, webhooks=tuple(webhooks))

    def _invoiced(self, name: str, billing_reason: str, lines: list[Body]) -> Self:
        named = self._with_invoice_named(self._invoice_id(), name)
        return Customer._invoiced(named, name, billing_reason, lines)

    def settle_otherwise(self, minor: int, why: str, *, name: str | None = None) -> Self:
        """An invoice is paid out of band: by bank transfer, cash, another processor."""
        invoice_id = f"in_{self.tag}_{len(self.webhooks) + 1}"
        found = self.invoice_of(invoice_id, minor, why, name=name)
        if self.shape is Shape.OLD:
            return self.sent("invoice.paid", {**found, "amount_paid": 0, "paid_out_of_band": True})
        record = payloads.invoice_payment(
            f"inpay_{invoice_id}", invoice=invoice_id, amount_paid=minor, payment_record=f"pr_{invoice_id}",
            currency=self.currency,
        )  # fmt: skip
        return self.sent("invoice.paid", found).sent("invoice_payment.paid", record)

    def invoice_of(
        self,
        invoice_id: str,
        minor: int,
        why: str,
        *,
        name: str | None = None,
        lines: Sequence[Body] | None = None,
        paid: Paid | None = None,
        guest: bool = False,
        **more: Any,
    ) -> Body:
        """A paid invoice. Without lines: one for what the subscription costs, or for something sold once."""
        sold = self.subscriptions[name] if name else None
        usual = self._lines_worth(sold, minor, why) if sold else [self.one_off_line(minor)]
        about: dict[str, Any] = {
            "customer": None if guest else self.customer_id,
            "lines": usual if lines is None else lines,
            "amount_paid": minor,
            "subscription": sold.id if sold else None,
            "billing_reason": why,
            "currency": self.currency,
            "payment_intent": paid.intent_id if paid else None,
            "charge": paid.charge_id if paid else None,
            "shape": self.shape,
            "metadata": {} if sold else self.visit,
            "subscription_metadata": sold.metadata if sold else {},
        }
        return payloads.invoice(invoice_id, **{**about, **more})

    def one_off_line(self, minor: int, price_id: str = "price_setup") -> Body:
        """An invoice line of something sold once."""
        priced = payloads.price(price_id, minor=minor, currency=self.currency, interval=None)
        return payloads.line(
            f"il_{self.tag}_{len(self.webhooks)}_once",
            minor=minor,
            priced=priced,
            period=(self.at, self.at),
            shape=self.shape,
        )

    def _lines_worth(self, sold: Subscription, minor: int, why: str) -> list[Body]:
        """The lines of one whole period, less what is credited for the old terms or what discounts took off them."""
        found = self._lines(sold)
        off = sum(line["amount"] for line in found) - minor
        if off <= 0:
            return found
        if why == "subscription_update":
            return [*found, self._line(sold, -off, (self.at, sold.period[1]), proration=True)]
        return [{**found[0], "discount_amounts": [{"amount": off, "discount": f"di_{sold.id}"}]}, *found[1:]]

    # ---- Payloads of complex plans and several coupons ----

    def _subscription(self, sold: Subscription) -> Body:
        found = Customer._subscription(self, sold)
        (row,) = found["items"]["data"]
        own = dict(sold.plan.item_fields) if isinstance(sold.plan, ComplexPlan) else {}
        coupons = self._found(sold, self.item_coupons.get(sold.id, ()), "item")
        listed = [{**row, "discounts": [one["id"] for one in coupons], **own}, *self._further_items(sold)]
        single = {} if len(listed) == 1 else {"plan": None, "quantity": None}
        old = single if self.shape is Shape.OLD else {}
        return {**found, "items": payloads.listed(listed), **old, **self.subscription_fields}

    def _further_items(self, sold: Subscription) -> list[Body]:
        extras = sold.plan.extras if isinstance(sold.plan, ComplexPlan) else ()
        return [
            {
                **payloads.item(
                    f"{sold.item_id}_{number}",
                    plan.price(self.currency),
                    subscription=sold.id,
                    quantity=seats,
                    period=sold.period,
                    shape=self.shape,
                ),
                **(plan.item_fields if isinstance(plan, ComplexPlan) else {}),
            }
            for number, (plan, seats) in enumerate(extras, 2)
        ]

    def _lines(self, sold: Subscription) -> list[Body]:
        if sold.status == "trialing":
            return Customer._lines(self, sold)
        extras = sold.plan.extras if isinstance(sold.plan, ComplexPlan) else ()
        sides = [replace(sold, plan=plan, quantity=seats) for plan, seats in extras]
        return [self._line(one, one.per_period, one.period) for one in (sold, *sides)]

    def _discounts(self, sold: Subscription) -> list[Body]:
        own = () if sold.coupon is None else (sold.coupon,)
        return self._found(sold, (*own, *self.more_coupons.get(sold.id, ())), "sub")

    def _found(self, sold: Subscription, coupons: Sequence[Body], level: str) -> list[Body]:
        return [self._discount(sold, coupon, level) for coupon in coupons]

    def _discount(self, sold: Subscription, coupon: Body, level: str) -> Body:
        start = self.coupon_starts.get((sold.id, coupon["id"]), sold.started_at)
        months = coupon["duration_in_months"]
        month = Plan(id="month", minor=0, name="", interval_count=months or 1)
        return payloads.discount(
            f"di_{sold.id}_{level}_{coupon['id']}_{_unix(start)}",
            coupon,
            customer=self.customer_id,
            subscription=sold.id,
            start=start,
            end=period_end(start, month) if months else None,
            shape=self.shape,
        )


def _kind(body: bytes) -> str:
    return str(json.loads(body)["type"])


def again(body: bytes) -> bytes:
    """The same event again under another id."""
    found = json.loads(body)
    return json.dumps({**found, "id": f"{found['id']}_again"}).encode()


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())
