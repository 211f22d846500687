"""Lists, pages and actions of the console: what they show, and that only the operator can act."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from bridge.store import Store, inbox, outbox, refusals, streams
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from bridge.web import create_app
from tests.bridge.store.builders import ANNA, NOON, a_delivery, a_webhook, an_outcome, an_update, stored
from tests.settings import ADMIN_TOKEN, STRIPE_SECRET, TOKEN, some_settings

BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BODY = b'{"id":"evt_1","data":{"object":{"customer":"cus_anna","customer_email":"anna@example.com","amount":4900}}}'


def page(client: FlaskClient, path: str, status: int = 200) -> str:
    response = client.get(path, headers={**BEARER, **BROWSER})
    assert response.status_code == status
    return response.get_data(as_text=True)


def settled(store: Store, *event_ids: str) -> list[int]:
    """Anna's webhooks, settled together at noon with one revenue event."""
    ids = stored(store, *event_ids)
    with store.transaction() as tx:
        streams.upsert(tx, [an_update(ANNA)])
        inbox.assign(tx, [(row_id, ANNA) for row_id in ids])
        inbox.mark_settled(tx, [(row_id, 1, ["reported"]) for row_id in ids], NOON)
        outbox.add(tx, [a_delivery(event_ids=tuple(event_ids))])
    return ids


# ---- Lists -----------------------------------------------------------------------------------------------------


def test_webhooks_that_were_settled_together_share_a_line_with_what_came_out(
    client: FlaskClient, sqlite_store: Store
) -> None:
    settled(sqlite_store, "evt_1", "evt_2", "evt_3")

    shown = page(client, "/admin/webhooks")

    assert "3 webhooks settled together" in shown
    assert shown.count("<tr>") == 2  # the head and one line
    assert re.search(r"renewal</span></a>|renewal</span> ", shown)
    assert "cus_anna" in shown


def test_a_page_ends_within_no_settlement_and_the_next_repeats_none(client: FlaskClient, sqlite_store: Store) -> None:
    ids = settled(sqlite_store, "evt_1", "evt_2")
    stored(sqlite_store, *[f"evt_{number}" for number in range(10, 70)])

    first = page(client, "/admin/webhooks")
    following = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")
    second = page(client, following)

    shown = [re.findall(r'class="id">(evt_\d+)', one) for one in (first, second)]
    assert len(shown[0]) == 50
    assert len(set(shown[0]) & set(shown[1])) == 0
    assert len(shown[1]) == 10
    assert "2 webhooks settled together" in second
    assert f"/admin/webhooks/{ids[0]}" in second


def test_a_settlement_that_spans_pages_is_on_the_page_of_its_newest_webhook_only(
    client: FlaskClient, sqlite_store: Store
) -> None:
    stored(sqlite_store, "evt_1", *[f"evt_{number}" for number in range(10, 70)])
    settled(sqlite_store, "evt_1", "evt_99")

    first = page(client, "/admin/webhooks")
    following = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")

    assert "2 webhooks settled together" in first
    assert "settled together" not in page(client, following)
    assert "evt_1<" not in page(client, following)


def test_a_filter_is_kept_by_the_next_page_and_the_export(client: FlaskClient, sqlite_store: Store) -> None:
    stored(sqlite_store, *[f"evt_{number}" for number in range(60)])

    shown = page(client, "/admin/webhooks?type=invoice.paid&mode=live")

    assert re.search(r'rel="next" href="/admin/webhooks\?before=\d+&amp;type=invoice.paid&amp;mode=live"', shown)
    assert 'href="/admin/webhooks.csv?type=invoice.paid&amp;mode=live"' in shown


def test_an_export_holds_the_filtered_rows_and_no_formula(client: FlaskClient, sqlite_store: Store) -> None:
    sqlite_store.accept(a_webhook("evt_1", type="=HYPERLINK(1)"))
    sqlite_store.accept(a_webhook("evt_2", livemode=False))

    response = client.get("/admin/webhooks.csv?mode=live", headers=BEARER)

    lines = response.get_data(as_text=True).splitlines()
    assert response.headers["Content-Disposition"] == 'attachment; filename="webhooks.csv"'
    assert len(lines) == 2
    assert ",'=HYPERLINK(1)," in lines[1]


