"""Data from the processor's API: thin events completed, gaps filled, and outages that stop nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bridge.ledger.pseudonyms import is_pseudonym
from bridge.privacy.erasing import erase, plan
from bridge.settings import Settings
from bridge.store import Store, inbox, outbox
from bridge.store.inbox import InboxStatus, NewWebhook
from bridge.worker.enrichment import Enricher
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from bridge.worker.translation import translate
from processors.facts import (
    CatalogEntry,
    CouponProducts,
    Fact,
    Ids,
    Interval,
    Link,
    Payment,
    Price,
    PriceOption,
    SubscriptionState,
)
from processors.interface import ApiError
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, Customer
from processors.stripe.simulation.payloads import Shape
from processors.stripe.simulation.payloads.catalog import coupon
from tests.builders import EUR
from tests.lifecycles.stripe_bills import BASE
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.settings import some_settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)  # no question is repeated within the first minutes
BORN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeApi:
    """An API with the data that a test sets."""

    resources: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)  # payment -> invoice
    is_down: bool = False
    calls: int = 0
    entries: dict[tuple[str, str], CatalogEntry] = field(default_factory=dict)
    questions: list[tuple[str, str]] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)  # the accounts that it was connected for

    def for_account(self, account: str | None) -> FakeApi:
        self.accounts.append(account)
        return self

    def lookup(self, wanted: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        keys = list(wanted)
        self.questions += keys
        return [self.entries[key] for key in keys if key in self.entries]

    def related_facts(self, facts: Sequence[Fact], seen: object) -> list[Fact]:
        self.calls += 1
        if self.is_down:
            raise ApiError("Stripe's API is down")
        return [
            Link(at=fact.at, ids=Ids(payment_id=fact.key, invoice_id=self.links[fact.key]))
            for fact in facts
            if isinstance(fact, Payment) and fact.key in self.links
        ]

    def subscriptions(self) -> Iterator[SubscriptionState]:
        return iter(())

    def subscription(self, subscription_id: str) -> SubscriptionState | None:
        return None

    def events(self, since: datetime) -> Iterator[bytes]:
        return iter(())

    def fetch(self, path: str) -> bytes:
        if path not in self.resources:
            raise ApiError("Stripe's API is down")
        return self.resources[path]


@pytest.fixture
def settings(sqlite_url: str) -> Settings:
    return some_settings(sqlite_url)


def receive(store: Store, body: bytes, account: str | None = None) -> None:
    event = json.loads(body)
    webhook = NewWebhook(
        source="stripe", account=account, livemode=True, event_id=event["id"], type=event["type"], created_at=BORN,
        received_at=NOW, body=body,
    )  # fmt: skip
    store.accept(webhook)


def status_of(store: Store, event_id: str) -> tuple[InboxStatus, str | None]:
    with store.reading() as tx:
        row = inbox.find(tx, event_id)
    assert row is not None
    return row.status, row.reason


def a_thin_charge() -> tuple[bytes, bytes]:
    """A thin event, and the charge that it refers to."""
    events = [json.loads(body) for body in Customer.begin("ada", BORN).buy(2900).webhooks]
    charge = next(event for event in events if event["type"] == "charge.succeeded")
    thin = {
        "id": "evt_thin", "object": "v2.core.event", "type": "v1.charge.succeeded", "created": "2026-01-01T00:00:00Z",
        "livemode": True, "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
    }  # fmt: skip
    return json.dumps(thin).encode(), json.dumps(charge["data"]["object"]).encode()


def test_a_thin_event_is_read_whole_and_goes_on_as_an_event_of_its_own(sqlite_store: Store, settings: Settings) -> None:
    thin, charge = a_thin_charge()
    receive(sqlite_store, thin)

    apis = {"stripe": FakeApi(resources={"/v1/charges/ch_1": charge})}
    route(sqlite_store, settings, "worker", NOW, apis)
    route(sqlite_store, settings, "worker", NOW, apis)
    settle_due(sqlite_store, settings, "worker", NOW)

    assert status_of(sqlite_store, "evt_thin") == (
        InboxStatus.IGNORED,
        "read through the API, continued as evt_thin:snapshot",
    )
    with sqlite_store.reading() as tx:
        assert [(one.event_type, str(one.amount)) for one in outbox.listing(tx)] == [("purchase", "29.00")]


def test_what_a_connected_account_leaves_out_is_asked_for_on_its_behalf(
    sqlite_store: Store, settings: Settings
) -> None:
    api = FakeApi()
    enrich = Enricher(store=sqlite_store, apis={"stripe": api}).enrich
    for tag, account in (("ada", "acct_1"), ("bob", None), ("cleo", "acct_1")):
        for body in Customer.begin(tag, BORN).buy(2900).webhooks:
            receive(sqlite_store, body, account)

    route(sqlite_store, settings, "worker", NOW)
    settle_due(sqlite_store, settings, "worker", NOW, enrich)

    assert sorted(api.accounts, key=str) == [None, "acct_1"]
    assert api.calls == 3


def test_a_foreign_price_and_the_products_of_a_coupon_are_asked_for_once(
    sqlite_store: Store, settings: Settings
) -> None:
    half = payloads.coupon("HALF", percent=50)
    in_euros = Price(id="price_base", currency=EUR, unit_amount=Decimal(1800), interval=Interval.MONTH)
    api = FakeApi(
        entries={
            ("price_option", "price_base:EUR"): PriceOption(id="price_base:EUR", price=in_euros),
            ("coupon", "HALF"): CouponProducts(id="HALF", applies_to=("prod_price_support",)),
        }
    )
    enrich = Enricher(store=sqlite_store, apis={"stripe": api}).enrich
    base = replace(BASE, price_fields={"currency": "usd"})
    ada = ExtendedCustomer.begin("ada", BORN, Shape.BASIL, currency="eur").sent("coupon.created", half)
    for body in ada.start(base, coupon=half).with_discount_events().webhooks:
        receive(sqlite_store, body)
    route(sqlite_store, settings, "worker", NOW)

    settle_due(sqlite_store, settings, "worker", NOW, enrich)

    with sqlite_store.reading() as tx:
        (delivery,) = outbox.listing(tx)
    found = json.loads(delivery.body)
    assert found["mrr_impact"] == 23  # 18.00 + 10.00 / 2
    assert "mrr_estimated" not in found["metadata"]
    assert {("price_option", "price_base:EUR"), ("coupon", "HALF")} <= set(api.questions)
    assert len(api.questions) == len(set(api.questions))


def test_a_thin_event_waits_while_the_api_is_away(sqlite_store: Store, settings: Settings) -> None:
    thin, _ = a_thin_charge()
    receive(sqlite_store, thin)

    route(sqlite_store, settings, "worker", NOW, {"stripe": FakeApi()})

    assert status_of(sqlite_store, "evt_thin") == (InboxStatus.FAILED, "Stripe's API is down")


def test_without_a_key_a_thin_event_says_what_to_do(sqlite_store: Store, settings: Settings) -> None:
    thin, _ = a_thin_charge()
    receive(sqlite_store, thin)

    route(sqlite_store, settings, "worker", NOW, {})

    status, reason = status_of(sqlite_store, "evt_thin")
    assert status is InboxStatus.IGNORED
    assert reason is not None
    assert "snapshot" in reason


def test_an_outage_of_the_api_stops_nothing_and_is_not_asked_again_at_once(
    sqlite_store: Store, settings: Settings
) -> None:
    api = FakeApi(is_down=True)
    enrich = Enricher(store=sqlite_store, apis={"stripe": api}).enrich
    for tag in ("ada", "bob"):
        for body in Customer.begin(tag, BORN).buy(2900).webhooks:
            receive(sqlite_store, body)

    route(sqlite_store, settings, "worker", NOW)
    settle_due(sqlite_store, settings, "worker", NOW, enrich)

    with sqlite_store.reading() as tx:
        assert len(outbox.listing(tx)) == 2
    assert api.calls == 1


def with_discount_of_an_id(body: bytes) -> bytes:
    """The subscription's discount as its id alone, as Stripe shows it unless it is expanded."""
    event = json.loads(body)
    if event["data"]["object"]["object"] == "subscription":
        event["data"]["object"] |= {"discounts": ["di_ada_9"], "discount": None}
    return json.dumps(event).encode()


