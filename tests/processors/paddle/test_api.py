"""Reading Paddle's API over a real socket: requests, retries and errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from processors.paddle.api import LIVE, SANDBOX, PaddleApi, PaddleApiError, host_of
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO
from tests.processors.api_requests import Waits, asked
from tests.processors.paddle.translating import AT, a_subscription

KEY = "pdl_sdbx_apikey_not_a_real_key"


@pytest.fixture(name="waits")
def _waits() -> Waits:
    return Waits()


@pytest.fixture(name="api")
def _api(httpserver: HTTPServer, waits: Waits) -> PaddleApi:
    return PaddleApi(KEY, httpserver.url_for(""), timeout=(1.0, 1.0), wait=waits)


def responds(httpserver: HTTPServer, path: str, *found: Any) -> None:
    """Each response once, in this order."""
    for status, body in found:
        httpserver.expect_ordered_request(path).respond_with_json(body, status=status)


def page(*rows: Any, has_more: bool = False) -> tuple[int, dict[str, Any]]:
    return 200, {"data": list(rows), "meta": {"pagination": {"per_page": 200, "has_more": has_more, "next": "ignored"}}}


def refusal(status: int, code: str = "some_code") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"type": "request_error", "code": code, "detail": f"about {KEY}"}}


@pytest.mark.parametrize(
    ("key", "environment", "host"),
    [
        ("pdl_live_apikey_x", None, LIVE),
        ("pdl_sdbx_apikey_x", None, SANDBOX),
        ("pdl_sdbx_apikey_x", "live", SANDBOX),
        ("0123456789abcdef", None, LIVE),
        ("0123456789abcdef", "sandbox", SANDBOX),
        ("0123456789abcdef", "live", LIVE),
    ],
)
def test_the_key_says_where_it_is_good_else_the_setting(key: str, environment: str | None, host: str) -> None:
    assert host_of(key, environment) == host


def test_a_price_is_asked_for_with_the_key(api: PaddleApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/prices/pri_pro", (200, {"data": payloads.price(PRO)}))

    found = api.price("pri_pro")

    request, _ = httpserver.log[0]
    assert found is not None
    assert found["id"] == "pri_pro"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Paddle-Version"] == "1"


def test_a_subscription_is_asked_for_with_what_its_periods_cost(api: PaddleApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/subscriptions/sub_1", (200, {"data": a_subscription()}))

    api.subscription("sub_1")

    assert list(asked(httpserver)) == [("/subscriptions/sub_1", {"include": ["recurring_transaction_details"]})]


@pytest.mark.parametrize("name", ["price", "product", "discount", "subscription"])
def test_what_is_not_there_is_none(api: PaddleApi, httpserver: HTTPServer, name: str) -> None:
    httpserver.expect_request(f"/{name}s/x%2F1").respond_with_json(refusal(404)[1], status=404)
    httpserver.expect_request(f"/{name}s/x/1").respond_with_json(refusal(404)[1], status=404)

    assert getattr(api, name)("x/1") is None


def test_subscriptions_come_page_by_page_after_the_last_id(api: PaddleApi, httpserver: HTTPServer) -> None:
    responds(httpserver, "/subscriptions", page({"id": "sub_1"}, {"id": "sub_2"}, has_more=True), page({"id": "sub_3"}))

    found = [one["id"] for one in api.subscriptions()]

    first, second = (query for _, query in asked(httpserver))
    assert found == ["sub_1", "sub_2", "sub_3"]
    assert first["status"] == ["active,trialing,past_due,paused"]
    assert ("after" not in first, second["after"]) == (True, ["sub_2"])


def test_a_page_that_goes_round_in_a_circle_ends(api: PaddleApi, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/subscriptions").respond_with_json(page({"id": "sub_1"}, has_more=True)[1])

    assert len(list(api.subscriptions())) == 2


def test_events_end_at_the_first_that_is_too_old(api: PaddleApi, httpserver: HTTPServer) -> None:
    def event(number: int) -> dict[str, Any]:
        return {"event_id": f"evt_{number}", "occurred_at": payloads.stamp(AT - timedelta(hours=number))}

    responds(httpserver, "/events", page(event(1), event(2), has_more=True), page(event(3), event(4), has_more=True))

    found = [one["event_id"] for one in api.events(AT - timedelta(hours=3), ["transaction.completed", "price.created"])]

    first, second = (query for _, query in asked(httpserver))
    assert found == ["evt_1", "evt_2", "evt_3"]
    assert (first["event_type"], first["order_by"]) == (["transaction.completed,price.created"], ["id[DESC]"])
    assert second["after"] == ["evt_2"]


# ---- Refusals -----------------------------------------------------------------------------------------------------


def test_when_paddle_is_busy_it_waits_as_long_as_retry_after_says(
    api: PaddleApi, httpserver: HTTPServer, waits: Waits
) -> None:
    headers = {"Retry-After": "7"}
    httpserver.expect_ordered_request("/prices/pri_1").respond_with_response(Response("", 429, headers))
    responds(httpserver, "/prices/pri_1", refusal(503), (200, {"data": {"id": "pri_1"}}))

    assert api.price("pri_1") == {"id": "pri_1"}
    assert waits == [7.0, 1.0]


def test_it_never_waits_longer_than_twenty_seconds_nor_asks_more_than_four_times(
    api: PaddleApi, httpserver: HTTPServer, waits: Waits
) -> None:
    httpserver.expect_request("/prices/pri_1").respond_with_response(Response("", 429, {"Retry-After": "3600"}))

    with pytest.raises(PaddleApiError) as refused:
        api.price("pri_1")

    assert refused.value.status == 429
    assert waits == [20.0, 20.0, 20.0]
    assert len(httpserver.log) == 4


@pytest.mark.parametrize(("status", "advice"), [(401, "Is the API key right"), (403, "read permission"), (400, "400")])
def test_a_refusal_says_what_to_do_and_shows_no_key(
    api: PaddleApi, httpserver: HTTPServer, waits: Waits, status: int, advice: str
) -> None:
    responds(httpserver, "/prices/pri_1", refusal(status, "forbidden"))

    with pytest.raises(PaddleApiError) as refused:
        api.price("pri_1")

    assert advice in str(refused.value)
    assert "request_error forbidden" in str(refused.value)
    assert KEY not in str(refused.value)
    assert waits == []


@pytest.mark.parametrize("body", ["", "[]", "<html>", '{"data": NaN}'])
def test_an_answer_that_cannot_be_read_is_an_error(api: PaddleApi, httpserver: HTTPServer, body: str) -> None:
    httpserver.expect_request("/prices/pri_1").respond_with_data(body)

    with pytest.raises(PaddleApiError, match="cannot be read"):
        api.price("pri_1")


def test_without_any_answer_it_tries_again_and_says_so(waits: Waits) -> None:
    api = PaddleApi(KEY, "http://127.0.0.1:9", timeout=(0.2, 0.2), wait=waits)

    with pytest.raises(PaddleApiError, match="no response"):
        api.price("pri_1")

    assert waits == [0.5, 1.0, 2.0]


def test_a_redirect_is_not_followed(api: PaddleApi, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/prices/pri_1").respond_with_response(Response("", 302, {"Location": "/elsewhere"}))

    with pytest.raises(PaddleApiError, match="responded 302"):
        api.price("pri_1")


def test_its_repr_shows_no_key(api: PaddleApi) -> None:
    assert KEY not in repr(api)
