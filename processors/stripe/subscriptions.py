"""Subscriptions: their terms now and before a change, in payloads of every API version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from processors.facts import CatalogEntry, Ids, Item, Period, Stage, Status, SubscriptionState, Terms
from processors.interface import Translation
from processors.money import Currency, exact_decimal
from processors.payload import Json, at, first, has, ident, instant, rows, strings, table, text
from processors.stripe import discounts, prices
from processors.stripe.envelope import Snapshot, currency_of, customer_of, ignored, is_guest, merged, with_facts, word
from processors.values import replace

STATUSES: Mapping[str, Status] = {
    "incomplete": Status.INCOMPLETE,
    "incomplete_expired": Status.ENDED,
    "trialing": Status.TRIALING,
    "active": Status.ACTIVE,
    "past_due": Status.PAST_DUE,
    "unpaid": Status.UNPAID,
    "paused": Status.PAUSED,
    "canceled": Status.ENDED,
}
TWINS = frozenset({"customer.subscription.paused", "customer.subscription.resumed"})
WITHOUT_PAYMENT = frozenset({"void", "mark_uncollectible"})  # kinds of pause_collection that waive invoices


def from_subscription(event: Snapshot) -> Translation:
    """The state in a `customer.subscription.*` event."""
    found = event.object
    if event.type == "customer.subscription.deleted":
        found = {**found, "status": "canceled"}
    read = subscription_state(found, event.at, stage=_stage(event.type), previous=event.previous, event_id=event.id)
    if isinstance(read, str):
        return ignored(read)
    # A pause and its end have separate events. `customer.subscription.updated`, which states the terms before, is
    # sent as well and comes first.
    return with_facts(replace(read, is_primary=event.type not in TWINS), catalog=catalog_of(found))


def subscription_state(
    found: Json, at: datetime, *, stage: Stage = Stage.IMPORTED, previous: Json | None = None, event_id: str = ""
) -> SubscriptionState | str:
    """The state of a subscription resource, or the reason why it has none. Without an event: an imported one."""
    subscription_id, terms = ident(found.get("id")), terms_of(found)
    if subscription_id is None:
        return "a subscription without an id"
    if terms is None:
        return f"a subscription of unknown status or currency: {text(found.get('status'), 40)}"
    return SubscriptionState(
        at=at,
        ids=Ids(
            customer_id=customer_of(found),
            subscription_id=subscription_id,
            invoice_id=ident(found.get("latest_invoice")),
            guest=is_guest(found),
        ),
        now=terms,
        before=None if previous is None else _before(found, previous),
        previous_invoice_id=ident((previous or {}).get("latest_invoice")),
        stage=stage,
        started_at=instant(first(found, "start_date", "start", "created")),
        trial_ends_at=instant(found.get("trial_end")),
        ended_reason=_ended_reason(found),
        metadata=strings(found.get("metadata")),
        periods=_periods(found),
        processor_event_id=event_id,
    )


def terms_of(found: Json) -> Terms | None:
    """The terms that MRR is computed from; None: unknown status or currency."""
    status, currency = STATUSES.get(word(found.get("status"))), _currency(found)
    if status is None or currency is None:
        return None
    return Terms(
        status=status,
        currency=currency,
        items=tuple(item for item in (_item(row, found, currency) for row in _item_rows(found)) if item is not None),
        items_complete=at(found, "items.has_more") is not True,
        discounts=discounts.discounts_on(found),
        cancels_at=_cancels_at(found),
        fixed_term=_is_fixed_term(found),
        stopped_collecting=word(at(found, "pause_collection.behavior")) in WITHOUT_PAYMENT,
    )


def catalog_of(found: Json) -> tuple[CatalogEntry, ...]:
    """The complete prices, products, coupons and discounts in a subscription."""
    entries: list[CatalogEntry] = list(discounts.catalog_of(discounts.discounts_on(found)))
    for row in _item_rows(found):
        price = prices.price_of(row.get("price"), row.get("plan"))
        entries += [price] if price is not None and prices.is_complete(price) else []
        entries += prices.products_of(row.get("price"))
        entries += discounts.catalog_of(discounts.discounts_on(row))
    return tuple(entries)


def _stage(kind: str) -> Stage:
    return Stage.CREATED if kind == "customer.subscription.created" else Stage.CHANGED


def _before(found: Json, previous: Json) -> Terms | None:
    """The terms before the change, from the old values."""
    before = dict(merged(found, previous))
    if "items" not in previous and ("plan" in previous or "quantity" in previous):
        before["items"] = _items_of_old_plan(found, before)
    if "discount" in previous and "discounts" not in previous:
        before["discounts"] = None  # a list, if present, is the current one
    if "discounts" in previous and "discount" not in previous:
        before["discount"] = None
    return terms_of(before)


def _items_of_old_plan(found: Json, before: Json) -> Json:
    """The old item, where only the subscription's own plan and quantity changed (before 2018)."""
    old = {"plan": before.get("plan"), "quantity": before.get("quantity"), "price": None}
    present = list(rows(found, "items"))
    if len(present) != 1:
        return {"data": [old]} if old["plan"] else table(found, "items")
    if not isinstance(old["plan"], Mapping):
        old = {"quantity": before.get("quantity")}
    return {"data": [{**present[0], **old}]}


