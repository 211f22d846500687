"""Values for tests, valid by default, so that a test states only the relevant fields.

One customer, `cus_1`, pays 49.00 USD a month for `Pro` by subscription `sub_1`; everything happens at noon of 1 January
2026 by default. Every fact comes from a new webhook (`evt_1`, `evt_2`, …).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from processors.facts import (
    Attribution,
    Coupon,
    Discount,
    Duration,
    Ids,
    Interval,
    Item,
    Line,
    Link,
    Membership,
    Payment,
    Place,
    Price,
    Reason,
    Refund,
    RefundKind,
    RefundStatus,
    Stage,
    Status,
    SubscriptionState,
    Terms,
)
from processors.money import Currency, Money
from processors.values import replace

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
USD = Currency(code="USD", digits=2)
EUR = Currency(code="EUR", digits=2)
JPY = Currency(code="JPY", digits=0)
VISIT = {"visitor_fingerprint": "fp_1", "session_id": "ses_1"}

_numbers = count(1)


def after(**parts: float) -> datetime:
    """A time after noon: `after(days=30, seconds=2)`."""
    return NOON + timedelta(**parts)


def event_id() -> str:
    """The id of a new webhook."""
    return f"evt_{next(_numbers)}"


# ---- Prices and terms -----------------------------------------------------------------------------------------------


def a_price(minor: float | str | None = 4900, every: Interval | None = Interval.MONTH, **more: Any) -> Price:
    """A price by the amount of one period, in minor units."""
    amount = None if minor is None else Decimal(str(minor))
    named = {"id": f"price_{minor}", "name": "Pro", "product_id": "prod_1", "currency": USD}
    return Price(unit_amount=amount, interval=every, **{**named, **more})


def an_item(minor: float | str | None = 4900, seats: float | str = 1, **more: Any) -> Item:
    """One item of a subscription."""
    price = more.pop("price", None) or a_price(minor)
    return Item(price=price, quantity=Decimal(str(seats)), **more)


def terms(
    status: Status = Status.ACTIVE, minor: float | str | None = 4900, seats: float | str = 1, **more: Any
) -> Terms:
    """The terms of a subscription: one item by default."""
    items = more.pop("items", None) or (an_item(minor, seats),)
    return Terms(status=status, items=items, **{"currency": USD, **more})


def a_coupon(percent: float | None = None, off: Mapping[str, int] | None = None, **more: Any) -> Coupon:
    """A permanent coupon: a percentage, or an amount by currency."""
    share = None if percent is None else Decimal(str(percent))
    return Coupon(percent=share, amount_off=off or {}, **{"id": "SAVE", "duration": Duration.FOREVER, **more})


def a_discount(coupon: Coupon | None = None, **more: Any) -> Discount:
    """An applied coupon; without `coupon`, a discount with only its id."""
    return Discount(coupon=coupon, coupon_id=coupon.id if coupon else None, **{"id": "di_1", **more})


def a_line(minor: float = 4900, seats: float = 1, **more: Any) -> Line:
    """An invoice line for one period of a price."""
    named = {"price_id": f"price_{minor}", "name": "Pro", "interval": Interval.MONTH}
    return Line(amount=Decimal(str(minor)), quantity=Decimal(str(seats)), **{**named, **more})


# ---- Facts ----------------------------------------------------------------------------------------------------------


def a_subscription(
    status: Status = Status.ACTIVE,
    minor: float | str | None = 4900,
    seats: float | str = 1,
    *,
    at: datetime = NOON,
    was: Terms | None = None,
    subscription_id: str = "sub_1",
    customer_id: str | None = "cus_1",
    now: Terms | None = None,
    **more: Any,
) -> SubscriptionState:
    """The current state of a subscription; `was`: the terms before this change."""
    return SubscriptionState(
        at=at,
        ids=Ids(customer_id=customer_id, subscription_id=subscription_id),
        now=now or terms(status, minor, seats),
        before=was,
        **{"processor_event_id": event_id(), **more},
    )


def a_created(status: Status = Status.ACTIVE, minor: float | str = 4900, **more: Any) -> SubscriptionState:
    """A subscription that starts."""
    return a_subscription(status, minor, stage=Stage.CREATED, **more)


def an_ended(minor: float | str = 4900, **more: Any) -> SubscriptionState:
    """A subscription that has ended."""
    return a_subscription(Status.ENDED, minor, **more)


def a_payment(
    minor: int = 4900,
    payment_id: str = "pi_1",
    *,
    at: datetime = NOON,
    currency: Currency = USD,
    customer_id: str | None = "cus_1",
    charge_id: str | None = None,
    **more: Any,
) -> Payment:
    """A charge, whose payload does not show whether it pays an invoice."""
    ids = Ids(
        customer_id=customer_id,
        payment_id=payment_id,
        charge_id=charge_id,
        invoice_id=more.pop("invoice_id", None),
        subscription_id=more.pop("subscription_id", None),
        guest=customer_id is None,
    )
    fields = {"processor_event_id": event_id(), **more}
    return Payment(key=payment_id, at=at, ids=ids, amount=Money(minor=minor, currency=currency), **fields)


def a_purchase(minor: int = 4900, payment_id: str = "pi_1", **more: Any) -> Payment:
    """A payment that states that it belongs to no invoice."""
    return a_payment(minor, payment_id, **{"membership": Membership.NONE, "reason": Reason.ONE_OFF, **more})


def an_invoice(
    minor: int = 4900,
    invoice_id: str = "in_1",
    reason: Reason = Reason.CYCLE,
    *,
    at: datetime = NOON,
    currency: Currency = USD,
    customer_id: str | None = "cus_1",
    subscription_id: str | None = "sub_1",
    payment_id: str | None = None,
    **more: Any,
) -> Payment:
    """The total paid on an invoice so far."""
    ids = Ids(customer_id=customer_id, subscription_id=subscription_id, invoice_id=invoice_id, payment_id=payment_id)
    fields = {"processor_event_id": event_id(), "membership": Membership.INVOICE, "is_total": True, **more}
    return Payment(
        key=invoice_id, at=at, ids=ids, amount=Money(minor=minor, currency=currency), reason=reason, **fields
    )


def an_invoice_payment(
    minor: int = 4900, invoice_id: str = "in_1", payment_id: str = "pi_1", *, at: datetime = NOON, **more: Any
) -> Payment:
    """One payment on an invoice, with the ids of both."""
    return a_payment(
        minor,
        payment_id,
        at=at,
        invoice_id=invoice_id,
        **{"membership": Membership.INVOICE, "customer_id": None, **more},
    )


def a_paid_invoice(
    minor: int = 4900, number: int = 1, reason: Reason = Reason.CYCLE, *, at: datetime = NOON, **more: Any
) -> Sequence[Payment]:
    """The three webhooks of one paid invoice: the charge, the invoice, and the invoice payment that links them."""
    invoice_id, payment_id = f"in_{number}", f"pi_{number}"
    return (
        a_payment(minor, payment_id, at=at, charge_id=f"ch_{number}"),
        an_invoice(minor, invoice_id, reason, at=at, **more),
        an_invoice_payment(minor, invoice_id, payment_id, at=at),
    )


def a_refund(
    minor: int = 4900,
    refund_id: str = "re_1",
    *,
    at: datetime = NOON,
    of: str | None = "pi_1",
    currency: Currency = USD,
    **more: Any,
) -> Refund:
    """A refund that succeeded."""
    ids = more.pop("ids", None) or Ids(payment_id=of)
    fields = {"processor_event_id": event_id(), "transaction_id": refund_id, **more}
    return Refund(key=refund_id, at=at, ids=ids, amount=Money(minor=minor, currency=currency), **fields)


def a_refunded_total(minor: int, *, of: str = "pi_1", **more: Any) -> Refund:
    """The total refunded on a payment so far."""
    return a_refund(minor, f"{of}:refunded", of=of, **{"is_total": True, "transaction_id": of, **more})


def a_dispute(minor: int = 4900, dispute_id: str = "dp_1", **more: Any) -> Refund:
    """The money withdrawn for a dispute."""
    fields = {"kind": RefundKind.DISPUTE, "transaction_id": dispute_id, "reason": "fraudulent", **more}
    return a_refund(minor, f"{dispute_id}:withdrawn", **fields)


def a_reinstatement(minor: int = 4900, dispute_id: str = "dp_1", **more: Any) -> Refund:
    """The money returned after a dispute."""
    fields = {"kind": RefundKind.REVERSAL, "transaction_id": dispute_id, "reverses": f"{dispute_id}:withdrawn", **more}
    return a_refund(minor, f"{dispute_id}:reinstated", **fields)


def an_attribution(
    metadata: Mapping[str, str] | None = None, place: Place = Place.CHECKOUT, *, at: datetime = NOON, **ids: Any
) -> Attribution:
    """The attribution from a checkout session, or from `place`."""
    named = Ids(**{"customer_id": "cus_1", **ids})
    return Attribution(
        place=place, at=at, ids=named, metadata=VISIT if metadata is None else metadata, processor_event_id=event_id()
    )


def a_link(*, at: datetime = NOON, **ids: Any) -> Link:
    """Ids that belong together."""
    return Link(at=at, ids=Ids(**ids), processor_event_id=event_id())


def again(fact: Any) -> Any:
    """The same fact from another webhook."""
    return replace(fact, processor_event_id=event_id())


PENDING, FAILED = RefundStatus.PENDING, RefundStatus.FAILED
