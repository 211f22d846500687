"""Webhook endpoints at Stripe and Paddle, against fakes that check each request as documented."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_httpserver import HTTPServer

from processors.endpoints import Endpoint, Fault, compare, merged
from processors.interface import ApiError
from processors.paddle import connection as paddle_connection
from processors.paddle.endpoints import PaddleEndpoints
from processors.paddle.endpoints import connect as connect_paddle
from processors.stripe import connection as stripe_connection
from processors.stripe.endpoints import StripeEndpoints
from processors.stripe.endpoints import connect as connect_stripe
from tests.fake_processors import PADDLE_KEY, PADDLE_PERMISSIONS, STRIPE_KEY, STRIPE_PERMISSIONS, FakePaddle, FakeStripe

URL = "https://hooks.example.com/webhooks/stripe"
EVENTS = ("invoice.paid", "charge.refunded")
FINE = Endpoint(id="we_1", url=URL, events=EVENTS, is_enabled=True, livemode=True)


def stripe(server: HTTPServer, fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> StripeEndpoints:
    monkeypatch.setattr("time.sleep", lambda _: None)  # a failed request is repeated, with waits
    return connect_stripe(STRIPE_KEY, {"STRIPE_API_BASE": fake.serve(server)})


def paddle(server: HTTPServer, fake: FakePaddle, monkeypatch: pytest.MonkeyPatch) -> PaddleEndpoints:
    monkeypatch.setattr("time.sleep", lambda _: None)
    return connect_paddle(PADDLE_KEY, {"PADDLE_API_BASE": fake.serve(server)})


# ---- Comparison ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "faults"),
    [
        ([FINE], []),
        ([replace(FINE, url=URL + "/")], []),
        ([replace(FINE, events=("*",))], []),
        ([], [Fault.ABSENT]),
        ([replace(FINE, url="https://old.example.com/webhooks/stripe")], [Fault.ABSENT]),
        ([FINE, replace(FINE, id="we_2")], [Fault.SEVERAL]),
        ([replace(FINE, is_enabled=False)], [Fault.DISABLED]),
        ([replace(FINE, livemode=False)], [Fault.WRONG_MODE]),
        ([replace(FINE, events=("invoice.paid",))], [Fault.EVENTS]),
        ([replace(FINE, events=(), is_enabled=False)], [Fault.DISABLED, Fault.EVENTS]),
    ],
)
def test_each_fault_of_an_endpoint_is_named(listed: list[Endpoint], faults: list[Fault]) -> None:
    assert [one.fault for one in compare(listed, URL, EVENTS, livemode=True)] == faults


def test_an_endpoint_of_another_address_of_the_bridge_is_named() -> None:
    moved = replace(FINE, url="https://old.example.com/webhooks/stripe")

    [found] = compare([moved], URL, EVENTS, livemode=True)

    assert found.text == f"no endpoint has the URL {URL}. There is https://old.example.com/webhooks/stripe (we_1)"


def test_merging_keeps_events_of_others_and_every_event_stays_every_event() -> None:
    assert merged(replace(FINE, events=("payout.paid", "invoice.paid")), EVENTS) == (
        "payout.paid", "invoice.paid", "charge.refunded",
    )  # fmt: skip
    assert merged(replace(FINE, events=("*",)), EVENTS) == ("*",)


# ---- Stripe ----------------------------------------------------------------------------------------------------


def test_stripe_creates_an_endpoint_with_the_needed_events_and_returns_its_secret(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStripe()

    made = stripe(httpserver, fake, monkeypatch).create(URL, EVENTS)

    assert (made.url, made.events, made.secret) == (URL, EVENTS, "whsec_fake_of_we_1")
    assert "whsec" not in repr(made)


def test_stripe_makes_one_endpoint_although_responses_are_lost(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStripe(lost=4)  # all attempts of the first call
    api = stripe(httpserver, fake, monkeypatch)
    with pytest.raises(ApiError):
        api.create(URL, EVENTS)

    [found] = api.listed()

    assert found.secret is None
    assert api.secret_of(found, URL, EVENTS) == "whsec_fake_of_we_1"
    assert len(fake.endpoints) == 1


@pytest.mark.parametrize("change", [{"metadata": {}}, {"created": 1}], ids=["of somebody else", "made long ago"])
def test_stripe_is_not_asked_for_the_secret_where_that_would_make_a_second_endpoint(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    fake = FakeStripe()
    api = stripe(httpserver, fake, monkeypatch)
    api.create(URL, EVENTS)
    fake.endpoints[0].update(change)
    fake.responses.clear()

    [found] = api.listed()

    assert api.secret_of(found, URL, EVENTS) is None
    assert len(fake.endpoints) == 1


def test_stripe_makes_a_new_endpoint_after_the_first_was_deleted(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStripe()
    api = stripe(httpserver, fake, monkeypatch)
    api.create(URL, EVENTS)
    fake.endpoints[0] |= {"id": "we_other", "url": "https://example.com"}  # the first is gone

    made = api.create(URL, EVENTS)

    assert made.id == "we_2"
    assert [one["id"] for one in fake.endpoints] == ["we_other", "we_2"]


def test_stripe_names_the_permission_that_creating_needs(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_webhook_write"})

    with pytest.raises(ApiError, match=r"^The Stripe API key lacks the permission rak_webhook_write"):
        stripe(httpserver, fake, monkeypatch).create(URL, EVENTS)


def test_stripe_names_each_permission_that_reading_needs(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_plan_read", "rak_event_read"})

    missing = stripe(httpserver, fake, monkeypatch).missing_permissions()

    assert missing == {"rak_plan_read": "tiers and intervals of prices", "rak_event_read": "reconcile"}


def test_stripes_page_for_a_key_has_every_permission_filled_in() -> None:
    page = stripe_connection.key_page(False, {})

    assert page.startswith("https://dashboard.stripe.com/test/apikeys/create?name=Pulsora+bridge&permissions%5B%5D=rak")
    assert all(one in page for one in STRIPE_PERMISSIONS - {"rak_webhook_read"})


# ---- Paddle ----------------------------------------------------------------------------------------------------


def test_paddle_creates_a_destination_with_the_needed_events_and_returns_its_secret(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakePaddle()

    made = paddle(httpserver, fake, monkeypatch).create(URL, ["transaction.completed"])

    assert (made.url, made.events, made.secret) == (URL, ("transaction.completed",), "pdl_ntfset_fake_of_1")
    assert fake.settings[0]["traffic_source"] == "all"


def test_paddle_makes_one_destination_although_the_response_is_lost(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakePaddle(lost=1)

    made = paddle(httpserver, fake, monkeypatch).create(URL, ["transaction.completed"])

    assert made.secret == "pdl_ntfset_fake_of_1"
    assert [method for method, _ in fake.log] == ["POST", "GET"]


def test_paddle_names_each_permission(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePaddle(permissions=PADDLE_PERMISSIONS - {"subscription.read", "notification_setting.write"})
    api = paddle(httpserver, fake, monkeypatch)

    assert api.missing_permissions() == {"subscription.read": "import and the first state of subscriptions"}
    with pytest.raises(ApiError, match=r"lacks the permission notification_setting\.write$"):
        api.create(URL, ["transaction.completed"])


# ---- Keys and addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("rk_live_abc", None),
        ("sk_test_abc", None),
        ("sk_live_abc", "is a full secret key"),
        ("pk_live_abc", "is a publishable key"),
        ("rk_live_…", "is still the placeholder"),
        ("rk_live_...", "is still the placeholder"),
        ("whsec_abc", "looks like a webhook secret"),
    ],
)
def test_a_key_of_stripe_that_cannot_or_should_not_read_is_refused(key: str, problem: str | None) -> None:
    found = stripe_connection.api_key_problem(key)

    assert (found is None) if problem is None else (found or "").startswith(problem)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("pdl_live_apikey_abc", None),
        ("0123456789abcdef", None),
        ("pdl_live_apikey_…", "is still the placeholder"),
        ("live_abc", "is a client-side token"),
        ("pdl_ntfset_abc", "looks like a webhook secret"),
    ],
)
def test_a_key_of_paddle_that_cannot_read_is_refused(key: str, problem: str | None) -> None:
    found = paddle_connection.api_key_problem(key)

    assert (found is None) if problem is None else (found or "").startswith(problem)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://proxy.example.com/stripe", None),
        ("http://127.0.0.1:12111", None),
        ("http://proxy.example.com", "would send the API key unencrypted: use https"),
        ("proxy.example.com", "must be an http or https address"),
        ("https://me:secret@proxy.example.com", "must be an address without query or password"),
    ],
)
def test_the_address_of_an_api_is_checked(address: str, problem: str | None) -> None:
    assert stripe_connection.API_BASE.check(address) == problem
