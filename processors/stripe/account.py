"""A merchant's Stripe account: API resources as catalog entries, facts and event bodies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from processors.facts import CatalogEntry, Fact, Ids, Membership, Payment, Reason, Stage, Status, SubscriptionState
from processors.interface import Translation
from processors.payload import Json, ident, instant, table
from processors.stripe import discounts, invoices, prices, subscriptions
from processors.stripe.api import BASE_URL, StripeApi
from processors.stripe.connection import API_BASE
from processors.stripe.envelope import Snapshot, ignored, linked, with_facts
from processors.stripe.translate import EVENTS
from processors.values import replace

SLICE = timedelta(hours=6)  # the API lists the newest event first, so a slice is held in memory to reverse it
LONGEST_SLICE = timedelta(days=2)  # where little happens: each slice costs a request for every twenty types
FEW_EVENTS = 200


def connect(key: str, options: Mapping[str, str]) -> Account:
    """The account that a key can read."""
    return Account(api=StripeApi(key, options.get(API_BASE.name, BASE_URL)))


@dataclass(kw_only=True)
class Account:
    """Implements `processors.interface.Api`.

    `carriers`: the subscription of each discount seen, by the discount's id, since the API has no path for a discount.
    """

    api: StripeApi
    carriers: dict[str, str] = field(default_factory=dict)

    def for_account(self, account: str | None) -> Account:
        """A connected account, read with the platform's key (docs.stripe.com/connect/authentication)."""
        return self if account is None else Account(api=self.api.on_behalf_of(account))

    def lookup(self, keys: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        """The catalog entries of these prices, coupons, discounts and products."""
        return [entry for kind, object_id in sorted(keys) for entry in self._entries(kind, object_id)]

    def related_facts(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """The invoices of payments that cannot name them, and the subscriptions known from payments alone."""
        self._note_discounts(facts)
        joined = [fact for key, at in _payments_without_invoice(facts, seen).items() for fact in self._invoice(key, at)]
        found = [*facts, *joined]
        states = [self._subscription(payment) for payment in _payments_of_unseen_subscriptions(found, seen).values()]
        return [*joined, *(state for state in states if state is not None)]

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended, in its current state."""
        now = self.api.now()
        for resource in self.api.subscriptions():
            state = subscriptions.subscription_state(resource, now)
            if isinstance(state, SubscriptionState):
                yield state

    def subscription(self, subscription_id: str) -> SubscriptionState | None:
        """One subscription in its current state; if it has ended, as of its end."""
        found = self.api.subscription(subscription_id)
        if found is None:
            return None
        ended_at = instant(found.get("ended_at"))
        return _state(of_subscription(found, ended_at or self.api.now()))

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all understood events since then, oldest first."""
        end, length = self.api.now(), SLICE
        while since < end:
            until = min(since + length, end)
            found = sorted(self.api.events(since, until, EVENTS), key=_created)
            yield from map(_body, found)
            since, length = until, min(length * 2, LONGEST_SLICE) if len(found) < FEW_EVENTS else SLICE

    def fetch(self, path: str) -> bytes:
        """The resource that a thin event points at."""
        return _body(self.api.event(path))

    def _entries(self, kind: str, object_id: str) -> tuple[CatalogEntry, ...]:
        if kind in ("price", "price_option"):
            return of_price(self.api.price(object_id.partition(":")[0]) or {})
        if kind == "coupon":
            return of_coupon(self.api.coupon(object_id) or {})
        if kind == "product":
            return prices.products_of({"product": self.api.product(object_id)})
        carrier = self.carriers.get(object_id) if kind == "discount" else None
        found = self.api.subscription(carrier) if carrier else None
        return subscriptions.catalog_of(found) if found else ()

    def _invoice(self, payment_id: str, at: datetime) -> tuple[Fact, ...]:
        """The invoice of a payment. An empty result is not final: Stripe may join the two a little later."""
        found = self.api.invoice_of_payment(payment_id)
        return of_invoice_payment(found, at).facts if found else ()

    def _subscription(self, payment: Payment) -> SubscriptionState | None:
        """The subscription of a payment: started by it, or an older one. Its end, if any, arrives as an event."""
        found = self.api.subscription(payment.ids.subscription_id or "")
        state = _state(of_subscription(found, payment.at)) if found else None
        if state is None or state.now.status is Status.ENDED:
            return None
        return replace(state, stage=Stage.CREATED) if payment.reason is Reason.START else state

    def _note_discounts(self, facts: Sequence[Fact]) -> None:
        for state in facts:
            if not isinstance(state, SubscriptionState) or state.ids.subscription_id is None:
                continue
            listed = [*state.now.discounts, *(one for item in state.now.items for one in item.discounts)]
            bare = [one.id for one in listed if one.id and one.coupon is None]
            self.carriers.update(dict.fromkeys(bare, state.ids.subscription_id))


def _payments_without_invoice(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, datetime]:
    """The time of each payment, by key, whose membership in an invoice is unknown."""
    payments = [fact for fact in facts if isinstance(fact, Payment) and not fact.is_total]
    known = {payment.key for payment in payments if payment.membership is not Membership.UNKNOWN}
    return {one.key: one.at for one in reversed(payments) if one.key not in known and one.key not in seen}


def _payments_of_unseen_subscriptions(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, Payment]:
    """A payment of each subscription without a state, by subscription: the one that started it, if present."""
    known = {fact.ids.subscription_id for fact in facts if isinstance(fact, SubscriptionState)}
    found: dict[str, Payment] = {}
    for payment in facts:
        if not isinstance(payment, Payment) or payment.ids.subscription_id in known | set(seen) | {None}:
            continue
        named = payment.ids.subscription_id or ""
        if named not in found or payment.reason is Reason.START:
            found[named] = payment
    return found


def _state(translation: Translation) -> SubscriptionState | None:
    return next((fact for fact in translation.facts if isinstance(fact, SubscriptionState)), None)


def _created(event: Json) -> tuple[int, str]:
    created = event.get("created")
    return (created if isinstance(created, int) else 0, str(event.get("id")))


def _body(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# ---- API resources, translated like webhooks ----------------------------------------------------------------------


def of_price(resource: Json) -> tuple[CatalogEntry, ...]:
    """A price with its tiers, its options in other currencies, and its product's name."""
    price = prices.price_of(resource)
    return () if price is None else (price, *prices.options_of(resource), *prices.products_of(resource))


def of_coupon(resource: Json) -> tuple[CatalogEntry, ...]:
    """A coupon. Without `applies_to`, which was asked for, it is limited to no product."""
    coupon = discounts.coupon_of({"applies_to": None, **resource})
    return () if coupon is None else discounts.entries_of(coupon)


def of_subscription(resource: Json, at: datetime) -> Translation:
    """A subscription in its current state as a baseline, and the prices and coupons in it."""
    state = subscriptions.subscription_state(resource, at)
    return ignored(state) if isinstance(state, str) else with_facts(state, catalog=subscriptions.catalog_of(resource))


def of_invoice(resource: Json, at: datetime) -> Translation:
    """An invoice: its payment, or while it is unpaid the ids that belong together."""
    event = Snapshot(id="", type="", at=at, object=resource)
    return invoices.from_paid_invoice(event) if resource.get("status") == "paid" else invoices.from_invoice(event)


def of_invoice_payment(resource: Json, at: datetime) -> Translation:
    """The link between a payment and its invoice, and the invoice itself where the API expanded it."""
    invoice = table(resource, "invoice")
    ids = Ids(
        customer_id=invoices.invoice_ids(invoice).customer_id,
        subscription_id=invoices.subscription_of(invoice),
        invoice_id=ident(resource.get("invoice")),
        payment_id=invoices.economic_key(resource),
    )
    event = Snapshot(id="", type="", at=at, object=resource)
    joined = linked(event, ids, "an invoice payment that names no invoice")
    if not invoice:
        return joined
    whole = of_invoice(invoice, at)
    return Translation(facts=(*joined.facts, *whole.facts), catalog=whole.catalog, reason=None)