def test_a_negative_amount_is_a_number_in_the_export(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        outbox.add(tx, [a_delivery(event_type="refund", amount=Decimal("-20.00"))])

    lines = client.get("/admin/deliveries.csv", headers=BEARER).get_data(as_text=True).splitlines()

    assert ",refund,-20.00,USD," in lines[1]


# ---- One webhook, one delivery ---------------------------------------------------------------------------------


def test_a_payload_is_shown_without_personal_details(client: FlaskClient, sqlite_store: Store) -> None:
    sqlite_store.accept(a_webhook(body=BODY))

    without, shown = page(client, "/admin/webhooks/1"), page(client, "/admin/webhooks/1?payload=1")

    assert "cus_anna" not in without
    assert "cus_anna" in shown
    assert "4900" in shown
    assert "anna@example.com" not in shown


def test_a_delivery_shows_its_body_with_the_token_masked(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        outbox.add(tx, [a_delivery()])

    shown = page(client, "/admin/deliveries/1")

    assert "{&#34;type&#34;:&#34;revenue&#34;,&#34;token&#34;:&#34;sec_***&#34;,&#34;data&#34;:" in shown
    assert TOKEN not in shown


def test_sources_and_settings_are_shown_without_secrets(client: FlaskClient, sqlite_store: Store) -> None:
    hour = refusals.hour_of(datetime.now(UTC))
    refused = Refusals(source="stripe", cause="signature_mismatch", hour=hour, count=34, last_at=datetime.now(UTC))
    with sqlite_store.transaction() as tx:
        refusals.add(tx, [refused], datetime.now(UTC))

    shown = page(client, "/admin/sources")

    assert "34 webhooks refused" in shown
    assert "The secret belongs to another endpoint." in shown
    assert "SETTLE_SECONDS" in shown
    for secret in (STRIPE_SECRET, TOKEN, ADMIN_TOKEN):
        assert secret not in shown


# ---- Actions ---------------------------------------------------------------------------------------------------

ACTIONS = [
    "/admin/webhooks/1/replay", "/admin/webhooks/replay", "/admin/deliveries/1/retry", "/admin/deliveries/bulk/send",
    "/admin/deliveries/bulk/release", "/admin/deliveries/bulk/forward", "/admin/pauses/resume", "/admin/attribution",
    "/admin/logout",
]  # fmt: skip


@pytest.mark.parametrize("path", ACTIONS)
def test_an_action_needs_the_admin_and_a_form_of_these_pages(client: FlaskClient, path: str) -> None:
    assert client.post(path).status_code == 401
    client.post("/admin/login", data={"token": ADMIN_TOKEN})
    assert client.post(path).status_code == 400
    assert client.post(path, data={"key": "guess"}).status_code == 400


def test_an_action_is_logged_with_its_result(client: FlaskClient, sqlite_store: Store) -> None:
    settled(sqlite_store, "evt_1")

    with capture_logs() as logs:
        response = client.post("/admin/webhooks/1/replay", headers=BEARER)

    assert response.headers["Location"] == "/admin/webhooks/1?done=replayed&n=1"
    done = next(one for one in logs if one["event"] == "admin_action")
    assert (done["action"], done["result"], done["event_id"]) == ("replay", "replayed", "evt_1")


def test_an_action_of_many_is_limited_to_the_filter(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        outbox.add(tx, [a_delivery("payment:pi_1"), a_delivery("payment:pi_2", event_type="purchase")])
        outbox.record(tx, [an_outcome(one.id, DeliveryStatus.FAILED) for one in outbox.listing(tx)])

    asked = page(client, "/admin/deliveries/bulk/send?type=purchase")
    client.post("/admin/deliveries/bulk/send?type=purchase", headers=BEARER)

    assert "1 revenue event" in asked
    with sqlite_store.reading() as tx:
        assert [one.output_key for one in outbox.listing(tx, DeliveryStatus.FAILED)] == ["payment:pi_1"]


def test_an_incomplete_attribution_is_not_registered(client: FlaskClient, sqlite_store: Store) -> None:
    form = {"source": "stripe", "customer_id": "cus_anna", "visitor_fingerprint": "fp_1", "session_id": " "}

    response = client.post("/admin/attribution", data=form, headers=BEARER)

    assert response.headers["Location"] == "/admin/attribution?done=invalid&n=0"
    with sqlite_store.reading() as tx:
        assert inbox.listing(tx) == []


@pytest.mark.parametrize("back", ["https://example.com/", "//example.com/admin/", "/admin/\\example.com", "/other"])
def test_an_action_leads_back_only_to_these_pages(client: FlaskClient, sqlite_store: Store, back: str) -> None:
    settled(sqlite_store, "evt_1")

    response = client.post("/admin/webhooks/1/replay", headers=BEARER, data={"back": back})

    assert response.headers["Location"].startswith("/admin/webhooks/1?")


def test_a_purged_webhook_is_not_replayed_and_the_page_says_why(client: FlaskClient, sqlite_store: Store) -> None:
    settled(sqlite_store, "evt_1")
    with sqlite_store.transaction() as tx:
        inbox.purge(tx, NOON + timedelta(days=1), 10)

    response = client.post("/admin/webhooks/1/replay", headers=BEARER)

    assert "Not replayed: the body was purged" in page(client, response.headers["Location"])
    with sqlite_store.reading() as tx:
        assert inbox.listing(tx)[0].status is InboxStatus.SETTLED


# ---- Errors and the first address ------------------------------------------------------------------------------


def test_an_error_is_a_page_for_a_browser_and_json_for_a_program(client: FlaskClient) -> None:
    for path in ("/admin/webhooks/99", "/admin/no-such-page"):
        shown = page(client, path, status=404)
        assert "Content-Security-Policy" in client.get(path, headers={**BEARER, **BROWSER}).headers
        assert "<title>Not found" in shown
        assert client.get(path, headers=BEARER).get_json()["error"] == "not_found"


def test_a_browser_without_a_path_is_led_to_the_console(client: FlaskClient) -> None:
    led = client.get("/", headers=BROWSER)

    assert (led.status_code, led.headers["Location"]) == (302, "/admin/")
    assert client.get("/").status_code == 404


def test_without_an_admin_token_only_this_machine_learns_how_to_open_the_console(
    sqlite_url: str, sqlite_store: Store
) -> None:
    settings = replace(some_settings(sqlite_url), admin_token=None)
    client = create_app(settings, sqlite_store).test_client()

    here = client.get("/admin/", headers=BROWSER)
    elsewhere = client.get("/admin/", headers=BROWSER, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})

    assert (here.status_code, elsewhere.status_code) == (404, 404)
    assert "ADMIN_TOKEN" in here.get_data(as_text=True)
    assert "ADMIN_TOKEN" not in elsewhere.get_data(as_text=True)


def test_until_something_arrives_the_first_page_is_the_set_up(client: FlaskClient, sqlite_store: Store) -> None:
    before = page(client, "/admin/")
    sqlite_store.accept(a_webhook())
    after = page(client, "/admin/")

    assert "http://localhost/webhooks/stripe" in before
    assert "<h1>Overview</h1>" in after
    assert page(client, "/admin/sources/setup").count("receiving") == 1


# ---- Search in a long list -------------------------------------------------------------------------------------


def test_a_page_searches_a_part_of_a_long_list_and_the_next_one_continues(
    sqlite_store: Store, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.search.SEARCHED_ROWS", 3)
    for number in range(1, 8):
        sqlite_store.accept(a_webhook(f"evt_{number}", type="invoice.voided" if number == 2 else "invoice.paid"))
    found: list[str] = []
    address: str | None = "/admin/webhooks?q=voided"
    pages = 0
    while address:
        shown = page(client, address)
        pages += 1
        found += re.findall(r"evt_\d", shown)
        link = re.search(r'<a rel="next" href="([^"]*)">Search older ones', shown)
        address = html.unescape(link[1]) if link else None

    assert (found, pages) == (["evt_2"], 3)  # 5-7, 2-4, 1
    assert "Search older ones" not in page(client, "/admin/webhooks?q=evt_2")


def test_the_search_of_deliveries_is_bounded_too(
    sqlite_store: Store, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.search.SEARCHED_ROWS", 3)
    with sqlite_store.transaction() as tx:
        outbox.add(tx, [a_delivery("k1", event_type="refund"), *(a_delivery(f"k{number}") for number in range(2, 6))])

    shown = page(client, "/admin/deliveries?q=refun")
    rest = page(client, "/admin/deliveries?q=refun&before=3")

    assert "Compared with the text: the revenue events since 2026-03-01 12:00:00 UTC." in shown
    assert '<a href="/admin/deliveries/1">' not in shown
    assert '/admin/deliveries/1"' in rest


@pytest.mark.parametrize(
    ("days", "ids"),
    [
        ("from=2026-02-28", [3, 2]),
        ("to=2026-02-28", [2, 1]),
        ("from=2026-02-28&to=2026-02-28", [2]),
        ("from=2026-02-30", [3, 2, 1]),  # no such day: as if it were not given
    ],
)
def test_deliveries_are_filtered_by_the_day_of_the_event(
    sqlite_store: Store, client: FlaskClient, days: str, ids: list[int]
) -> None:
    at = ["2026-02-27T23:59:59Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"]
    with sqlite_store.transaction() as tx:
        outbox.add(
            tx,
            [a_delivery(one, body=json.dumps({"metadata": {"occurred_at": one}}), event_type="refund") for one in at],
        )

    shown = page(client, f"/admin/deliveries?{days}")
    exported = page(client, f"/admin/deliveries.csv?{days}")

    assert list(dict.fromkeys(map(int, re.findall(r'href="/admin/deliveries/(\d+)"', shown)))) == ids
    assert [int(line.split(",")[0]) for line in exported.splitlines()[1:]] == ids


def test_the_overview_says_how_many_customers_wait_and_for_what(client: FlaskClient, sqlite_store: Store) -> None:
    until = datetime(2099, 3, 1, 12, 0, tzinfo=UTC)
    assert "to be settled" not in page(client, "/admin/?stay=1")

    with sqlite_store.transaction() as tx:
        streams.upsert(
            tx, [an_update(ANNA, due_at=until), an_update("stripe||live|cus_2", due_at=until + timedelta(days=1))]
        )
    shown = re.sub("<[^>]+>", "", page(client, "/admin/?stay=1"))

    assert re.search(
        r"Webhooks of 2 customers to be settled; the next in [\d.]+ days at the latest: "
        r"waiting for the date on which it takes effect\.",
        shown,
    )
    assert "Nothing waits" not in shown
