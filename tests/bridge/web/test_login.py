"""The login of the console: where it leads, wrong tokens, and one-time links."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from bridge.settings import Settings
from bridge.store import Store
from bridge.web import create_app
from bridge.web.admin import one_time_link
from tests.settings import ADMIN_TOKEN

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_the_login_leads_on_to_the_page_that_was_asked_for(client: FlaskClient) -> None:
    form = client.get("/admin/deliveries?status=failed", headers=BROWSER).get_data(as_text=True)
    wanted = re.findall(r'name="next" value="([^"]+)"', form)[0]

    response = client.post("/admin/login", data={"token": ADMIN_TOKEN, "next": wanted})

    assert response.headers["Location"] == "/admin/deliveries?status=failed"


@pytest.mark.parametrize("query", ["token=x", "status=sec_fake_token_of_the_tests"])
def test_the_login_page_does_not_repeat_a_secret_of_its_address(client: FlaskClient, query: str) -> None:
    form = client.get(f"/admin/deliveries?{query}", headers=BROWSER).get_data(as_text=True)

    assert re.findall(r'name="next" value="([^"]+)"', form) == ["/admin/"]


@pytest.mark.parametrize("wanted", ["https://example.com/", "//example.com", "/admin/\\example.com", ""])
def test_the_login_leads_to_no_other_address(client: FlaskClient, wanted: str) -> None:
    response = client.post("/admin/login", data={"token": ADMIN_TOKEN, "next": wanted})

    assert response.headers["Location"] == "/admin/"


def test_wrong_tokens_are_logged_and_then_refused_without_looking(settings: Settings, sqlite_store: Store) -> None:
    app = create_app(settings, sqlite_store)
    app.extensions["pulsora_bridge"].login_limit._sleep = lambda seconds: None
    client = app.test_client()

    with capture_logs() as logs:
        wrong = [client.post("/admin/login", data={"token": "guess"}).status_code for _ in range(10)]
        right = client.post("/admin/login", data={"token": ADMIN_TOKEN})
        elsewhere = client.post(
            "/admin/login", data={"token": ADMIN_TOKEN}, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}
        )

    assert wrong == [401] * 10
    assert (right.status_code, elsewhere.status_code) == (429, 303)
    assert 0 < int(right.headers["Retry-After"]) <= 300
    assert [one["event"] for one in logs] == ["login_failed"] * 10 + ["login_refused", "logged_in"]


def test_a_one_time_link_opens_once(client: FlaskClient, app: Flask) -> None:
    code = one_time_link.make_code(ADMIN_TOKEN, datetime.now(UTC))

    first = client.get(f"/admin/enter?code={code}")
    second = app.test_client().get(f"/admin/enter?code={code}")

    assert (first.status_code, second.status_code) == (303, 401)
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("age", [timedelta(minutes=10), timedelta(days=1)])
def test_a_one_time_link_ends(client: FlaskClient, age: timedelta) -> None:
    code = one_time_link.make_code(ADMIN_TOKEN, datetime.now(UTC) - age)

    assert client.get(f"/admin/enter?code={code}").status_code == 401


@pytest.mark.parametrize("code", ["", "1.2.3", "é.1", "9999999999." + "0" * 24 + "." + "0" * 64])
def test_a_made_up_one_time_link_does_not_open(client: FlaskClient, code: str) -> None:
    assert client.get("/admin/enter", query_string={"code": code}).status_code == 401