def _item_rows(found: Json) -> list[Json]:
    """The items; without any, the plan and quantity of the subscription itself (before items existed)."""
    listed = [row for row in rows(found, "items") if row.get("deleted") is not True]
    if listed or not isinstance(first(found, "plan", "price"), Mapping):
        return listed
    return [{"plan": found.get("plan"), "price": found.get("price"), "quantity": found.get("quantity")}]


def _item(row: Json, subscription: Json, currency: Currency) -> Item | None:
    price = prices.price_of(row.get("price"), row.get("plan"), currency)
    if price is None:
        return None
    quantity = exact_decimal(first(row, "quantity_decimal", "quantity"))
    is_tax_automatic = at(subscription, "automatic_tax.enabled") is True
    return Item(
        price=price,
        quantity=Decimal(1) if quantity is None else quantity,
        counts=not table(row, "current_trial"),  # since endive: a trial of one item while the others are paid
        discounts=discounts.discounts_on(row),
        tax_inside=_tax_inside(row, subscription),
        tax_by_account=is_tax_automatic and prices.is_tax_behavior_unspecified(row.get("price")),
    )


def _tax_inside(row: Json, subscription: Json) -> Decimal | None:
    """The percentage of tax inside, by the item's tax rates, else by the subscription's default ones."""
    own = prices.inclusive_percentage(row, "tax_rates")
    return (prices.inclusive_percentage(subscription, "default_tax_rates") if own is None else own) or None


def _periods(found: Json) -> dict[str, Period]:
    """The billing period of each price: on the items since basil, before that on the subscription."""
    periods = {}
    for row in _item_rows(found):
        price_id = ident(first(row, "price", "plan"))
        starts_at = instant(first(row, "current_period_start") or found.get("current_period_start"))
        ends_at = instant(first(row, "current_period_end") or found.get("current_period_end"))
        if price_id and starts_at and ends_at and starts_at < ends_at:
            periods[price_id] = Period(starts_at=starts_at, ends_at=ends_at)
    return periods


def _currency(found: Json) -> Currency | None:
    """The billing currency: on the subscription since 2022, before that on its plan or items."""
    stated = [found.get("currency")]
    for row in _item_rows(found):
        stated += [at(row, "price.currency"), at(row, "plan.currency")]
    return next((currency for currency in map(currency_of, stated) if currency is not None), None)


def _cancels_at(found: Json) -> datetime | None:
    """The time of a scheduled end, or None. Periods are on the items since basil."""
    fixed = instant(found.get("cancel_at"))
    if fixed is not None or found.get("cancel_at_period_end") is not True:
        return fixed
    ends = [instant(row.get("current_period_end")) for row in _item_rows(found)]
    period_end = instant(found.get("current_period_end")) or max((end for end in ends if end), default=None)
    return period_end or instant(first(found, "canceled_at", "created"))


def _is_fixed_term(found: Json) -> bool:
    """Whether the scheduled end was set when the subscription was created (instalments, a schedule that ends).

    `canceled_at` is the time of the latest request: null, or the creation's own, if nobody has asked since.
    """
    if not has(found, "canceled_at") or (found.get("cancel_at") is None and not found.get("cancel_at_period_end")):
        return False
    asked, created = instant(found["canceled_at"]), instant(found.get("created"))
    if asked is None:
        return found.get("cancel_at_period_end") is not True
    return created is not None and asked <= created


def _ended_reason(found: Json) -> str | None:
    """Stripe's word for why it ended or paused."""
    if found.get("status") == "incomplete_expired":
        return "incomplete_expired"
    return text(first(found, "cancellation_details.reason", "status_details.paused.type"))
