"""Overview, MRR and revenue: the pages, their links, and the same data as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from bridge.store import Store, leases, outbox, refusals, subscriptions
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from tests.bridge.store.builders import ANNA, a_delivery, a_subscription_row, added, an_outcome, an_update, updated
from tests.settings import ADMIN_TOKEN

TOKEN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()


def an_event(key: str, kind: str, amount: str, mrr: str | None = None, **changes: Any) -> Any:
    """A revenue event of today."""
    metadata = {"plan": "Pro", "occurred_at": NOW.isoformat(), "attribution": "checkout"}
    body = json.dumps({"customer_id": "cus_anna", "metadata": metadata})
    impact = None if mrr is None else Decimal(mrr)
    fields = {"event_type": kind, "amount": Decimal(amount), "mrr_impact": impact, "body": body}
    just_now = datetime.now(UTC)  # not the time of the import: what waits for minutes is overdue
    return a_delivery(key, **{**fields, "created_at": just_now, "next_at": just_now, **changes})


@pytest.fixture
def merchant(sqlite_store: Store) -> Store:
    """Two starts of 49.00 and an upgrade by 50.00 today, a renewal, a refund; the baseline is 10.00."""
    added(
        sqlite_store,
        an_event("a", "subscription", "49.00", "49.00"),
        an_event("b", "subscription", "49.00", "49.00"),
        an_event("c", "upgrade", "33.87", "50.00"),
        an_event("d", "renewal", "49.00", "0.00"),
        an_event("e", "refund", "-20.00", "0.00"),
    )
    with sqlite_store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(mrr=Decimal(158), baseline=Decimal(10))])
        leases.heartbeat(tx, "worker", datetime.now(UTC))
    return sqlite_store


def page(client: FlaskClient, path: str) -> str:
    response = client.get(path, headers=TOKEN)
    assert response.status_code == 200
    return unescape(response.get_data(as_text=True))


def api(client: FlaskClient, path: str) -> Any:
    response = client.get(path, headers=TOKEN)
    assert (response.status_code, response.content_type) == (200, "application/json")
    return response.get_json()


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_overview_shows_money_health_and_nothing_to_do(client: FlaskClient, merchant: Store) -> None:
    shown = text_of(page(client, "/admin/"))

    assert "158.00 USD +148.00 USD in 30 days" in shown  # 49 + 49 + 50
    assert "160.87 USD after refunds of 20.00 USD" in shown  # 49 + 49 + 33.87 + 49 - 20
    assert "5 revenue events to be sent" in shown
    assert "Waiting for the first webhook" in shown


def test_what_needs_attention_is_a_link_to_its_list(client: FlaskClient, merchant: Store) -> None:
    with merchant.transaction() as tx:
        first = outbox.listing(tx)[-1].id
        outbox.record(tx, [an_outcome(first, DeliveryStatus.FAILED, last_status=400)])
        hour = refusals.hour_of(NOW)
        refusals.add(tx, [Refusals(source="stripe", cause="signature_stale", hour=hour, count=2, last_at=NOW)], NOW)

    shown = page(client, "/admin/")

    assert (
        '<a href="/admin/deliveries?status=failed">1 revenue event rejected by Pulsora. Review and resend.</a>' in shown
    )
    assert "2 webhooks of stripe refused in the last hour: signature_stale, the clock of this machine is wrong" in shown


def test_every_bar_opens_the_deliveries_that_it_adds(client: FlaskClient, merchant: Store) -> None:
    links = set(re.findall(r'href="(/admin/deliveries\?[^"]*movement=new[^"]*)"', page(client, "/admin/mrr?range=30d")))

    queries = [parse_qs(urlsplit(link).query) for link in links]
    assert {query["from"][0] for query in queries} == {TODAY.isoformat(), (TODAY - timedelta(days=29)).isoformat()}
    assert all(query["mode"] == ["live"] and query["currency"] == ["USD"] for query in queries)
    assert {client.get(link, headers=TOKEN).status_code for link in links} == {200}


def test_the_table_beneath_a_chart_has_its_numbers(client: FlaskClient, merchant: Store) -> None:
    shown = text_of(page(client, "/admin/mrr?by=month"))

    assert f"{TODAY:%b %Y} +98.00 – +50.00 – – +148.00 158.00" in shown
    assert "10.00 USD of it is older than the bridge" in shown


def test_revenue_is_split_by_type_source_plan_and_attribution(client: FlaskClient, merchant: Store) -> None:
    shown = text_of(page(client, "/admin/revenue"))

    assert "Net 160.87 USD" in shown
    assert "Refunds -20.00 USD" in shown
    assert "Attributed 100.0 %" in shown
    assert "subscription 2 98.00" in shown
    assert "Pro 5 160.87" in shown


def test_the_json_is_the_report_of_the_page(client: FlaskClient, merchant: Store) -> None:
    mrr, revenue = api(client, "/admin/api/mrr?by=day&range=30d"), api(client, "/admin/api/revenue")

    assert (mrr["now"], mrr["baseline"], mrr["start"], mrr["end"]) == ("158.00", "10.00", "10.00", "158.00")
    assert mrr["totals"]["new"] == {"mrr": "98.00", "count": 2}
    assert len(mrr["buckets"]) == 30
    assert mrr["buckets"][-1]["span"] == {
        "first": TODAY.isoformat(), "last": TODAY.isoformat(), "label": f"{TODAY:%b} {TODAY.day}"
    }  # fmt: skip
    assert (revenue["gross"], revenue["refunds"], revenue["net"]) == ("180.87", "-20.00", "160.87")
    overview = api(client, "/admin/api/overview")
    assert overview["mrr"][0]["amount"] == "158.00"
    assert [stage["grade"] for stage in overview["health"]["stages"]] == ["warning", "ok", "ok"]


@pytest.mark.parametrize("path", ["/admin/api/overview", "/admin/api/mrr", "/admin/api/revenue"])
def test_without_the_token_the_json_is_an_error(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert (response.status_code, response.get_json()["error"]) == (401, "unauthorized")


@pytest.mark.parametrize("name", ["mrr", "revenue"])
@pytest.mark.parametrize(
    "query",
    [
        "mode=odd&currency=XXX&source=none&by=hour&range=9d",
        "from=0001-01-01&by=day",
        "from=9999-12-31&to=0001-01-01&by=week",
        "from=2026-02-30",
        "plan=%00&source=%00",
        "range=all",
    ],
)
def test_an_odd_query_has_the_defaults(client: FlaskClient, merchant: Store, name: str, query: str) -> None:
    report = api(client, f"/admin/api/{name}?{query}")

    assert page(client, f"/admin/{name}?{query}")
    assert 1 <= len(report["buckets"]) <= 1500


def test_a_bridge_without_events_has_empty_reports(client: FlaskClient) -> None:
    assert "No subscription has been seen" in page(client, "/admin/mrr")
    assert "No money in this selection yet." in page(client, "/admin/revenue")
    assert api(client, "/admin/api/overview")["mrr"] == []


def test_test_money_is_shown_on_request(client: FlaskClient, merchant: Store) -> None:
    added(merchant, an_event("t", "purchase", "7.00", livemode=False, scope="stripe||test"))

    assert api(client, "/admin/api/revenue?mode=test")["net"] == "7.00"
    assert api(client, "/admin/api/revenue")["net"] == "160.87"


def test_a_page_notices_that_the_service_is_gone(client: FlaskClient) -> None:
    """The page asks every five seconds; console.js shows the notice when that fails (tested in a browser)."""
    shown = page(client, "/admin/mrr")

    assert '<p id="lost" class="lost" role="alert" hidden>' in shown
    assert 'hx-get="/healthz" hx-trigger="every 5s"' in shown
    assert '"timeout": 4000' in shown


@pytest.mark.parametrize("digits", [30, 4000])
def test_an_amount_of_an_earlier_version_with_too_many_digits_stops_no_page(
    client: FlaskClient, merchant: Store, digits: int
) -> None:
    large = "9" * digits
    updated(merchant, an_update())
    added(merchant, an_event("f", "upgrade", large, large, status=DeliveryStatus.HELD))

    for path in ("", "mrr", "revenue", "attribution", "deliveries", "customers", f"customers/{ANNA}"):
        page(client, f"/admin/{path}")
    assert api(client, "/admin/api/mrr")["net"] == "148.00"
