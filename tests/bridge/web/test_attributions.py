"""`POST /attributions`: registers the visit of a customer, subscription or transaction, with the admin token."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bridge.store import Store, inbox
from bridge.web import create_app
from tests.settings import ADMIN_TOKEN, some_settings

REGISTRATION = {"source": "stripe", "customer_id": "cus_1", "visitor_fingerprint": "fp_1", "session_id": "sess_1"}


def post(client: FlaskClient, registration: object = None, token: str = ADMIN_TOKEN) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.post("/attributions", json=REGISTRATION if registration is None else registration, headers=headers)


def test_a_registration_is_stored_like_a_webhook(client: FlaskClient, sqlite_store: Store) -> None:
    response = post(client)

    with sqlite_store.reading() as tx:
        row = inbox.listing(tx)[0]
    assert response.status_code == 200
    assert (row.source, row.type, row.livemode) == ("stripe", "bridge.attribution", True)


def test_the_same_registration_twice_is_one(client: FlaskClient) -> None:
    post(client)

    assert post(client).json["duplicate"] is True  # type: ignore[index]  # a JSON object


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        ({"session_id": ""}, "session_id"),
        ({"session_id": " \t "}, "session_id: must have 1 to 255 characters"),
        ({"visitor_fingerprint": "x" * 256}, "visitor_fingerprint"),
        ({"visitor_fingerprint": "fp\x00"}, "visitor_fingerprint: must have printable characters only"),
        ({"customer_id": "cus_\ud800"}, "customer_id: must have printable characters only"),
        ({"session_id": "undefined"}, "session_id: is undefined"),
        ({"visitor_fingerprint": "cs_test_a1"}, "visitor_fingerprint: is the id of a checkout session"),
        ({"customer_id": None}, "customer_id"),
        ({"source": "nobody"}, "source: name one of paddle, stripe"),
    ],
)
def test_the_message_says_what_is_wrong(client: FlaskClient, spoilt: dict[str, object], word: str) -> None:
    response = post(client, {**REGISTRATION, **spoilt})

    assert response.status_code == 400
    assert response.json is not None
    assert word in response.json["message"]


def test_a_registration_names_a_reference(client: FlaskClient) -> None:
    response = post(client, {key: value for key, value in REGISTRATION.items() if key != "customer_id"})

    assert response.json is not None
    assert response.json["message"] == "name at least one of customer_id, subscription_id, transaction_id"


def test_ids_are_trimmed(client: FlaskClient) -> None:
    post(client)

    assert post(client, {**REGISTRATION, "session_id": " sess_1\n"}).json["duplicate"] is True  # type: ignore[index]  # JSON


@pytest.mark.parametrize("body", [b"[1]", b"null", b'"text"', b"[" * 16_000])
def test_a_body_that_is_no_object_is_a_clear_error(client: FlaskClient, body: bytes) -> None:
    response = client.post("/attributions", data=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert (response.status_code, response.json and response.json["error"]) == (400, "invalid")


def test_a_body_that_is_no_json_is_a_clear_error(client: FlaskClient) -> None:
    response = client.post("/attributions", data=b"\xff{", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert (response.status_code, response.json) == (400, {"error": "invalid", "message": "The body is not JSON."})


def test_a_stranger_is_refused(client: FlaskClient) -> None:
    assert post(client, token="").status_code == 401
    assert post(client, token="guess").status_code == 401


def test_without_a_configured_admin_token_the_endpoint_is_not_revealed(sqlite_url: str, sqlite_store: Store) -> None:
    client = create_app(some_settings(sqlite_url, ADMIN_TOKEN=""), sqlite_store).test_client()

    assert post(client).status_code == 404
    assert client.get("/admin/").status_code == 404
