"""Subscriptions in their current state. Payloads have no earlier values: the ledger finds the changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from processors.facts import Item, Product, Stage, Status, SubscriptionState, Terms
from processors.interface import Translation
from processors.money import Currency, exact_decimal
from processors.paddle.envelope import Notification, currency, custom_data, ids_of, ignored, with_facts
from processors.paddle.prices import discounts, price
from processors.payload import Json, at, has, ident, instant, rows, table, text

STATUSES: Mapping[str, Status] = {
    "trialing": Status.TRIALING,
    "active": Status.ACTIVE,
    "past_due": Status.PAST_DUE,
    "paused": Status.PAUSED,
    "canceled": Status.ENDED,
}
STAGES: Mapping[str, Stage] = {
    "subscription.created": Stage.CREATED,
    "subscription.imported": Stage.IMPORTED,
}
JUST_NOW = timedelta(hours=1)  # what is dated so shortly before the event is what the event reports
REASONS: Mapping[Status, str] = {Status.ENDED: "canceled", Status.PAUSED: "paused"}


def from_subscription(notification: Notification) -> Translation:
    """`subscription.*`: the whole entity. Its status has precedence: items of a cancelled one are still active."""
    found = notification.entity
    subscription_id, paid_in = ident(found.get("id")), currency(found.get("currency_code"))
    status = STATUSES.get(text(found.get("status")) or "")
    if subscription_id is None or paid_in is None:
        return ignored("the subscription has no id or no currency")
    if status is None:
        return ignored("the subscription has an unknown status")
    fact = SubscriptionState(
        at=notification.at,
        ids=ids_of(found, ident(found.get("transaction_id")), subscription_id),
        now=Terms(
            status=status,
            currency=paid_in,
            items=tuple(_items(found, paid_in)),
            discounts=discounts(found),
            cancels_at=_cancels_at(found),
        ),
        status_before=_status_before(notification, status),
        stage=STAGES.get(notification.type, Stage.CHANGED),
        changed_at=instant(found.get("updated_at")),
        started_at=instant(found.get("started_at")),
        trial_ends_at=_trial_ends_at(found),
        ended_reason=REASONS.get(status),
        metadata=custom_data(found),
        # An end or a pause has a separate notification; `subscription.updated` reports it as well.
        is_primary=notification.type != "subscription.updated" or status not in (Status.ENDED, Status.PAUSED),
        processor_event_id=notification.id,
    )
    names = ((ident(at(row, "product.id")), text(at(row, "product.name"))) for row in rows(found, "items"))
    return with_facts(fact, catalog=tuple(Product(id=own, name=name) for own, name in names if own and name))


def _status_before(notification: Notification, status: Status) -> Status | None:
    """The status that this change left, by its type and dates: it may be the first event of an older subscription."""
    found = notification.entity
    if notification.type in STAGES:
        return None
    if notification.type == "subscription.resumed":
        return Status.PAUSED
    changed_at, paused_at = instant(found.get("updated_at")), instant(found.get("paused_at"))
    billed_at = instant(found.get("first_billed_at"))
    if status in REASONS and has(found, "first_billed_at") and billed_at is None:
        return Status.TRIALING
    if status is Status.PAUSED:
        return Status.ACTIVE if _is_just_now(paused_at, changed_at) else None
    if status is Status.ENDED:
        return Status.PAUSED if paused_at is not None and not _is_just_now(paused_at, changed_at) else None
    started_at = instant(found.get("started_at"))
    had_trial = started_at is not None and billed_at is not None and billed_at - started_at > JUST_NOW
    return Status.TRIALING if had_trial and _is_just_now(billed_at, changed_at) else None


def _is_just_now(at: datetime | None, now: datetime | None) -> bool:
    return at is not None and now is not None and abs(now - at) <= JUST_NOW


def _items(found: Json, paid_in: Currency) -> Iterator[Item]:
    for row in rows(found, "items"):
        found_price = price(table(row, "price"), table(row, "product"), paid_in)
        if found_price is None or found_price.interval is None or row.get("recurring") is False:
            continue
        yield Item(
            price=found_price,
            quantity=exact_decimal(row.get("quantity")) or Decimal(1),
            counts=text(row.get("status")) in (None, "active"),
        )


def _cancels_at(found: Json) -> datetime | None:
    scheduled = table(found, "scheduled_change")
    return instant(scheduled.get("effective_at")) if scheduled.get("action") == "cancel" else None


def _trial_ends_at(found: Json) -> datetime | None:
    ends = (instant(at(row, "trial_dates.ends_at")) for row in rows(found, "items"))
    return next((moment for moment in ends if moment is not None), None)
