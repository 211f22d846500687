"""A customer of a customer as they stand now, and how what Paddle tells of them is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.payloads import Body, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscription of the customer as it stands."""

    id: str
    plan: Plan
    quantity: int
    started_at: datetime
    renews_at: datetime
    status: str = "active"
    trial_ends_at: datetime | None = None
    paused_at: datetime | None = None
    canceled_at: datetime | None = None
    scheduled_change: Body | None = None
    discount: Body | None = None
    first_transaction: str | None = None

    @property
    def per_period(self) -> int:
        """What one whole period costs, before discounts and tax."""
        return self.plan.minor * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A transaction of the customer, whatever its status: what is asked for, and of whom."""

    id: str
    origin: str
    plans: tuple[tuple[Plan, int], ...]
    lines: tuple[Body, ...]
    subscription: Subscribed | None = None
    is_guests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One customer so far. `webhooks` are their bodies, in the order in which things happened; `at` is now."""

    tag: str
    at: datetime
    visit: Mapping[str, Any] | None = None  # the custom data that names the visit
    currency: str = "USD"
    webhooks: tuple[bytes, ...] = ()
    is_known: bool = False  # whether Paddle has told of the customer
    subscriptions: Mapping[str, Subscribed] = field(default_factory=dict)
    paid: tuple[tuple[str, int, str | None], ...] = ()  # transaction, minor units, subscription
    taken_back: tuple[tuple[str, str, int, int], ...] = ()  # chargebacks: adjustment, action, minor units, payment

    @classmethod
    def begin(cls, tag: str, at: datetime, **more: Any) -> Self:
        """A new customer, who came by a visit that has the tag's name."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, **{"visit": visit, **more})

    @property
    def customer_id(self) -> str:
        """The customer."""
        return f"ctm_{self.tag}"

    def later(self, **span: float) -> Self:
        """The same some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def sent(self, kind: str, entity: Body, seconds: float = 0) -> Self:
        """With one more webhook, dated `seconds` after now."""
        event_id = f"evt_{self.tag}_{len(self.webhooks) + 1}"
        body = payloads.event(kind, entity, at=self.at + timedelta(seconds=seconds), event_id=event_id)
        return replace(self, webhooks=(*self.webhooks, body))

    def _numbered(self, prefix: str) -> str:
        return f"{prefix}_{self.tag}_{len(self.webhooks) + 1}"

    # ---- Subscriptions ----

    def _with_subscription(self, name: str, sold: Subscribed) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: sold})

    def _updated(self, name: str, sold: Subscribed, seconds: float = 0.1) -> Self:
        return self._with_subscription(name, sold).sent(
            "subscription.updated", self._entity(sold, seconds=seconds), seconds
        )

    def _entity(self, sold: Subscribed, *, created: bool = False, seconds: float = 0) -> Body:
        return payloads.subscription(
            sold.id,
            customer=self.customer_id,
            plans=[(sold.plan, sold.quantity)],
            status=sold.status,
            started_at=sold.started_at,
            updated_at=self.at + timedelta(seconds=seconds),
            currency=self.currency,
            transaction_id=sold.first_transaction if created else None,
            trial_ends_at=sold.trial_ends_at,
            renews_at=sold.renews_at,
            scheduled_change=sold.scheduled_change,
            discount=sold.discount,
            paused_at=sold.paused_at,
            canceled_at=sold.canceled_at,
            custom_data=self.visit,
        )

    # ---- Transactions, as Paddle's simulator has them ----

    def _opened(self, bill: Bill) -> Self:
        """A checkout up to the payment: a draft, then who buys, then ready, then paid."""
        customer = self.sent("transaction.created", self._transaction(bill, "draft", is_draft=True))
        if not (self.is_known or bill.is_guests):
            customer = customer.sent("customer.created", payloads.customer(self.customer_id, at=self.at), 0.1)
            customer = customer.sent("address.created", payloads.address(self.customer_id, at=self.at), 0.1)
            customer = replace(customer, is_known=True)
        opening = replace(bill, subscription=None)
        for status in ("ready", "paid"):
            entity = self._transaction(opening, status)
            seconds = 0.2 if status == "ready" else 0.8
            customer = customer.sent("transaction.updated", entity, seconds).sent(
                f"transaction.{status}", entity, seconds
            )
        return customer

    def _billed(self, bill: Bill) -> Self:
        """A transaction on a subscription, up to the payment."""
        billed, paid = self._transaction(bill, "billed"), self._transaction(bill, "paid")
        customer = self.sent("transaction.created", billed, 0.3).sent("transaction.billed", billed, 0.3)
        return customer.sent("transaction.updated", paid, 0.8).sent("transaction.paid", paid, 0.8)

    def _completed(self, bill: Bill) -> Self:
        """Paddle has processed the payment: an invoice number, its fee, and what is earned."""
        entity = self._transaction(bill, "completed")
        customer = self.sent("transaction.updated", entity, 2.4).sent("transaction.completed", entity, 2.5)
        minor = int(entity["details"]["totals"]["grand_total"])
        owner = None if bill.subscription is None else bill.subscription.id
        return replace(customer, paid=(*customer.paid, (bill.id, minor, owner)))

    def _transaction(self, bill: Bill, status: str, *, is_draft: bool = False) -> Body:
        sold = bill.subscription
        return payloads.transaction(
            bill.id,
            customer=None if bill.is_guests or is_draft else self.customer_id,
            plans=bill.plans,
            lines=bill.lines,
            origin=bill.origin,
            status=status,
            subscription=None if sold is None or is_draft else sold.id,
            currency=self.currency,
            custom_data=self.visit,
            pays_until=None if sold is None else sold.renews_at,
            at=self.at,
        )

    # ---- Adjustments ----

    def _adjustment(self, adjustment_id: str, action: str, minor: int | None, payment: int, status: str) -> Body:
        transaction, paid, subscription = self.paid[payment]
        return payloads.adjustment(
            adjustment_id,
            transaction=transaction,
            minor=paid if minor is None else minor,
            customer=self.customer_id,
            subscription=subscription,
            action=action,
            status=status,
            currency=self.currency,
            is_full=minor in (None, paid),
            at=self.at,
        )
