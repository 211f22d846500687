"""Reading Stripe's API over a real socket: requests, retries and errors."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from processors.stripe.api import StripeApi, StripeApiError
from processors.stripe.simulation.payloads import item, listed, price, subscription
from tests.processors.api_requests import Waits, asked
from tests.processors.stripe.translating import AT

KEY = "rk_test_not_a_real_key"
MONTH = (AT, AT.replace(month=12))


@pytest.fixture(name="waits")
def _waits() -> Waits:
    return Waits()


@pytest.fixture(name="api")
def _api(httpserver: HTTPServer, waits: Waits) -> StripeApi:
    return StripeApi(KEY, httpserver.url_for(""), timeout=(1.0, 1.0), wait=waits)


def responds(httpserver: HTTPServer, path: str, *found: Any) -> None:
    """Each response once, in this order."""
    for one in found:
        status, body = one if isinstance(one, tuple) else (200, one)
        httpserver.expect_ordered_request(path).respond_with_json(body, status=status)


def refusal(status: int, **error: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": f"Invalid API Key provided: {KEY}", **error}}


def a_subscription(priced: dict[str, Any], *, has_more: bool = False) -> dict[str, Any]:
    row = item("si_1", priced, subscription="sub_1", period=MONTH)
    found = subscription("sub_1", customer="cus_1", items=[row], started_at=AT, period=MONTH)
    return {**found, "items": listed([row], has_more=has_more)}


# ---- Single resources ---------------------------------------------------------------------------------------------


def test_a_price_is_asked_for_with_its_tiers(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/prices/price_1", price("price_1", minor=4900))

    found = api.price("price_1")

    assert found == price("price_1", minor=4900)
    ((_, params),) = asked(httpserver)
    assert params == {"expand[]": ["tiers", "currency_options", "product"]}


def test_every_request_carries_key_and_version(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/coupons/TEN", {"id": "TEN"})

    api.coupon("TEN")

    headers = httpserver.log[0][0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Stripe-Version"] == "2026-09-30.endive"


def test_a_connected_account_is_asked_on_its_behalf(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/coupons/TEN", {"id": "TEN"}, {"id": "TEN"})

    api.on_behalf_of("acct_1").coupon("TEN")
    api.coupon("TEN")

    theirs, own = (request.headers for request, _ in httpserver.log)
    assert (theirs["Stripe-Account"], theirs["Authorization"]) == ("acct_1", f"Bearer {KEY}")
    assert "Stripe-Account" not in own


def test_what_does_not_exist_is_none(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/prices/price_1", refusal(404, code="resource_missing"))

    assert api.price("price_1") is None


def test_an_odd_id_stays_within_its_path(api: StripeApi, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/coupons/A/../B?x").respond_with_json({"id": "odd"})

    api.coupon("A/../B?x")

    assert httpserver.log[0][0].environ["RAW_URI"].startswith("/v1/coupons/A%2F..%2FB%3Fx?")


def test_a_subscription_of_tiered_prices_comes_with_their_tiers(api: StripeApi, httpserver: HTTPServer) -> None:
    tiered = price("price_1", minor=None, tiers_mode="volume")
    whole = {**tiered, "tiers": [{"up_to": None, "unit_amount": 5}]}
    responds(httpserver, "/v1/subscriptions/sub_1", a_subscription(tiered))
    responds(httpserver, "/v1/prices/price_1", whole)

    found = api.subscription("sub_1")

    assert found is not None
    assert found["items"]["data"][0]["price"] == whole


def test_a_subscription_in_another_currency_comes_with_the_options_of_its_prices(
    api: StripeApi, httpserver: HTTPServer
) -> None:
    dollars, euros = price("price_1", minor=5000), price("price_2", minor=4500, currency="eur")
    whole = {**dollars, "currency_options": {"eur": {"unit_amount": 4600}}}
    rows = [item(f"si_{n}", one, subscription="sub_1", period=MONTH) for n, one in enumerate((dollars, euros))]
    body = subscription("sub_1", customer="cus_1", items=rows, started_at=AT, period=MONTH, currency="eur")
    responds(httpserver, "/v1/subscriptions", listed([body]))
    responds(httpserver, "/v1/prices/price_1", whole)

    (found,) = api.subscriptions()

    assert [row["price"] for row in found["items"]["data"]] == [whole, euros]


def test_items_that_a_page_leaves_out_are_read(api: StripeApi, httpserver: HTTPServer) -> None:
    pro, team = price("price_1", minor=4900), price("price_2", minor=9900)
    one, two = (item(f"si_{n}", p, subscription="sub_1", period=MONTH) for n, p in ((1, pro), (2, team)))
    responds(httpserver, "/v1/subscriptions/sub_1", a_subscription(pro, has_more=True))
    responds(httpserver, "/v1/subscription_items", listed([one], has_more=True), listed([two]))

    found = api.subscription("sub_1")

    assert found is not None
    assert [row["id"] for row in found["items"]["data"]] == ["si_1", "si_2"]
    assert found["items"]["has_more"] is False
    assert [params.get("starting_after") for _, params in asked(httpserver)] == [None, None, ["si_1"]]


@pytest.mark.parametrize(("payment_id", "kind"), [("pi_1", "payment_intent"), ("ch_1", "charge"), ("py_1", "charge")])
def test_the_invoice_of_a_payment_is_asked_for_by_its_kind(
    api: StripeApi, httpserver: HTTPServer, payment_id: str, kind: str
) -> None:
    responds(httpserver, "/v1/invoice_payments", listed([{"id": "inpay_1", "invoice": {"id": "in_1"}}]))

    found = api.invoice_of_payment(payment_id)

    assert found == {"id": "inpay_1", "invoice": {"id": "in_1"}}
    ((_, params),) = asked(httpserver)
    assert params == {
        "payment[type]": [kind],
        f"payment[{kind}]": [payment_id],
        "limit": ["1"],
        "expand[]": ["data.invoice"],
    }


def test_a_payment_without_an_invoice_has_none(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/invoice_payments", listed([]))

    assert api.invoice_of_payment("pi_1") is None


def test_a_thin_events_object_is_read_by_its_path(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/invoices/in_1", {"id": "in_1"})

    assert api.event("/v1/invoices/in_1") == {"id": "in_1"}


@pytest.mark.parametrize(
    "path", ["https://elsewhere.example/v1/x", "//elsewhere.example/v1/x", "@elsewhere.example", ""]
)
def test_a_path_that_leads_elsewhere_is_not_followed(api: StripeApi, httpserver: HTTPServer, path: str) -> None:
    with pytest.raises(StripeApiError):
        api.event(path)

    assert httpserver.log == []


# ---- Lists --------------------------------------------------------------------------------------------------------


def test_events_are_asked_for_by_date_and_in_batches_of_types(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/events", listed([{"id": "evt_2"}], has_more=True), listed([{"id": "evt_1"}]), listed([]))
    types = [f"type.{number}" for number in range(25)]

    found = list(api.events(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), types))

    assert [one["id"] for one in found] == ["evt_2", "evt_1"]
    first, second, third = (params for _, params in asked(httpserver))
    assert (first["created[gte]"], first["created[lt]"]) == (["1793491200"], ["1793577600"])
    assert (first["types[]"], first["limit"]) == (types[:20], ["100"])
    assert (second["starting_after"], third["types[]"]) == (["evt_2"], types[20:])


def test_subscriptions_are_read_page_by_page_and_each_price_once(api: StripeApi, httpserver: HTTPServer) -> None:
    tiered = price("price_1", minor=None, tiers_mode="volume")
    whole = {**tiered, "tiers": [{"up_to": None, "unit_amount": 5}]}
    httpserver.expect_oneshot_request("/v1/prices/price_1").respond_with_json(whole)
    httpserver.expect_request("/v1/subscriptions").respond_with_json(
        listed([a_subscription(tiered), a_subscription(tiered)])
    )

    found = list(api.subscriptions("active"))

    assert [one["items"]["data"][0]["price"]["tiers"] for one in found] == [whole["tiers"]] * 2
    assert next(asked(httpserver))[1]["status"] == ["active"]


def test_a_page_that_claims_more_and_holds_nothing_ends_the_list(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/subscriptions", listed([], has_more=True))

    assert list(api.subscriptions()) == []


# ---- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504])
def test_a_busy_api_is_asked_again_after_a_growing_pause(
    api: StripeApi, httpserver: HTTPServer, waits: Waits, status: int
) -> None:
    responds(httpserver, "/v1/coupons/TEN", refusal(status), refusal(status), {"id": "TEN"})

    assert api.coupon("TEN") == {"id": "TEN"}
    assert waits == [0.5, 1.0]


def test_a_busy_api_is_given_up_after_four_tries(api: StripeApi, httpserver: HTTPServer, waits: Waits) -> None:
    responds(httpserver, "/v1/coupons/TEN", *[refusal(429, type="rate_limit")] * 4)

    with pytest.raises(StripeApiError, match="responded 429 rate_limit") as error:
        api.coupon("TEN")

    assert not error.value.permanent
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("stated", "waited"),
    [("3", 3.0), ("86400", 20.0), ("-1", 0.5), ("soon", 0.5), ("Sat, 01 Mar 2025 12:05:00 GMT", 0.0)],
)
def test_the_pause_that_stripe_asks_for_is_kept_within_bounds(
    api: StripeApi, httpserver: HTTPServer, waits: Waits, stated: str, waited: float
) -> None:
    busy = Response(status=429, headers={"Retry-After": stated})
    httpserver.expect_ordered_request("/v1/coupons/TEN").respond_with_response(busy)
    responds(httpserver, "/v1/coupons/TEN", {"id": "TEN"})

    api.coupon("TEN")

    assert waits == [waited]


@pytest.mark.parametrize("status", [301, 400, 401, 403])
def test_a_refusal_for_good_is_not_asked_again(
    api: StripeApi, httpserver: HTTPServer, waits: Waits, status: int
) -> None:
    responds(httpserver, "/v1/coupons/TEN", refusal(status, type="invalid_request_error", code="api_key_expired"))

    with pytest.raises(StripeApiError) as error:
        api.coupon("TEN")

    assert (error.value.status, error.value.permanent, waits) == (status, True, [])


def test_a_complaint_never_shows_the_key(api: StripeApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/v1/coupons/TEN", refusal(401, type="invalid_request_error"))

    with pytest.raises(StripeApiError) as error:
        api.coupon("TEN")

    assert str(error.value) == "Stripe's API, /v1/coupons/TEN: responded 401 invalid_request_error" + (
        ". Is the API key right, and of the same mode?"
    )
    assert KEY not in repr(api)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", json.dumps("text").encode()])
def test_an_answer_that_cannot_be_read_is_no_answer(api: StripeApi, httpserver: HTTPServer, body: bytes) -> None:
    httpserver.expect_request("/v1/coupons/TEN").respond_with_data(body)

    with pytest.raises(StripeApiError, match="cannot be read"):
        api.coupon("TEN")


def test_no_answer_at_all_may_be_tried_again(waits: Waits) -> None:
    api = StripeApi(KEY, "http://127.0.0.1:9", timeout=(0.2, 0.2), wait=waits)

    with pytest.raises(StripeApiError, match="no response") as error:
        api.coupon("TEN")

    assert (error.value.status, error.value.permanent, len(waits)) == (None, False, 3)


def test_a_slow_answer_is_given_up(httpserver: HTTPServer, waits: Waits) -> None:
    blocker = threading.Event()

    def slow(_: Request) -> Response:
        blocker.wait(2)
        return Response("{}")

    httpserver.expect_request("/v1/coupons/TEN").respond_with_handler(slow)
    api = StripeApi(KEY, httpserver.url_for(""), timeout=(0.2, 0.05), wait=waits)

    with pytest.raises(StripeApiError, match="no response: the response timed out"):
        api.coupon("TEN")
    blocker.set()
