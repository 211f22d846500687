"""A merchant's account at Stripe, as the worker asks it: the API's answers as knowledge, facts and event bodies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from processors.facts import CatalogEntry, Fact, Ids, Membership, Payment, Reason, Stage, Status, SubscriptionState
from processors.interface import Translation
from processors.payload import Json, ident, table
from processors.stripe import discounts, invoices, prices, subscriptions
from processors.stripe.api import StripeApi
from processors.stripe.envelope import Snapshot, ignored, linked, with_facts
from processors.stripe.translate import EVENTS

SLICE = timedelta(hours=6)  # so much of the past is held in memory at once, to be turned round


def connect(key: str, options: Mapping[str, str]) -> Account:
    """The account that a key reads."""
    return Account(api=StripeApi(key))


@dataclass(kw_only=True)
class Account:
    """Implements `processors.interface.Api`.

    `carriers`: by the id of a discount, the subscription it was seen on, since Stripe gives a discount no address.
    """

    api: StripeApi
    carriers: dict[str, str] = field(default_factory=dict)

    def for_account(self, account: str | None) -> Account:
        """A connected account, as the platform's key reads it (docs.stripe.com/connect/authentication)."""
        return self if account is None else Account(api=self.api.on_behalf_of(account))

    def lookup(self, wanted: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        """What Stripe says of these prices, coupons, discounts and products."""
        return [known for kind, sought in sorted(wanted) for known in self._known(kind, sought)]

    def related_facts(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """The invoices of payments that cannot name them, and the subscriptions that only payments have named."""
        self._note_discounts(facts)
        joined = [fact for key, at in _lonely(facts, seen).items() for fact in self._invoice(key, at)]
        found = [*facts, *joined]
        states = [self._subscription(payment) for payment in _unseen(found, seen).values()]
        return [*joined, *(state for state in states if state is not None)]

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended, as it stands now."""
        now = self.api.now()
        for resource in self.api.subscriptions():
            state = subscriptions.subscription_state(resource, now)
            if isinstance(state, SubscriptionState):
                yield state

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all events since then that the bridge understands, the oldest first."""
        end = self.api.now()
        while since < end:
            until = min(since + SLICE, end)
            yield from map(_body, sorted(self.api.events(since, until, EVENTS), key=_created))
            since = until

    def fetch(self, path: str) -> bytes:
        """The resource that a thin event points at."""
        return _body(self.api.event(path))

    def _known(self, kind: str, sought: str) -> tuple[CatalogEntry, ...]:
        if kind == "price":
            return of_price(self.api.price(sought) or {})
        if kind == "coupon":
            return of_coupon(self.api.coupon(sought) or {})
        if kind == "product":
            return prices.products_of({"product": self.api.product(sought)})
        carrier = self.carriers.get(sought) if kind == "discount" else None
        found = self.api.subscription(carrier) if carrier else None
        return subscriptions.catalog_of(found) if found else ()

    def _invoice(self, payment_id: str, at: datetime) -> tuple[Fact, ...]:
        """The invoice behind a payment. None found proves nothing: Stripe may join the two a little later."""
        found = self.api.invoice_of_payment(payment_id)
        return of_invoice_payment(found, at).facts if found else ()

    def _subscription(self, payment: Payment) -> SubscriptionState | None:
        """The subscription of a payment: begun by it, or an older one. What has ended by now tells its own end."""
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


def _lonely(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, datetime]:
    """Payments whose invoice, if they have one, nobody has named, and when they were made."""
    payments = [fact for fact in facts if isinstance(fact, Payment) and not fact.is_total]
    placed = {payment.key for payment in payments if payment.membership is not Membership.UNKNOWN}
    return {one.key: one.at for one in reversed(payments) if one.key not in placed and one.key not in seen}


def _unseen(facts: Sequence[Fact], seen: Collection[str]) -> dict[str, Payment]:
    """By subscription that no state has told of, the payment that best says how it came about: its start, if any."""
    told = {fact.ids.subscription_id for fact in facts if isinstance(fact, SubscriptionState)}
    found: dict[str, Payment] = {}
    for payment in facts:
        if not isinstance(payment, Payment) or payment.ids.subscription_id in told | set(seen) | {None}:
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
    """What a price teaches: itself, tiers and all, and its product's name."""
    price = prices.price_of(resource)
    return () if price is None else (price, *prices.products_of(resource))


def of_coupon(resource: Json) -> tuple[CatalogEntry, ...]:
    """What a coupon teaches."""
    coupon = discounts.coupon_of(resource)
    return () if coupon is None else (coupon,)


def of_subscription(resource: Json, at: datetime) -> Translation:
    """A subscription as it stands: a baseline, and the prices and coupons in it."""
    state = subscriptions.subscription_state(resource, at)
    return ignored(state) if isinstance(state, str) else with_facts(state, catalog=subscriptions.catalog_of(resource))


def of_invoice(resource: Json, at: datetime) -> Translation:
    """An invoice: what was paid on it, or what it belongs to while it is not paid."""
    event = Snapshot(id="", type="", at=at, object=resource)
    return invoices.from_paid_invoice(event) if resource.get("status") == "paid" else invoices.from_invoice(event)


def of_invoice_payment(resource: Json, at: datetime) -> Translation:
    """Which invoice a payment belongs to; and the invoice itself, where the API expanded it."""
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
