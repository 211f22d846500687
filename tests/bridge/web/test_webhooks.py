"""The webhook route: a verified webhook is on disk before the response; an unverified one leaves no trace."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bridge.errors import StoreUnavailable
from bridge.settings import Settings
from bridge.store import Store, inbox
from bridge.web import create_app
from processors import processors
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, some_settings

EVENT = {"id": "evt_1", "object": "event", "type": "some.thing", "created": 1767225600, "livemode": True}


def post(client: FlaskClient, body: bytes | Mapping[str, Any] = EVENT, **more: Any) -> TestResponse:
    """Posts a Stripe webhook with a valid signature, unless `more` says otherwise."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = processors()["stripe"].sign(raw, more.get("secret", STRIPE_SECRET), more.get("at", datetime.now(UTC)))
    return client.post("/webhooks/stripe", data=signed.body, headers={**signed.headers, **more.get("headers", {})})


def rows(store: Store) -> list[inbox.InboxRow]:
    with store.reading() as tx:
        return inbox.listing(tx, limit=100)


def test_a_webhook_is_on_disk_when_it_is_acknowledged(client: FlaskClient, sqlite_store: Store) -> None:
    response = post(client)

    assert (response.status_code, response.json) == (200, {"received": "evt_1", "duplicate": False})
    assert [(row.event_id, row.type, row.livemode) for row in rows(sqlite_store)] == [("evt_1", "some.thing", True)]


def test_the_body_is_kept_byte_for_byte(client: FlaskClient, sqlite_store: Store) -> None:
    raw = b'{ "type":"some.thing",\n "id": "evt_odd", "name": "\xc3\x9cmit" }'

    post(client, raw)

    with sqlite_store.reading() as tx:
        kept = inbox.find(tx, "evt_odd")
    assert kept is not None
    assert kept.body == raw


def test_the_same_webhook_again_is_reported_as_a_duplicate(client: FlaskClient, sqlite_store: Store) -> None:
    post(client)

    again = post(client)

    assert (again.status_code, again.json) == (200, {"received": "evt_1", "duplicate": True})
    assert len(rows(sqlite_store)) == 1


def test_paddle_has_a_route_of_its_own(client: FlaskClient, sqlite_store: Store) -> None:
    body = json.dumps({"event_id": "evt_p", "event_type": "address.created", "occurred_at": "2026-01-01T00:00:00Z"})
    signed = processors()["paddle"].sign(body.encode(), PADDLE_SECRET, datetime.now(UTC))

    response = client.post("/webhooks/paddle", data=signed.body, headers=dict(signed.headers))

    assert response.status_code == 200
    assert rows(sqlite_store)[0].source == "paddle"


def test_a_sandbox_is_test_traffic(sqlite_url: str, sqlite_store: Store) -> None:
    client = create_app(some_settings(sqlite_url, PADDLE_ENVIRONMENT="sandbox"), sqlite_store).test_client()
    body = json.dumps({"event_id": "evt_p", "event_type": "address.created", "occurred_at": "2026-01-01T00:00:00Z"})
    signed = processors()["paddle"].sign(body.encode(), PADDLE_SECRET, datetime.now(UTC))

    client.post("/webhooks/paddle", data=signed.body, headers=dict(signed.headers))

    assert rows(sqlite_store)[0].livemode is False


REFUSED = [
    ({"headers": {"Stripe-Signature": ""}}, "signature_missing"),
    ({"headers": {"Stripe-Signature": "nonsense"}}, "signature_malformed"),
    ({"headers": {"Stripe-Signature": "t=1,v1=\xe9"}}, "signature_malformed"),
    ({"secret": "whsec_fake_of_somebody_else"}, "signature_mismatch"),
    ({"at": datetime.now(UTC) - timedelta(hours=1)}, "signature_stale"),
    ({"at": datetime.now(UTC) + timedelta(days=1)}, "signature_stale"),
    ({"body": b"[1, 2]"}, "unreadable"),
    ({"body": b'{"id": NaN}'}, "unreadable"),
    ({"body": b'{"id": "evt_1", "id": "evt_2", "type": "x"}'}, "unreadable"),
    ({"body": b'{"id": "evt_\\ud800", "type": "x", "object": "event"}'}, "unreadable"),
    ({"body": b'{"a":' * 100_000}, "unreadable"),
    ({"body": gzip.compress(b"{}") + b"\xff"}, "signature_mismatch"),
]


