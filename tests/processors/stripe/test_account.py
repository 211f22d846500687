"""The account over a real socket: catalog lookups, related facts, import and reconciliation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from processors.facts import (
    Coupon,
    CouponProducts,
    Discount,
    Ids,
    Link,
    Membership,
    Payment,
    Price,
    PriceOption,
    Product,
    Stage,
    Status,
    SubscriptionState,
)
from processors.interface import Api
from processors.stripe import processor
from processors.stripe.account import Account, connect
from processors.stripe.api import StripeApi
from processors.stripe.simulation.payloads import (
    charge,
    coupon,
    discount,
    invoice,
    invoice_payment,
    item,
    line,
    listed,
    price,
    product,
    subscription,
)
from tests.processors.stripe.translating import AT, translated

MONTH = (AT, AT.replace(month=12))
PRO = price("price_1", minor=4900)
TEN = coupon("TEN", percent=10)


class At(StripeApi):
    """The API at a fixed instant."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(name="account")
def _account(httpserver: HTTPServer) -> Account:
    return Account(api=At("rk_test_not_a_real_key", httpserver.url_for(""), wait=lambda seconds: None))


def asked(httpserver: HTTPServer) -> Iterator[str]:
    return (request.path for request, _ in httpserver.log)


def a_subscription(**more: Any) -> dict[str, Any]:
    row = item("si_1", PRO, subscription="sub_1", period=MONTH)
    usual: dict[str, Any] = {"customer": "cus_1", "items": [row], "started_at": AT, "period": MONTH}
    return subscription("sub_1", **{**usual, **more})


def an_invoice(billing_reason: str) -> dict[str, Any]:
    row = line("il_1", minor=4900, priced=PRO, period=MONTH, subscription="sub_1", item_id="si_1")
    return invoice(
        "in_1",
        customer="cus_1",
        lines=[row],
        amount_paid=4900,
        subscription="sub_1",
        billing_reason=billing_reason,
    )


def the_invoice_of(payment_id: str, billing_reason: str = "subscription_cycle") -> dict[str, Any]:
    joined = invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent=payment_id)
    return {**joined, "invoice": an_invoice(billing_reason)}


def a_charge() -> Payment:
    found = charge("ch_1", minor=4900, customer="cus_1", created=AT, payment_intent="pi_1")
    (payment,) = translated("charge.succeeded", found).facts
    assert isinstance(payment, Payment)
    return payment


def test_the_processor_names_where_its_api_is() -> None:
    api: Api = connect("rk_test_not_a_real_key", {})

    assert isinstance(api, Account)
    assert processor.api == f"{connect.__module__}:{connect.__name__}"


# ---- Knowledge ----------------------------------------------------------------------------------------------------


