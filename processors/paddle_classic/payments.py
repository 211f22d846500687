"""Alerts of payments, refunds and disputes."""

from __future__ import annotations

from decimal import Decimal

from processors.facts import (
    Discount,
    Line,
    Membership,
    Payment,
    Product,
    Reason,
    Refund,
    RefundKind,
    Stage,
    SubscriptionState,
)
from processors.interface import Translation
from processors.money import Money, minor_of_major
from processors.paddle_classic.alerts import (
    Alert,
    SoldPlan,
    days_left,
    ids_of,
    metadata_of,
    money_in,
    sold_plan_in,
    subscription_in,
    terms_of,
)
from processors.paddle_classic.plans import period_of_days, shortest_days
from processors.payload import ident, text

NO_MONEY = "the alert has no order, amount or currency"


def subscription_paid(alert: Alert) -> Translation:
    """`subscription_payment_succeeded`: the first or a later payment of a subscription, and its current state."""
    subscription_id = ident(alert.fields.get("subscription_id"))
    is_first = alert.fields.get("initial_payment", "").strip().lower() in ("1", "true")
    reason = Reason.START if is_first else _later_reason(alert)
    translation = _paid(alert, subscription_id, reason if subscription_id else Reason.ONE_OFF)
    state = _state(alert, Stage.CREATED if is_first else Stage.CHANGED)
    if state is None or not translation.facts:
        return translation
    return Translation(facts=(state, *translation.facts), catalog=_product(alert))


def paid(alert: Alert) -> Translation:
    """`payment_succeeded`: a one-time purchase. It identifies the customer only by e-mail address: a guest's."""
    return _paid(alert, None, Reason.ONE_OFF)


def refunded(alert: Alert) -> Translation:
    """`subscription_payment_refunded`, `payment_refunded`: each alert is one refund, identified by the alert's id."""
    kind = text(alert.fields.get("refund_type"), 20)
    reason = text(alert.fields.get("refund_reason"), 100)
    stated = "tax_only" if kind == "vat" else reason
    return _refund(alert, f"refund:{alert.id}", "gross_refund", RefundKind.REFUND, stated)


def disputed(alert: Alert) -> Translation:
    """`payment_dispute_created`: a chargeback. No alert states its outcome."""
    return _refund(alert, f"dispute:{alert.fields.get('order_id', '')}", "amount", RefundKind.DISPUTE, "dispute")


def _paid(alert: Alert, subscription_id: str | None, reason: Reason) -> Translation:
    ids = ids_of(alert, subscription_id)
    money = money_in(alert, "sale_gross")
    if ids.payment_id is None or money is None:
        return Translation(reason=NO_MONEY)
    coupon = text(alert.fields.get("coupon"), 255)
    fact = Payment(
        key=ids.payment_id,
        at=alert.at,
        ids=ids,
        amount=Money(minor=max(money.minor, 0), currency=money.currency),
        tax=minor_of_major(alert.fields.get("payment_tax"), money.currency),
        is_total=True,
        membership=Membership.INVOICE if subscription_id else Membership.NONE,
        reason=reason,
        lines=() if subscription_id is None else _lines(alert, money),
        discounts=() if coupon is None else (Discount(coupon_id=coupon),),
        plan=text(alert.fields.get("plan_name")) or text(alert.fields.get("product_name")),
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    return Translation(facts=(fact,))


def _later_reason(alert: Alert) -> Reason:
    """The reason of a payment that is not the first: a change billed at once, else a cycle. No alert states it.

    A cycle costs the listed price, unless a coupon lowers it; a change is prorated or billed before the period is over,
    and removes the coupon (classic.paddle.com/api-reference, update user).
    """
    money = money_in(alert, "sale_gross")
    sold = sold_plan_in(alert, "", period_of_days(days_left(alert)))
    if money is None or sold is None or text(alert.fields.get("coupon"), 255) is not None:
        return Reason.CYCLE
    return Reason.CYCLE if _is_listed(money, sold, alert) and not _is_mid_period(sold, alert) else Reason.CHANGE


def _is_mid_period(sold: SoldPlan, alert: Alert) -> bool:
    days = days_left(alert)
    return days is not None and not sold.period.estimated and days < shortest_days(sold.period)


def _is_listed(money: Money, sold: SoldPlan, alert: Alert) -> bool:
    """Whether the amount is the price of the plan, with or without the tax."""
    tax = minor_of_major(alert.fields.get("payment_tax"), money.currency) or 0
    return minor_of_major(sold.unit_price * sold.quantity, money.currency) in (money.minor, money.minor - tax)


def _state(alert: Alert, stage: Stage) -> SubscriptionState | None:
    """The state after a payment: no other alert reports the end of a trial."""
    status, currency, subscription_id = subscription_in(alert)
    sold = sold_plan_in(alert, "", period_of_days(days_left(alert)))
    if subscription_id is None or currency is None or status is None or sold is None:
        return None
    return SubscriptionState(
        at=alert.at,
        ids=ids_of(alert, subscription_id),
        now=terms_of(status, currency, sold),
        stage=stage,
        estimated=sold.period.estimated,
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )


def _product(alert: Alert) -> tuple[Product, ...]:
    plan_id, name = ident(alert.fields.get("subscription_plan_id")), text(alert.fields.get("plan_name"))
    return () if plan_id is None or name is None else (Product(id=plan_id, name=name),)


def _lines(alert: Alert, money: Money) -> tuple[Line, ...]:
    """The line of a whole period, without tax; none where a coupon or a fee makes it no measure of MRR."""
    sold = sold_plan_in(alert, "", period_of_days(days_left(alert)))
    if sold is None:
        return ()
    tax = minor_of_major(alert.fields.get("payment_tax"), money.currency) or 0
    if not money.minor or not _is_listed(money, sold, alert):
        return ()
    line = Line(
        price_id=sold.plan_id,
        name=text(alert.fields.get("plan_name")),
        amount=Decimal(money.minor - tax),
        quantity=sold.quantity,
        interval=sold.period.interval,
        interval_count=sold.period.count,
    )
    return (line,)


def _refund(alert: Alert, key: str, amount: str, kind: RefundKind, reason: str | None) -> Translation:
    ids = ids_of(alert, ident(alert.fields.get("subscription_id")))
    money = money_in(alert, amount)
    if ids.payment_id is None or money is None:
        return Translation(reason=NO_MONEY)
    fact = Refund(
        key=key,
        at=alert.at,
        ids=ids,
        amount=Money(minor=abs(money.minor), currency=money.currency),
        transaction_id=key,
        kind=kind,
        reason=reason,
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    return Translation(facts=(fact,))
