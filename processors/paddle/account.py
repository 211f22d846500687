"""A merchant's account at Paddle, as the worker asks it: the API's answers as knowledge, facts and event bodies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from processors.paddle.api import PaddleApi, host_of
from processors.paddle.envelope import Notification
from processors.paddle.translate import EVENTS
from processors.payload import Json, at, ident, rows, text

MOST_COSTS = 10_000

Sold = tuple[str, tuple[tuple[str, Decimal | None, Decimal], ...]]


def connect(key: str, options: Mapping[str, str]) -> Account:
    """The account that a key reads."""
    return Account(api=PaddleApi(key, host_of(key, options.get("PADDLE_ENVIRONMENT"))))


@dataclass(kw_only=True)
class Account:
    """Implements `processors.interface.Api`. `costs`: what was asked for already, by subscription and what it sells."""

    api: PaddleApi
    costs: dict[Sold, tuple[Line, ...]] = field(default_factory=dict)

    def for_account(self, account: str | None) -> Account:
        """Itself: Paddle has no connected accounts."""
        return self

    def lookup(self, wanted: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        """What Paddle says of these prices, products and discounts. A discount's id is its coupon's."""
        told = (self._known(kind, sought) for kind, sought in sorted(wanted))
        return [known for known in told if known is not None]

    def related_facts(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """The subscriptions that only payments have named; and what a period costs where prices leave it open."""
        states = [state for payment in _unseen(facts, seen).values() if (state := self._begun(payment)) is not None]
        told = [fact for fact in facts if isinstance(fact, SubscriptionState)]
        costs = (self._cost(state) for state in _open(told, facts))
        return [*states, *(cost for cost in costs if cost is not None)]

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended, as it stands now."""
        now = self.api.now()
        for found in self.api.subscriptions():
            state = _state(found, now)
            if state is None:
                continue
            entity = self.api.subscription(state.ids.subscription_id or "") if _is_open(state) else None
            yield state if entity is None else _measured(state, _lines(entity))

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all events since then that the bridge understands, the oldest first."""
        found = [_body(event) for event in self.api.events(since, EVENTS)]
        yield from reversed(found)

    def fetch(self, path: str) -> bytes:
        """Paddle's events carry their entity: none points at another."""
        raise ApiError("Paddle sends no events that only point at something")

    def _known(self, kind: str, sought: str) -> CatalogEntry | None:
        if kind == "price":
            return prices.price(self.api.price(sought) or {}, {})
        if kind in ("coupon", "discount"):
            return prices.coupon(self.api.discount(sought) or {})
        found = self.api.product(sought) if kind == "product" else None
        name = text(found.get("name")) if found else None
        return None if name is None else Product(id=sought, name=name)

    def _begun(self, payment: Payment) -> SubscriptionState | None:
        """The subscription of a payment: begun by it, or an older one. What has ended by now tells its own end."""
        found = self.api.subscription(payment.ids.subscription_id or "")
        state = _state(found, payment.at) if found else None
        if found is None or state is None or state.now.status is Status.ENDED:
            return None
        stage = Stage.CREATED if payment.reason is Reason.START else Stage.CHANGED
        return replace(_measured(state, _lines(found)), stage=stage)

    def _cost(self, state: SubscriptionState) -> Payment | None:
        """What its periods cost by the API, as a payment of nothing; None: it stands otherwise by now."""
        subscription_id = state.ids.subscription_id or ""
        lines = self._lines_now(state)
        sold = {item.price.id: item.quantity for item in state.now.items}
        if not lines or {line.price_id: line.quantity for line in lines} != sold:
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

    def _lines_now(self, state: SubscriptionState) -> tuple[Line, ...]:
        """The lines of what it sells now, asked for once."""
        sold = tuple((item.price.id, item.price.unit_amount, item.quantity) for item in state.now.items)
        key = (state.ids.subscription_id or "", sold)
        if key not in self.costs:
            if len(self.costs) >= MOST_COSTS:
                self.costs.clear()
            self.costs[key] = _lines(self.api.subscription(key[0]) or {})
        return self.costs[key]


def _unseen(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, Payment]:
    """By subscription that no state has told of, the payment that best says how it came about: its start, if any."""
    told = {fact.ids.subscription_id for fact in facts if isinstance(fact, SubscriptionState)} | {*seen, None}
    found: dict[str, Payment] = {}
    for payment in facts:
        named = payment.ids.subscription_id
        if not isinstance(payment, Payment) or named is None or named in told:
            continue
        if named not in found or payment.reason is Reason.START:
            found[named] = payment
    return found


def _open(states: Sequence[SubscriptionState], facts: Sequence[Fact]) -> Iterator[SubscriptionState]:
    """The last state of each subscription whose worth no price and no bill in these facts tells."""
    latest = {state.ids.subscription_id: state for state in sorted(states, key=_moment)}
    lines = {line.price_id for fact in facts if isinstance(fact, Payment) for line in fact.lines or ()}
    for state in latest.values():
        told = all(item.price.id in lines for item in state.now.items)
        if _is_open(state) and not told and state.now.status is not Status.ENDED:
            yield state


def _moment(state: SubscriptionState) -> datetime:
    return state.changed_at or state.at


def _is_open(state: SubscriptionState) -> bool:
    """Whether a price may hold tax, or is in another currency than the subscription."""
    prices_sold = [item.price for item in state.now.items]
    return any(one.tax_inclusive or one.currency != state.now.currency for one in prices_sold)


def _state(found: Json, now: datetime) -> SubscriptionState | None:
    """A subscription of the API as a state: a baseline, as of now."""
    notification = Notification(id="", type="subscription.imported", at=now, entity=found)
    told = subscriptions.from_subscription(notification).facts
    return next((fact for fact in told if isinstance(fact, SubscriptionState)), None)


def _lines(entity: Json) -> tuple[Line, ...]:
    """What each recurring price costs a period, tax excluded."""
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


def _measured(state: SubscriptionState, lines: Sequence[Line]) -> SubscriptionState:
    """The state with its prices as they are billed, where the lines tell."""
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