@pytest.mark.parametrize(
    ("spoilt", "code"), REFUSED, ids=[f"{number} {code}" for number, (_, code) in enumerate(REFUSED)]
)
def test_a_refusal_says_which_it_was_and_leaves_no_row(
    client: FlaskClient, sqlite_store: Store, spoilt: dict[str, Any], code: str
) -> None:
    body = spoilt.get("body", EVENT)
    if body == REFUSED[-1][0]["body"]:  # bytes that are no text cannot be signed by the SDK
        header = {"Stripe-Signature": "t=1767225600,v1=" + "0" * 64}
        response = client.post("/webhooks/stripe", data=body, headers=header)
    else:
        response = post(client, **{"body": body, **spoilt})

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == code
    assert rows(sqlite_store) == []


def test_a_stale_signature_is_refused_with_its_age_in_seconds(client: FlaskClient) -> None:
    response = post(client, at=datetime.now(UTC) - timedelta(seconds=1000))

    assert response.json is not None
    assert "1000 s old; 300 s are allowed" in response.json["message"].replace("1001", "1000")


def test_a_body_that_says_it_is_too_large_is_not_read(sqlite_url: str, sqlite_store: Store) -> None:
    client = create_app(some_settings(sqlite_url, MAX_BODY_BYTES="1024"), sqlite_store).test_client()

    response = post(client, {**EVENT, "padding": "x" * 2000})

    assert (response.status_code, response.json and response.json["error"]) == (413, "too_large")
    assert rows(sqlite_store) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/webhooks/nobody", 404, "not_found"),
        ("POST", "/webhooks/paddle-classic", 404, "not_found"),
        ("GET", "/webhooks/stripe", 405, "method_not_allowed"),
        ("GET", "/elsewhere", 404, "not_found"),
    ],
)
def test_every_error_is_json(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    response = client.open(path, method=method)

    assert response.status_code == status
    assert response.json is not None
    assert response.json["error"] == code
    assert set(response.json) == {"error", "message"}


def test_a_name_that_may_be_a_secret_is_not_logged(client: FlaskClient) -> None:
    with structlog.testing.capture_logs() as logs:
        client.post(f"/webhooks/{ADMIN_TOKEN}")
        client.post("/webhooks/paddle-clasic")

    assert [line["source"] for line in logs] == ["[hidden]", "paddle-clasic"]


class Broken:
    """A store that is unavailable."""

    def accept(self, arrival: inbox.NewWebhook) -> bool:
        raise StoreUnavailable("the disk of /var/lib is full", retry_after_seconds=7)


def test_what_cannot_be_stored_is_asked_for_again(settings: Settings) -> None:
    client = create_app(settings, Broken()).test_client()  # type: ignore[arg-type]  # only accept is called

    response = post(client)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert "/var/lib" not in response.get_data(as_text=True)


def test_the_routes_can_be_mounted_in_another_application(settings: Settings, sqlite_store: Store) -> None:
    from bridge import blueprint

    own = Flask("shop")
    own.register_blueprint(blueprint(settings, sqlite_store), url_prefix="/pulsora")
    raw = json.dumps(EVENT).encode()
    signed = processors()["stripe"].sign(raw, STRIPE_SECRET, datetime.now(UTC))

    stored = own.test_client().post("/pulsora/webhooks/stripe", data=raw, headers=dict(signed.headers))
    refused = own.test_client().post("/pulsora/webhooks/stripe", data=raw)

    assert stored.status_code == 200
    assert refused.json == {"error": "signature_missing", "message": "The signature header is missing."}


class Failing:
    """A store with a bug."""

    def accept(self, arrival: inbox.NewWebhook) -> bool:
        raise RuntimeError("an odd error")


def test_an_internal_error_shows_nothing_of_the_request(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    client = create_app(settings, Failing()).test_client()  # type: ignore[arg-type]  # only accept is called

    response = post(client, {**EVENT, "data": {"email": "ada@example.com"}})

    logged = "".join(capfd.readouterr())
    assert (response.status_code, response.json and response.json["error"]) == (500, "internal")
    assert "an odd error" in logged
    assert not [text for text in (STRIPE_SECRET, "ada@example.com", "v1=") if text in logged]
