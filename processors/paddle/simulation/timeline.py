"""A simulated customer's current state and webhooks so far, and the entities that Paddle would send about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from processors.paddle.simulation import payloads
from processors.paddle.simulation.payloads import Body, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription in its current state."""

    id: str
    plan: Plan
    quantity: int
    started_at: datetime
    renews_at: datetime
    status: str = "active"
    trial_ends_at: datetime | None = None  # None: there was no trial, or it has been paid for
    billed_at: datetime | None = None  # when it was billed first, if that was at the end of a trial
    paused_at: datetime | None = None
    canceled_at: datetime | None = None
    scheduled_change: Body | None = None
    discount: Body | None = None
    percent_off: int = 0
    first_transaction: str | None = None

    @property
    def per_period(self) -> int:
        """The price of one whole period in minor units, before discounts and tax."""
        return self.plan.minor * self.quantity

    @property
    def off_per_period(self) -> int:
        """The discount of a whole period, in minor units."""
        return self.per_period * self.percent_off // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction in any status."""

    id: str
    origin: str
    plans: tuple[tuple[Plan, int], ...]
    lines: tuple[Body, ...]
    subscription: Subscription | None = None
    is_guests: bool = False
    discount_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`webhooks`: the bodies so far, in the order in which things happened. `at`: the current time."""

    tag: str
    at: datetime
    visit: Mapping[str, Any] | None = None  # the custom data that contains the attribution
    currency: str = "USD"
    webhooks: tuple[bytes, ...] = ()
    is_known: bool = False  # whether `customer.created` was sent
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    paid: tuple[tuple[str, int, str | None], ...] = ()  # transaction, minor units, subscription
    chargebacks: tuple[tuple[str, str, int, int], ...] = ()  # chargebacks: adjustment, action, minor units, payment

    @classmethod
    def begin(cls, tag: str, at: datetime, **more: Any) -> Self:
        """A new customer with an attribution named after the tag."""
        visit = {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"}
        return cls(tag=tag, at=at, **{"visit": visit, **more})

    @property
    def customer_id(self) -> str:
        """The customer's id."""
        return f"ctm_{self.tag}"

    def later(self, **span: float) -> Self:
        """The same customer some time later: `later(days=30)`."""
        return replace(self, at=self.at + timedelta(**span))

    def sent(self, kind: str, entity: Body, seconds: float = 0) -> Self:
        """With one more webhook, dated `seconds` after now."""
        event_id = f"evt_{self.tag}_{len(self.webhooks) + 1}"
        body = payloads.event(kind, entity, at=self.at + timedelta(seconds=seconds), event_id=event_id)
        return replace(self, webhooks=(*self.webhooks, body))

    def _numbered(self, prefix: str) -> str:
        return f"{prefix}_{self.tag}_{len(self.webhooks) + 1}"

    # ---- Subscriptions ----

    def _with_subscription(self, name: str, subscription: Subscription) -> Self:
        return replace(self, subscriptions={**self.subscriptions, name: subscription})

    def _updated(self, name: str, subscription: Subscription, seconds: float = 0.1) -> Self:
        return self._with_subscription(name, subscription).sent(
            "subscription.updated", self._entity(subscription, seconds=seconds), seconds
        )

    def _entity(self, subscription: Subscription, *, created: bool = False, seconds: float = 0) -> Body:
        return payloads.subscription(
            subscription.id,
            customer=self.customer_id,
            plans=[(subscription.plan, subscription.quantity)],
            status=subscription.status,
            started_at=subscription.started_at,
            updated_at=self.at + timedelta(seconds=seconds),
            currency=self.currency,
            transaction_id=subscription.first_transaction if created else None,
            trial_ends_at=subscription.trial_ends_at,
            billed_at=subscription.billed_at,
            renews_at=subscription.renews_at,
            scheduled_change=subscription.scheduled_change,
            discount=subscription.discount,
            paused_at=subscription.paused_at,
            canceled_at=subscription.canceled_at,
            custom_data=self.visit,
        )

    # ---- Transactions, in the order of Paddle's webhook simulator ----

    def _opened(self, transaction: Transaction) -> Self:
        """A checkout up to the payment: a draft, then the customer, then ready, then paid."""
        customer = self.sent("transaction.created", self._transaction(transaction, "draft", is_draft=True))
        if not (self.is_known or transaction.is_guests):
            customer = customer.sent("customer.created", payloads.customer(self.customer_id, at=self.at), 0.1)
            customer = customer.sent("address.created", payloads.address(self.customer_id, at=self.at), 0.1)
            customer = replace(customer, is_known=True)
        opening = replace(transaction, subscription=None)
        for status in ("ready", "paid"):
            entity = self._transaction(opening, status)
            seconds = 0.2 if status == "ready" else 0.8
            customer = customer.sent("transaction.updated", entity, seconds).sent(
                f"transaction.{status}", entity, seconds
            )
        return customer

    def _billed(self, transaction: Transaction) -> Self:
        """A transaction on a subscription, up to the payment."""
        billed, paid = self._transaction(transaction, "billed"), self._transaction(transaction, "paid")
        customer = self.sent("transaction.created", billed, 0.3).sent("transaction.billed", billed, 0.3)
        return customer.sent("transaction.updated", paid, 0.8).sent("transaction.paid", paid, 0.8)

    def _completed(self, transaction: Transaction) -> Self:
        """Paddle has processed the payment: invoice number, fee and earnings are known."""
        entity = self._transaction(transaction, "completed")
        customer = self.sent("transaction.updated", entity, 2.4).sent("transaction.completed", entity, 2.5)
        minor = int(entity["details"]["totals"]["grand_total"])
        owner = None if transaction.subscription is None else transaction.subscription.id
        return replace(customer, paid=(*customer.paid, (transaction.id, minor, owner)))

    def _transaction(self, transaction: Transaction, status: str, *, is_draft: bool = False) -> Body:
        subscription = transaction.subscription
        return payloads.transaction(
            transaction.id,
            customer=None if transaction.is_guests or is_draft else self.customer_id,
            plans=transaction.plans,
            lines=transaction.lines,
            origin=transaction.origin,
            status=status,
            subscription=None if subscription is None or is_draft else subscription.id,
            currency=self.currency,
            discount_id=transaction.discount_id,
            custom_data=self.visit,
            pays_until=None if subscription is None else subscription.renews_at,
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
