"""Alerts: forms of flat fields (classic.paddle.com/webhook-reference), and the readings that all of them share.

Amounts are decimal strings in major units, instants are UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qsl

from processors.facts import Ids, Item, Price, Status, Terms
from processors.interface import Event, Option
from processors.money import Currency, Money, exact_decimal, iso_digits, minor_of_major
from processors.paddle_classic.plans import Period
from processors.payload import NOTHING, Json, Unreadable, ident, instant, parse, strings, text

Fields = Mapping[str, str]

MAX_FIELDS = 200
ENVIRONMENT = Option(
    name="PADDLE_ENVIRONMENT",
    help="The environment of the account: live, or sandbox, whose webhooks are all test traffic.",
    example="live",
    check=lambda value: None if value in ("live", "sandbox") else "must be live or sandbox",
)
STATUSES: Mapping[str, Status] = {
    "trialing": Status.TRIALING,
    "active": Status.ACTIVE,
    "past_due": Status.PAST_DUE,
    "paused": Status.PAUSED,
    "deleted": Status.ENDED,
}


def fields_of(body: bytes) -> Fields:
    """The fields, including empty ones. Raises `Unreadable`: not a form in UTF-8, or a repeated field."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeError:
        raise Unreadable("not UTF-8") from None
    except ValueError:
        raise Unreadable("not form-encoded") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("a repeated field")
    return fields


def envelope(body: bytes, options: Mapping[str, str]) -> Event:
    """The envelope for the inbox. Raises `Unreadable`: this is not an alert. Only the setting marks sandbox alerts."""
    fields = fields_of(body)
    alert_id, name = text(fields.get("alert_id"), 255), text(fields.get("alert_name"), 255)
    if alert_id is None or name is None:
        raise Unreadable("not an alert with an alert_id and an alert_name")
    livemode = options.get(ENVIRONMENT.name) != "sandbox"
    return Event(id=alert_id, type=name, created_at=instant(fields.get("event_time")), livemode=livemode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert with its fields, and the configured billing periods by plan id."""

    id: str
    at: datetime
    fields: Fields
    plans: Mapping[str, Period]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldPlan:
    """The plan of a subscription in an alert: unit price in major units, quantity and billing period."""

    plan_id: str
    unit_price: Decimal
    quantity: Decimal
    period: Period


def ids_of(alert: Alert, subscription_id: str | None) -> Ids:
    """The ids of an alert. Classic numbers orders and payments separately, so a prefix keeps them apart."""
    customer_id = ident(alert.fields.get("user_id"))
    order_id, payment_id = ident(alert.fields.get("order_id")), ident(alert.fields.get("subscription_payment_id"))
    paid = None if payment_id is None else f"payment:{payment_id}"
    order = paid if order_id is None else f"order:{order_id}"
    return Ids(
        customer_id=customer_id,
        subscription_id=subscription_id,
        invoice_id=order,
        payment_id=order,
        charge_id=paid,
        guest=customer_id is None and subscription_id is None and "sale_gross" in alert.fields,
    )


def sold_plan_in(alert: Alert, prefix: str, guess: Period) -> SoldPlan | None:
    """The plan in the fields with this prefix; `guess` is used if the table has no period. None: no amount."""
    found = alert.fields
    plan_id = ident(found.get("old_subscription_plan_id" if prefix == "old_" else "subscription_plan_id"))
    unit_price = exact_decimal(found.get(f"{prefix}unit_price"))
    quantity = exact_decimal(found.get(f"{prefix}quantity"))
    if plan_id is None or quantity is None or quantity < 0:
        return None
    if unit_price is None and quantity:
        total = exact_decimal(found.get(f"{prefix}price"))
        unit_price = None if total is None else total / quantity
    if unit_price is None or unit_price < 0:
        return None
    return SoldPlan(
        plan_id=plan_id,
        unit_price=unit_price,
        quantity=quantity,
        period=alert.plans.get(plan_id) or guess,
    )


def days_left(alert: Alert, field: str = "next_bill_date") -> int | None:
    """Days from the alert to the next bill, or to the date in another field."""
    named = instant(alert.fields.get(field))
    return None if named is None else (named.date() - alert.at.date()).days


def money_in(alert: Alert, field: str) -> Money | None:
    currency = currency_of(alert.fields)
    minor = None if currency is None else minor_of_major(alert.fields.get(field), currency)
    return None if currency is None or minor is None else Money(minor=minor, currency=currency)


def currency_of(fields: Fields) -> Currency | None:
    code = text(fields.get("currency"), 3)
    return None if code is None else Currency(code=code.upper(), digits=iso_digits(code.upper()))


def metadata_of(alert: Alert) -> dict[str, str]:
    """The merchant's own data: JSON in `passthrough`, and since 2022 in `custom_data`."""
    return {**strings(_json(alert.fields.get("passthrough"))), **strings(_json(alert.fields.get("custom_data")))}


def _json(written: str | None) -> Json:
    try:
        return parse((written or "").encode("utf-8", "replace"))
    except Unreadable:
        return NOTHING


def subscription_in(alert: Alert) -> tuple[Status | None, Currency | None, str | None]:
    """Status, currency and id of the subscription of an alert."""
    found = alert.fields
    return STATUSES.get(found.get("status", "")), currency_of(found), ident(found.get("subscription_id"))


def terms_of(status: Status, currency: Currency, sold: SoldPlan, cancels_at: datetime | None = None) -> Terms:
    """The terms of the subscription. Its plan is also used as its product: alerts have no other."""
    price = Price(
        id=sold.plan_id,
        currency=currency,
        unit_amount=sold.unit_price.scaleb(currency.digits),
        product_id=sold.plan_id,
        interval=sold.period.interval,
        interval_count=sold.period.count,
        tax_inclusive=True,  # possibly: the account's setting is in no alert. Lines of payments are without tax
    )
    return Terms(
        status=status, currency=currency, items=(Item(price=price, quantity=sold.quantity),), cancels_at=cancels_at
    )