def test_prices_coupons_and_products_are_known_by_their_ids(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/prices/price_1").respond_with_json(PRO)
    httpserver.expect_request("/v1/coupons/TEN").respond_with_json(TEN)
    httpserver.expect_request("/v1/products/prod_1").respond_with_json(product("prod_1", name="Pro"))

    found = account.lookup([("price", "price_1"), ("product", "prod_1"), ("coupon", "TEN")])

    assert [type(one) for one in found] == [Coupon, CouponProducts, Price, Product]


def test_a_price_is_known_in_its_other_currencies(account: Account, httpserver: HTTPServer) -> None:
    both = {**PRO, "currency_options": {"eur": {"unit_amount": 4600}, "zz": {"unit_amount": 1}}}
    httpserver.expect_request("/v1/prices/price_1").respond_with_json(both)

    found = account.lookup([("price_option", "price_1:EUR")])

    options = [one for one in found if isinstance(one, PriceOption)]
    assert [(one.id, one.price.unit_amount) for one in options] == [("price_1:EUR", 4600)]
    assert options[0].price.currency.code == "EUR"


def test_what_does_not_exist_is_not_known(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/prices/price_1").respond_with_json({"error": {}}, status=404)

    assert account.lookup([("price", "price_1"), ("weather", "today")]) == []


def test_a_discount_is_known_through_the_subscription_that_it_was_seen_on(
    account: Account, httpserver: HTTPServer
) -> None:
    taken = discount("di_1", TEN, customer="cus_1", subscription="sub_1", start=AT)
    expanded = {**a_subscription(), "discounts": [{**taken, "source": {"type": "coupon", "coupon": TEN}}]}
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(expanded)
    seen = translated("customer.subscription.updated", a_subscription(discounts=[taken])).facts

    account.related_facts(seen, {"sub_1"})
    found = account.lookup([("discount", "di_1"), ("discount", "di_of_nobody")])

    assert [one.id for one in found if isinstance(one, Discount)] == ["di_1"]
    assert [one.id for one in found if isinstance(one, Coupon)] == ["TEN"]


# ---- Context ------------------------------------------------------------------------------------------------------


def test_a_charge_that_cannot_name_its_invoice_is_joined_to_it_and_to_its_subscription(
    account: Account, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/invoice_payments").respond_with_json(listed([the_invoice_of("pi_1")]))
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(a_subscription())

    link, total, state = account.related_facts([a_charge()], set())

    assert isinstance(link, Link)
    assert link.ids == Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1", payment_id="pi_1")
    assert isinstance(total, Payment)
    assert (total.key, total.is_total) == ("in_1", True)
    assert isinstance(state, SubscriptionState)
    assert (state.stage, state.at) == (Stage.IMPORTED, AT)


def test_a_subscription_that_a_payment_started_begins_with_it(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(a_subscription())

    (state,) = account.related_facts(translated("invoice.paid", an_invoice("subscription_create")).facts, set())

    assert isinstance(state, SubscriptionState)
    assert state.stage is Stage.CREATED


def test_a_subscription_that_has_ended_by_now_states_its_own_end(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(a_subscription(status="canceled"))

    assert account.related_facts(translated("invoice.paid", an_invoice("subscription_cycle")).facts, set()) == []


def test_a_charge_without_an_invoice_stays_open(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/invoice_payments").respond_with_json(listed([]))

    assert account.related_facts([a_charge()], set()) == []


def test_what_is_seen_or_said_is_not_asked_for(account: Account, httpserver: HTTPServer) -> None:
    paid = translated(
        "invoice_payment.paid", invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1")
    )
    known = translated("customer.subscription.updated", a_subscription())
    bill = translated("invoice.paid", an_invoice("subscription_cycle"))

    assert account.related_facts([a_charge(), *paid.facts, *known.facts, *bill.facts], set()) == []
    assert account.related_facts([a_charge(), *bill.facts], {"pi_1", "sub_1"}) == []
    assert list(asked(httpserver)) == []
    assert [one.membership for one in paid.facts if isinstance(one, Payment)] == [Membership.INVOICE]


# ---- Import, reconciliation, thin events --------------------------------------------------------------------------


def test_an_import_gives_every_subscription_as_a_baseline(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/subscriptions").respond_with_json(
        listed([a_subscription(), {"id": "sub_2"}, {**a_subscription(status="trialing"), "id": "sub_3"}])
    )

    states = list(account.subscriptions())

    assert [(one.ids.subscription_id, one.stage) for one in states] == [
        ("sub_1", Stage.IMPORTED),
        ("sub_3", Stage.IMPORTED),
    ]
    assert states[0].at == account.api.now()


def test_one_subscription_is_read_as_it_is_now_and_one_that_has_ended_as_of_its_end(
    account: Account, httpserver: HTTPServer
) -> None:
    ended_at = AT + timedelta(days=3)
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(a_subscription())
    httpserver.expect_request("/v1/subscriptions/sub_2").respond_with_json(
        {**a_subscription(status="canceled", ended_at=ended_at), "id": "sub_2"}
    )
    httpserver.expect_request("/v1/subscriptions/sub_3").respond_with_json({"error": {}}, status=404)

    now, ended = account.subscription("sub_1"), account.subscription("sub_2")

    assert now is not None
    assert ended is not None
    assert (now.now.status, now.at) == (Status.ACTIVE, account.api.now())
    assert (ended.now.status, ended.at) == (Status.ENDED, ended_at)
    assert account.subscription("sub_3") is None


def test_past_events_come_oldest_first_as_webhooks_would(account: Account, httpserver: HTTPServer) -> None:
    now = account.api.now()
    past = [{"id": f"evt_{age}", "created": int((now - timedelta(hours=age)).timestamp())} for age in (1, 5, 7, 9, 13)]

    def events(request: Request) -> Response:
        begin, end = int(request.args["created[gte]"]), int(request.args["created[lt]"])
        is_first = "charge.succeeded" in request.args.getlist("types[]")
        found = [one for one in past if begin <= one["created"] < end and is_first]
        return Response(json.dumps(listed(found)), content_type="application/json")

    httpserver.expect_request("/v1/events").respond_with_handler(events)

    found = [json.loads(body)["id"] for body in account.events(now - timedelta(hours=14))]

    assert found == ["evt_13", "evt_9", "evt_7", "evt_5", "evt_1"]


def test_a_thin_events_object_is_fetched_as_a_body(account: Account, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/subscriptions/sub_1").respond_with_json(a_subscription())
    thin = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-23T12:00:00Z",
        "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
    }
    body = json.dumps(thin).encode()
    path = processor.translate(body, {}).fetch

    assert path is not None
    assert processor.complete_event is not None
    (state,) = processor.translate(processor.complete_event(body, account.fetch(path)), {}).facts

    assert isinstance(state, SubscriptionState)
    assert state.ids.subscription_id == "sub_1"
