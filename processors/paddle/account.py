"""A merchant's Paddle account: API entities as catalog entries, facts and event bodies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from processors.facts import (
    CatalogEntry,
    Fact,
    Ids,
    Item,
    Line,
    Membership,
    Payment,
    Product,
    Reason,
    Stage,
    Status,
    SubscriptionState,
)
from processors.interface import ApiError
from processors.money import Money, exact_decimal
from processors.paddle import prices, subscriptions
from processors.paddle.api import PaddleApi, base_url
from processors.paddle.envelope import Notification
from processors.paddle.translate import EVENTS
from processors.payload import Json, at, ident, instant, rows, text
from processors.values import replace

MAX_CACHED = 10_000

Items = tuple[str, tuple[tuple[str, Decimal | None, Decimal], ...]]


def connect(key: str, options: Mapping[str, str]) -> Account:
    """The account that a key can read."""
    return Account(api=PaddleApi(key, base_url(key, options)))


@dataclass(kw_only=True)
class Account:
    """Implements `processors.interface.Api`. `costs`: cached lines, by subscription and items."""

    api: PaddleApi
    costs: dict[Items, tuple[Line, ...]] = field(default_factory=dict)

    def for_account(self, account: str | None) -> Account:
        """Itself: Paddle has no connected accounts."""
        return self

    def lookup(self, keys: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        """The catalog entries of these prices, products and discounts. A discount's id is also its coupon's."""
        found = (self._entry(kind, object_id) for kind, object_id in sorted(keys))
        return [entry for entry in found if entry is not None]

    def related_facts(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """The subscriptions known from payments alone, and the costs of periods that prices do not state."""
        unseen = _payments_of_unseen_subscriptions(facts, seen).values()
        states = [state for payment in unseen if (state := self._subscription(payment)) is not None]
        known = [fact for fact in facts if isinstance(fact, SubscriptionState)]
        costs = (self._cost(state) for state in _of_unknown_cost(known, facts))
        return [*states, *(cost for cost in costs if cost is not None)]

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended, in its current state."""
        now = self.api.now()
        for found in self.api.subscriptions():
            state = _state(found, now)
            if state is None:
                continue
            entity = self.api.subscription(state.ids.subscription_id or "") if _is_cost_unknown(state) else None
            yield state if entity is None else _with_costs(state, _lines(entity))

    def subscription(self, subscription_id: str) -> SubscriptionState | None:
        """One subscription in its current state; if it was cancelled, as of that time."""
        found = self.api.subscription(subscription_id)
        if found is None:
            return None
        state = _state(found, instant(found.get("canceled_at")) or self.api.now())
        return _with_costs(state, _lines(found)) if state is not None and _is_cost_unknown(state) else state

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all understood events since then, oldest first."""
        found = [_body(event) for event in self.api.events(since, EVENTS)]
        yield from reversed(found)

    def fetch(self, path: str) -> bytes:
        """Not used: Paddle's events contain their entity."""
        raise ApiError("Paddle sends no thin events")

    def _entry(self, kind: str, object_id: str) -> CatalogEntry | None:
        if kind == "price":
            return prices.price(self.api.price(object_id) or {}, {})
        if kind in ("coupon", "discount"):
            return prices.coupon(self.api.discount(object_id) or {})
        found = self.api.product(object_id) if kind == "product" else None
        name = text(found.get("name")) if found else None
        return None if name is None else Product(id=object_id, name=name)

    def _subscription(self, payment: Payment) -> SubscriptionState | None:
        """The subscription of a payment: started by it, or an older one. Its end, if any, arrives as an event."""
        found = self.api.subscription(payment.ids.subscription_id or "")
        state = _state(found, payment.at) if found else None
        if found is None or state is None or state.now.status is Status.ENDED:
            return None
        stage = Stage.CREATED if payment.reason is Reason.START else Stage.CHANGED
        return replace(_with_costs(state, _lines(found)), stage=stage)

    def _cost(self, state: SubscriptionState) -> Payment | None:
        """The cost of its periods by the API, as a payment of 0 with lines; None: its items have changed since."""
        subscription_id = state.ids.subscription_id or ""
        lines = self._current_lines(state)
        items = {item.price.id: item.quantity for item in state.now.items}
        if not lines or {line.price_id: line.quantity for line in lines} != items:
            return None
        key = f"{subscription_id}:recurring"
        return Payment(
            key=key,
            at=state.at,
            ids=Ids(customer_id=state.ids.customer_id, subscription_id=subscription_id, invoice_id=key, payment_id=key),
            amount=Money(minor=0, currency=state.now.currency),
            is_total=True,
            membership=Membership.INVOICE,
            lines=lines,
            processor_event_id=state.processor_event_id,
        )

    def _current_lines(self, state: SubscriptionState) -> tuple[Line, ...]:
        """The lines of its current items, cached."""
        items = tuple((item.price.id, item.price.unit_amount, item.quantity) for item in state.now.items)
        key = (state.ids.subscription_id or "", items)
        if key not in self.costs:
            if len(self.costs) >= MAX_CACHED:
                self.costs.clear()
            self.costs[key] = _lines(self.api.subscription(key[0]) or {})
        return self.costs[key]


