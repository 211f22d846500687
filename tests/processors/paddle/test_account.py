"""The account over a real socket: catalog lookups, related facts, import and reconciliation."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from bridge.ledger import EMPTY, Policy, settle
from processors.facts import Coupon, Duration, Payment, Price, Product, Stage, Status, SubscriptionState
from processors.interface import Api, ApiError
from processors.paddle import processor
from processors.paddle.account import Account, connect
from processors.paddle.api import PaddleApi
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO
from processors.paddle.simulation.payloads import Body, Plan
from tests.processors.paddle.translating import AT, a_subscription, a_transaction, payment, state

TAXED = Plan(id="taxed", minor=14000, name="Pro", tax_mode="account_setting")


class At(PaddleApi):
    """The API at a fixed instant."""

    def now(self) -> datetime:
        return AT


@pytest.fixture(name="account")
def _account(httpserver: HTTPServer) -> Account:
    return Account(api=At("pdl_sdbx_apikey_not_a_real_key", httpserver.url_for(""), wait=lambda seconds: None))


def gives(httpserver: HTTPServer, path: str, found: Any) -> None:
    httpserver.expect_request(path).respond_with_json({"data": found, "meta": {"pagination": {"has_more": False}}})


def costing(entity: Body, subtotal: int, quantity: int = 1) -> Body:
    """The subscription with the cost of a period, as the API returns it."""
    line = payloads.line(TAXED, amount=subtotal, quantity=quantity, tax=2333)
    return {**entity, "recurring_transaction_details": {"line_items": [line]}}


def test_the_processor_names_where_its_api_is() -> None:
    account: Api = connect("pdl_sdbx_apikey_not_a_real_key", {})

    assert processor.api == "processors.paddle.account:connect"
    assert repr(account).startswith("Account(api=PaddleApi(https://sandbox-api.paddle.com)")


def test_it_knows_prices_products_and_discounts(account: Account, httpserver: HTTPServer) -> None:
    gives(httpserver, "/prices/pri_pro", payloads.price(PRO))
    gives(httpserver, "/products/pro_pro", payloads.product(PRO))
    gives(httpserver, "/discounts/dsc_1", {"id": "dsc_1", "type": "percentage", "amount": "10", "recur": True})
    httpserver.expect_request("/discounts/dsc_2").respond_with_json({"error": {}}, status=404)

    found = account.lookup([("price", "pri_pro"), ("product", "pro_pro"), ("coupon", "dsc_1"), ("coupon", "dsc_2")])

    assert found[0] == Coupon(id="dsc_1", percent=Decimal(10), duration=Duration.FOREVER)
    assert [(type(known), known.id) for known in found[1:]] == [(Price, "pri_pro"), (Product, "pro_pro")]


def test_a_subscription_that_only_its_first_payment_names_begins_with_it(
    account: Account, httpserver: HTTPServer
) -> None:
    gives(httpserver, "/subscriptions/sub_1", a_subscription())

    (found,) = account.related_facts([payment(a_transaction())], ())

    assert isinstance(found, SubscriptionState)
    assert (found.stage, found.at, found.ids.subscription_id) == (Stage.CREATED, AT, "sub_1")


def test_a_subscription_that_a_later_payment_names_is_an_older_one(account: Account, httpserver: HTTPServer) -> None:
    gives(httpserver, "/subscriptions/sub_1", a_subscription())

    (found,) = account.related_facts([payment(a_transaction(origin="subscription_recurring"))], ())

    assert isinstance(found, SubscriptionState)
    assert found.stage is Stage.CHANGED


def test_what_was_seen_is_not_asked_for(account: Account, httpserver: HTTPServer) -> None:
    assert account.related_facts([payment(a_transaction())], {"sub_1"}) == []
    assert account.related_facts([payment(a_transaction()), state(a_subscription())], ()) == []
    assert httpserver.log == []


def test_a_subscription_that_has_ended_or_is_gone_gives_no_fact(account: Account, httpserver: HTTPServer) -> None:
    gives(httpserver, "/subscriptions/sub_1", a_subscription(status="canceled"))
    httpserver.expect_request("/subscriptions/sub_2").respond_with_json({"error": {}}, status=404)
    payments = [payment(a_transaction()), payment(a_transaction(subscription="sub_2"))]

    assert account.related_facts(payments, ()) == []


def test_one_subscription_is_read_as_it_is_now_and_one_that_was_cancelled_as_of_then(
    account: Account, httpserver: HTTPServer
) -> None:
    cancelled_at = AT - timedelta(days=3)
    gives(httpserver, "/subscriptions/sub_1", a_subscription())
    cancelled = {**a_subscription(status="canceled"), "id": "sub_2", "canceled_at": payloads.stamp(cancelled_at)}
    gives(httpserver, "/subscriptions/sub_2", cancelled)
    httpserver.expect_request("/subscriptions/sub_3").respond_with_json({"error": {}}, status=404)

    now, ended = account.subscription("sub_1"), account.subscription("sub_2")

    assert now is not None
    assert ended is not None
    assert (now.now.status, now.at) == (Status.ACTIVE, AT)
    assert (ended.now.status, ended.at) == (Status.ENDED, cancelled_at)
    assert account.subscription("sub_3") is None


def test_what_a_price_with_tax_inside_costs_is_asked_for_once_and_moves_no_money(
    account: Account, httpserver: HTTPServer
) -> None:
    current = state(a_subscription(TAXED), "subscription.created")
    gives(httpserver, "/subscriptions/sub_1", costing(a_subscription(TAXED), 11667))

    (cost,) = account.related_facts([current], {"sub_1"})
    account.related_facts([current], {"sub_1"})
    (event,) = settle(EMPTY, [current, cost], Policy()).events

    assert isinstance(cost, Payment)
    assert (cost.amount.minor, [line.amount for line in cost.lines or ()]) == (0, [11667])
    assert (event.amount, event.mrr_impact, "mrr_estimated" in event.metadata) == (0, Decimal("116.67"), False)
    assert len(httpserver.log) == 1


def test_what_it_costs_by_now_is_no_measure_of_what_it_sold_then(account: Account, httpserver: HTTPServer) -> None:
    gives(httpserver, "/subscriptions/sub_1", costing(a_subscription(TAXED, 3), 35000, 3))

    assert account.related_facts([state(a_subscription(TAXED))], ()) == []


def test_what_was_billed_with_it_needs_no_asking(account: Account, httpserver: HTTPServer) -> None:
    billed = payment(a_transaction(payloads.line(TAXED, amount=11667, tax=2333), plan=TAXED))

    assert account.related_facts([state(a_subscription(TAXED)), billed], ()) == []
    assert httpserver.log == []


def test_an_import_takes_each_subscription_as_a_baseline_at_what_it_is_billed(
    account: Account, httpserver: HTTPServer
) -> None:
    gives(httpserver, "/subscriptions", [a_subscription(), {**a_subscription(TAXED), "id": "sub_2"}, {"id": "odd"}])
    gives(httpserver, "/subscriptions/sub_2", costing({**a_subscription(TAXED), "id": "sub_2"}, 11667))

    plain, taxed = account.subscriptions()

    assert {plain.stage, taxed.stage} == {Stage.IMPORTED}
    assert (plain.at, plain.now.items[0].price.unit_amount) == (AT, 4900)
    assert (taxed.now.items[0].price.unit_amount, taxed.now.items[0].price.tax_inclusive) == (11667, False)
    assert settle(EMPTY, [plain], Policy()).events == ()


def test_events_come_oldest_first_as_webhooks_would_bring_them(account: Account, httpserver: HTTPServer) -> None:
    events = [
        json.loads(payloads.event("transaction.completed", a_transaction(), at=AT, event_id=f"evt_{n}")) for n in (2, 1)
    ]
    gives(httpserver, "/events", events)

    found = list(account.events(AT - timedelta(days=3)))

    assert [json.loads(body)["event_id"] for body in found] == ["evt_1", "evt_2"]
    assert all(processor.translate(body, {}).facts for body in found)


def test_there_is_nothing_to_fetch(account: Account) -> None:
    with pytest.raises(ApiError, match="no thin events"):
        account.fetch("/v2/anything")
