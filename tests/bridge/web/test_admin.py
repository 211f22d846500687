"""The admin pages: only with the admin token, and a GET changes nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from bridge.store import Store, outbox
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import DeliveryStatus, NewDelivery
from tests.settings import ADMIN_TOKEN

PAGES = ("/admin/", "/admin/webhooks", "/admin/deliveries")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_failed_delivery(store: Store) -> int:
    with store.transaction() as tx:
        new = NewDelivery(
            stream_id="stripe||live|cus_1", scope="stripe||live", source="stripe", livemode=True,
            output_key="payment:in_1", status=DeliveryStatus.FAILED, body="{}", next_at=NOW, created_at=NOW,
            event_type="renewal", currency="USD", amount=Decimal("49.00"), mrr_impact=Decimal("0.00"),
        )  # fmt: skip
        outbox.add(tx, [new])
        return outbox.listing(tx)[0].id


@pytest.mark.parametrize("page", [*PAGES, "/admin/webhooks/1"])
def test_without_the_token_only_the_login_page_is_shown(client: FlaskClient, page: str) -> None:
    response = client.get(page)

    assert response.status_code == 401
    assert "Admin token" in response.get_data(as_text=True)


def test_a_wrong_token_does_not_open(client: FlaskClient) -> None:
    assert client.post("/admin/login", data={"token": "guess"}).status_code == 401
    assert client.get("/admin/").status_code == 401


def test_the_token_opens_and_the_cookie_does_not_hold_it(client: FlaskClient) -> None:
    entered = client.post("/admin/login", data={"token": ADMIN_TOKEN})

    assert entered.status_code == 303
    assert ADMIN_TOKEN not in entered.headers["Set-Cookie"]
    assert "HttpOnly" in entered.headers["Set-Cookie"]
    assert "SameSite=Strict" in entered.headers["Set-Cookie"]
    assert [client.get(page).status_code for page in PAGES] == [200, 200, 200]


def test_pages_may_load_nothing_from_elsewhere(client: FlaskClient) -> None:
    response = client.get("/admin/", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|<link[^>]*href)="https?:', response.get_data(as_text=True))
    with client.get("/admin/static/htmx.min.js") as script:
        assert script.status_code == 200


def test_a_failed_delivery_is_retried_by_a_form_that_only_this_page_can_make(
    client: FlaskClient, sqlite_store: Store
) -> None:
    row_id = a_failed_delivery(sqlite_store)
    client.post("/admin/login", data={"token": ADMIN_TOKEN})
    page = client.get("/admin/deliveries?status=failed").get_data(as_text=True)
    key = re.findall(r'name="key" value="(\w+)"', page)[0]

    forged = client.post(f"/admin/deliveries/{row_id}/retry")
    odd = client.post(f"/admin/deliveries/{row_id}/retry", headers={"Authorization": "Bearer guess"})
    meant = client.post(f"/admin/deliveries/{row_id}/retry", data={"key": key})

    assert (forged.status_code, odd.status_code, meant.status_code) == (400, 400, 303)
    with sqlite_store.reading() as tx:
        assert outbox.listing(tx)[0].status is DeliveryStatus.PENDING


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/webhooks/99999999999999999999999", 404),
        ("/admin/webhooks/0", 404),
        ("/admin/webhooks?before=99999999999999999999999", 200),
        ("/admin/webhooks?before=-5&status=nonsense", 200),
        ("/admin/deliveries?before=99999999999999999999", 200),
        ("/admin/static/../admin.py", 404),
    ],
)
def test_an_odd_address_is_no_error_of_the_service(client: FlaskClient, path: str, status: int) -> None:
    assert client.get(path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).status_code == status


def test_without_its_last_slash_the_overview_is_found_on_whatever_host_it_was_asked(client: FlaskClient) -> None:
    assert client.get("/admin").headers["Location"] == "/admin/"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/admin/events", "/admin/webhooks"),
        ("/admin/events?status=failed&before=7&_external=1", "/admin/webhooks?status=failed&before=7"),
        ("/admin/events/7", "/admin/webhooks/7"),
    ],
)
def test_the_former_addresses_of_the_webhook_pages_redirect(client: FlaskClient, old: str, new: str) -> None:
    response = client.get(old)

    assert (response.status_code, response.headers["Location"]) == (301, new)


def test_what_a_processor_wrote_is_shown_as_text(client: FlaskClient, sqlite_store: Store) -> None:
    odd = NewWebhook(
        source="stripe", account=None, livemode=True, event_id="evt_<script>", type="<img src=x>", created_at=NOW,
        received_at=NOW, body=b"{}",
    )  # fmt: skip
    sqlite_store.accept(odd)

    page = client.get("/admin/webhooks", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).get_data(as_text=True)

    assert "evt_&lt;script&gt;" in page
    assert "<img src=x>" not in page


def test_a_program_with_the_token_needs_no_form(client: FlaskClient, sqlite_store: Store) -> None:
    row_id = a_failed_delivery(sqlite_store)

    response = client.post(f"/admin/deliveries/{row_id}/retry", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert response.status_code == 303


@pytest.mark.parametrize("path", ["/admin/", "/admin/api/mrr"])
def test_a_wrong_bearer_token_is_logged_without_it(client: FlaskClient, path: str) -> None:
    with capture_logs() as logged:
        response = client.get(path, headers={"Authorization": "Bearer guess-4711"})

    assert response.status_code == 401
    assert [(one["event"], one["address"], one["path"]) for one in logged] == [("token_refused", "127.0.0.1", path)]
    assert "4711" not in str(logged)
