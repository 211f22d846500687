"""A random Stripe merchant: its customers, their clocks, and the comparison with the reference."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bridge.ledger.catalog import CatalogKey, key_of
from bridge.ledger.events import EventType
from processors.facts import CatalogEntry
from processors.stripe import processor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Body
from tests.lifecycles import merchant_frame
from tests.lifecycles.harness import translated
from tests.lifecycles.merchant_customer import MerchantCustomer
from tests.lifecycles.merchant_frame import MOVES, START, CountedMachine, Delivery
from tests.lifecycles.merchant_offers import COUPONS, CUSTOMER_COUPONS, PRODUCTS
from tests.lifecycles.reference_ledger import ReferenceCoupon, ReferenceLedger, ReferenceSubscription

CUSTOMERS = 3

Fits = Callable[[ReferenceSubscription], bool]


def is_active(sold: ReferenceSubscription) -> bool:
    """Paid and active."""
    return sold.status == "active"


def is_served(sold: ReferenceSubscription) -> bool:
    """Active or in trial."""
    return sold.status in ("active", "trialing")


def has_not_ended(sold: ReferenceSubscription) -> bool:
    """Not ended."""
    return sold.status != "canceled"


def is_continuing(sold: ReferenceSubscription) -> bool:
    """Active or in trial, and not scheduled to end."""
    return is_served(sold) and not sold.is_leaving


def is_leaving(sold: ReferenceSubscription) -> bool:
    """Scheduled to end with its period."""
    return is_served(sold) and sold.is_leaving


def has_coupon(sold: ReferenceSubscription) -> bool:
    """Active with a coupon."""
    return is_active(sold) and sold.coupon is not None


def has_addon(sold: ReferenceSubscription) -> bool:
    """Active with a further item."""
    return is_active(sold) and len(sold.items) > 1


def may_have_more(sold: ReferenceSubscription) -> bool:
    """Active, with few further items, and without an amount off all of them, which has no place among intervals."""
    is_amount_off_all = sold.coupon is not None and sold.coupon.minor > 0 and sold.coupon.product is None
    return is_active(sold) and len(sold.items) < 3 and not is_amount_off_all


def is_past_due(sold: ReferenceSubscription) -> bool:
    """A payment failed."""
    return sold.status == "past_due"


def is_paused(sold: ReferenceSubscription) -> bool:
    """Paused by the merchant."""
    return sold.status == "paused"


def has_open_invoice(sold: ReferenceSubscription) -> bool:
    """A payment failed, recently or finally."""
    return sold.status in ("past_due", "unpaid")


@dataclass(kw_only=True)
class Customer(Delivery):
    """One customer: the webhooks sent, those that arrived, and the reference totals."""

    simulated: MerchantCustomer
    reference: ReferenceLedger
    last_sent_at: datetime = START
    is_quiet: bool = False  # the last step sent nothing dated later than its own second

    def step(self, change: Callable[[MerchantCustomer], MerchantCustomer]) -> int:
        """Takes a step; its webhooks are in transit. Returns the amount paid with it."""
        paid_before = len(self.simulated.payments)
        self.simulated = change(self.simulated)
        fresh = translated(self.simulated.webhooks[self.sent :], processor)
        self.in_transit += fresh
        self.last_sent_at = max([self.last_sent_at, *(one.at for one in fresh)])
        self.is_quiet = self.is_quiet and self.last_sent_at <= self.simulated.at
        self.sent = len(self.simulated.webhooks)
        return sum(one.minor for one in self.simulated.payments[paid_before:])


class StripeMerchant(CountedMachine):
    """The customers. In order, each window holds everything sent since the last; otherwise webhooks overtake others."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order = True
        self.serial = 0
        self.disputed: set[str] = set()
        self.customers: list[Customer] = []

    def customer_after_a_while(self, which: int, *, apart: bool = False) -> Customer:
        """One of the customers, some time later: days, or (in order only) within the same second as a quiet step."""
        customer = self.customers[which % CUSTOMERS]
        if which // CUSTOMERS // 4 % 2:
            self.deliver(customer, random.Random(which))
        at, days = customer.simulated.at, which // CUSTOMERS % 4
        if apart or days or not self.in_order or not customer.is_quiet:
            at = max(at, customer.last_sent_at) + timedelta(days=days, seconds=10)
            customer.is_quiet = True
        else:
            customer.is_quiet = False  # at most two steps of one second: a third may close a circle
        customer.simulated = replace(customer.simulated, at=at)
        return customer

    def any_sold(self, fits: Fits) -> bool:
        """Whether there is such a subscription."""
        return bool(self._sold(fits))

    def sold(self, which: int, fits: Fits, *, apart: bool = False) -> tuple[Customer, str]:
        """One such subscription; its customer's clock advances."""
        found = self._sold(fits)
        number, name = found[which % len(found)]
        return self.customer_after_a_while(which // len(found) * CUSTOMERS + number, apart=apart), name

    def _sold(self, fits: Fits) -> list[tuple[int, str]]:
        return [
            (number, name)
            for number, customer in enumerate(self.customers)
            for name, sold in customer.reference.subscriptions.items()
            if fits(sold)
        ]

    def any_payment(self) -> bool:
        """Whether a payment can be refunded."""
        return bool(self._payments())

    def payment(self, which: int) -> tuple[Customer, int]:
        """One payment that can be refunded; its customer's clock advances."""
        found = self._payments()
        number, place = found[which % len(found)]
        return self.customer_after_a_while(which // len(found) * CUSTOMERS + number), place

    def _payments(self) -> list[tuple[int, int]]:
        return [
            (number, place)
            for number, customer in enumerate(self.customers)
            for place, paid in enumerate(customer.simulated.payments)
            if paid.refunded < paid.minor and paid.intent_id not in self.disputed
        ]

    def subscription_changed(self, customer: Customer, name: str, paid: int = 0, *, hours_ago: int = 0) -> None:
        """Updates the reference after a change of a subscription, and counts the payment, if any."""
        customer.reference.subscription_changed(name, customer.simulated.at - timedelta(hours=hours_ago))
        if paid:
            customer.reference.received(paid, of_subscription=True)

    def customer_changed(self, customer: Customer) -> None:
        """Updates the reference after a change that concerns every subscription of a customer."""
        for name in customer.reference.subscriptions:
            self.subscription_changed(customer, name)

    def deliver(self, customer: Customer, chance: random.Random) -> None:
        """Delivers one window: everything in transit when in order, otherwise a share of it."""
        customer.receives(1 if self.in_order else chance.choice((0.2, 0.5, 0.8)), chance)

    def close(self, customer: Customer, chance: random.Random) -> None:
        """Delivers everything, out of order in several windows, then compares with the reference."""
        for _ in range(3):
            self.deliver(customer, chance)
        customer.receives(1, chance)
        agree(customer, in_order=self.in_order)


def merchant_catalog() -> dict[CatalogKey, CatalogEntry]:
    """The merchant's coupons, as they were read from the API before the first use."""
    every = (*COUPONS.values(), *CUSTOMER_COUPONS.values())
    created = (payloads.event("coupon.created", one, at=START, event_id=one["id"]) for one in every)
    return {key: entry for one in translated(created, processor) for entry in one.catalog if (key := key_of(entry))}


def reference_coupon(customer: Customer, coupon: Body | None, name: str) -> ReferenceCoupon | None:
    """The coupon in the reference; its end comes from the payload."""
    if coupon is None:
        return None
    (found,) = customer.simulated._discounts(customer.simulated.subscriptions[name])
    return ReferenceCoupon(
        percent=int(coupon["percent_off"] or 0),
        minor=coupon["amount_off"] or 0,
        product=PRODUCTS.get(coupon["id"]),
        duration=coupon["duration"],
        ends_at=datetime.fromtimestamp(found["end"], tz=UTC) if found["end"] else None,
    )


def invoiced(reference: ReferenceLedger, sold: ReferenceSubscription) -> int:
    """The invoice total of one period: the main item, and the others of the same interval."""
    main = sold.items[0]
    billed = [item for item in sold.items if (item.unit, item.count) == (main.unit, main.count)]
    return sum(item.invoiced(reference.coupon_of(sold)) for item in billed)


def agree(customer: Customer, *, in_order: bool) -> None:
    """Compares the ledger with the reference: totals to the minor unit and, in order, each event."""
    reference, events = customer.reference, customer.ledger.events
    merchant_frame.agree(events, reference, in_order=in_order)
    if in_order:
        types = merchant_frame.types_of(events)
        paired = sum(event.event_type in MOVES and event.amount > 0 for event in events)
        assert types[EventType.REFUND] == reference.refunds
        assert types[EventType.PURCHASE] == reference.bought
        assert types[EventType.RENEWAL] + paired == reference.billed