def _payments_of_unseen_subscriptions(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, Payment]:
    """A payment of each subscription without a state, by subscription: the one that started it, if present."""
    known = {fact.ids.subscription_id for fact in facts if isinstance(fact, SubscriptionState)} | {*seen, None}
    found: dict[str, Payment] = {}
    for payment in facts:
        named = payment.ids.subscription_id
        if not isinstance(payment, Payment) or named is None or named in known:
            continue
        if named not in found or payment.reason is Reason.START:
            found[named] = payment
    return found


def _of_unknown_cost(states: Sequence[SubscriptionState], facts: Sequence[Fact]) -> Iterator[SubscriptionState]:
    """The last state of each subscription whose cost neither its prices nor a transaction in these facts state."""
    latest = {state.ids.subscription_id: state for state in sorted(states, key=_moment)}
    lines = {line.price_id for fact in facts if isinstance(fact, Payment) for line in fact.lines or ()}
    for state in latest.values():
        is_billed = all(item.price.id in lines for item in state.now.items)
        if _is_cost_unknown(state) and not is_billed and state.now.status is not Status.ENDED:
            yield state


def _moment(state: SubscriptionState) -> datetime:
    return state.changed_at or state.at


def _is_cost_unknown(state: SubscriptionState) -> bool:
    """Whether a price may hold tax, or is in another currency than the subscription."""
    sold = [item.price for item in state.now.items]
    return any(one.tax_inclusive or one.currency != state.now.currency for one in sold)


def _state(found: Json, now: datetime) -> SubscriptionState | None:
    """A subscription of the API as a baseline state, as of now."""
    notification = Notification(id="", type="subscription.imported", at=now, entity=found)
    facts = subscriptions.from_subscription(notification).facts
    return next((fact for fact in facts if isinstance(fact, SubscriptionState)), None)


def _lines(entity: Json) -> tuple[Line, ...]:
    """The cost of each recurring price per period, without tax."""
    cycles = {ident(at(row, "price.id")): prices.cycle(at(row, "price") or {}) for row in rows(entity, "items")}
    found = []
    for row in rows(entity, "recurring_transaction_details.line_items"):
        price_id = ident(row.get("price_id"))
        amount, quantity = exact_decimal(at(row, "totals.subtotal")), exact_decimal(row.get("quantity"))
        interval, count = cycles.get(price_id, (None, 1))
        if amount is None or not quantity or interval is None:
            continue
        discount = exact_decimal(at(row, "totals.discount")) or Decimal(0)
        found.append(
            Line(
                price_id=price_id,
                amount=amount,
                discount=discount,
                quantity=quantity,
                interval=interval,
                interval_count=count,
            )
        )
    return tuple(found)


def _with_costs(state: SubscriptionState, lines: Sequence[Line]) -> SubscriptionState:
    """The state with the prices that the lines bill."""
    by_price = {line.price_id: line for line in lines}
    items = tuple(_priced(item, by_price.get(item.price.id), state) for item in state.now.items)
    return replace(state, now=replace(state.now, items=items))


def _priced(item: Item, line: Line | None, state: SubscriptionState) -> Item:
    if line is None:
        return item
    unit = line.amount / line.quantity
    price = replace(item.price, unit_amount=unit, currency=state.now.currency, tax_inclusive=False)
    return replace(item, price=price)


def _body(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