def test_the_api_is_not_asked_for_the_discount_of_an_erased_customer(sqlite_store: Store, settings: Settings) -> None:
    api = FakeApi()
    enrich = Enricher(store=sqlite_store, apis={"stripe": api}).enrich
    ada = Customer.begin("ada", BORN).subscribe(PRO)
    later = ada.later(days=5).change(quantity=3, billed=True).webhooks[len(ada.webhooks) :]
    for body in ada.webhooks:
        receive(sqlite_store, with_discount_of_an_id(body))
    route(sqlite_store, settings, "worker", NOW)
    settle_due(sqlite_store, settings, "worker", NOW, enrich)
    assert ("discount", "di_ada_9") in api.questions
    wanted = plan(sqlite_store, "cus_ada", None, NOW)
    assert wanted is not None
    erase(sqlite_store, wanted, lambda row: translate(row, settings), NOW)
    api.questions.clear()

    for body in later:
        receive(sqlite_store, with_discount_of_an_id(body))
    route(sqlite_store, settings, "worker", LATER)
    assert settle_due(sqlite_store, settings, "worker", LATER, enrich) == 1

    assert [key for key in api.questions if is_pseudonym(key[1])] == []


def test_the_api_is_not_asked_for_the_hashed_ids_of_an_erased_customer(sqlite_store: Store, settings: Settings) -> None:
    api = FakeApi()
    enrich = Enricher(store=sqlite_store, apis={"stripe": api}).enrich
    ada = Customer.begin("ada", BORN).subscribe(PRO, coupon=coupon("HALF", percent=50))
    for body in ada.webhooks:
        receive(sqlite_store, body)
    route(sqlite_store, settings, "worker", NOW)
    settle_due(sqlite_store, settings, "worker", NOW, enrich)
    asked, calls = list(api.questions), api.calls
    wanted = plan(sqlite_store, "cus_ada", None, NOW)
    assert wanted is not None
    erase(sqlite_store, wanted, lambda row: translate(row, settings), NOW)

    for body in ada.later(days=5).change(quantity=3, billed=True).webhooks[len(ada.webhooks) :]:
        receive(sqlite_store, body)
    route(sqlite_store, settings, "worker", LATER)
    assert settle_due(sqlite_store, settings, "worker", LATER, enrich) == 1

    assert calls == 1
    assert api.calls == calls
    assert [key for key in api.questions[len(asked) :] if is_pseudonym(key[1])] == []
