"""`webhooks`, `deliveries` and `explain`: every webhook and every revenue event is listed, with its reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bridge.store import Store, inbox, outbox
from bridge.store.outbox import DeliveryStatus
from bridge.worker.routing import route
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.bridge.store.builders import NOON, a_delivery, added, an_outcome
from tests.settings import some_settings


@pytest.fixture(name="lived")
def _lived(sqlite_store: Store, sqlite_url: str) -> Store:
    """A store in which a customer of Stripe signed up and moved to a larger plan."""
    for part in (slice(10), slice(10, None)):
        arrive(sqlite_store, "stripe", "upgrade", "ada", part)
        work(sqlite_store, some_settings(sqlite_url))
    return sqlite_store


def test_webhooks_are_listed_with_their_status(cli: Command, lived: Store) -> None:
    rows = cli("webhooks", "list", "--limit", "3").out.splitlines()

    assert rows[0] == "Webhooks, newest first"
    assert rows[1].split() == ["received", "(UTC)", "source", "type", "id", "status", "revenue", "events", "reason"]
    listed = [row.split() for row in rows if " evt_" in row]
    assert [row[4] for row in listed] == ["evt_ada_18", "evt_ada_17", "evt_ada_16"]
    assert {row[5] for row in listed} == {"settled"}


def test_a_webhook_that_waits_is_listed_with_until_when_and_for_what(
    cli: Command, sqlite_store: Store, sqlite_url: str
) -> None:
    arrive(sqlite_store, "stripe", "lifecycle")
    route(sqlite_store, some_settings(sqlite_url), "worker", datetime.now(UTC))

    listed = cli("webhooks", "list", "--json").json
    waiting = [row for row in listed if row["status"] == "waiting"]

    assert waiting
    assert all("waits_until" in row for row in waiting)
    assert not any("waits_until" in row for row in listed if row["status"] != "waiting")
    assert " UTC: waiting " in " ".join(cli("webhooks", "list").out.split())


def test_webhooks_can_be_listed_by_status_and_source(cli: Command, lived: Store) -> None:
    arrive(lived, "paddle", "one-off", "bert")

    by_status = cli("webhooks", "list", "--status", "ignored", "--json").json
    by_source = cli("webhooks", "list", "--source", "paddle", "--json").json

    assert [row["event_id"] for row in by_status] == ["evt_ada_1"]
    assert {row["status"] for row in by_source} == {"received"}
    assert "body" not in by_source[0]


def test_a_webhook_is_shown_and_its_body_only_when_asked_for(cli: Command, lived: Store) -> None:
    shown = cli("webhooks", "show", "evt_ada_2").out
    body = cli("webhooks", "show", "evt_ada_2", "--body").out

    assert (
        "  type                 customer.subscription.created\n"
        in "\n".join(map(str.rstrip, shown.splitlines())) + "\n"
    )
    assert "fp_ada" not in shown
    assert json.loads(body)["data"]["object"]["metadata"]["visitor_fingerprint"] == "fp_ada"


def test_an_unknown_webhook_fails(cli: Command) -> None:
    for command in (("webhooks", "show"), ("explain",), ("webhooks", "replay")):
        ended = cli(*command, "evt_never")

        assert ended.status == 1
        assert ended.err == "there is no webhook evt_never. List them: pulsora-bridge webhooks list\n"


def test_deliveries_are_listed_with_what_comes_next(cli: Command, sqlite_store: Store) -> None:
    ids = added(
        sqlite_store,
        a_delivery("payment:pi_1", status=DeliveryStatus.HELD, hold_until=NOON),
        a_delivery("payment:pi_2"),
        a_delivery("payment:pi_3"),
    )
    tried = an_outcome(ids[1], DeliveryStatus.PENDING, next_at=NOON, last_status=503, last_error="busy")
    given_up = an_outcome(ids[2], DeliveryStatus.FAILED, last_status=400, last_error="amount wrong")
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [tried, given_up])

    rows = cli("deliveries", "list").out.splitlines()

    assert rows[2].rstrip().endswith("failed          1  400 amount wrong")
    assert rows[3].rstrip().endswith("pending         1  retry 2026-03-01 12:00:00; 503 busy")
    assert rows[4].rstrip().endswith("held               waits for its attribution until 2026-03-01 12:00:00")


def test_a_response_that_looks_like_markup_is_shown_as_it_is(cli: Command, sqlite_store: Store) -> None:
    [delivery_id] = added(sqlite_store, a_delivery())
    error = "400: data[/amount] is invalid, see [bold]"
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(delivery_id, DeliveryStatus.FAILED, last_status=400, last_error=error)])

    ended = cli("deliveries", "list")

    assert ended.status == 0
    assert ended.out.splitlines()[2].rstrip().endswith(f"  {error}")


def test_deliveries_for_programs_hold_the_data(cli: Command, lived: Store) -> None:
    [newest, _] = cli("deliveries", "list", "--json").json

    assert newest["data"]["event_type"] == "upgrade"
    assert newest["data"]["mrr_impact"] == 50


def test_explain_shows_facts_ledger_notes_revenue_events_and_subscriptions(cli: Command, lived: Store) -> None:
    lines = cli("explain", "evt_ada_11").out.splitlines()

    assert lines[0] == "evt_ada_11  customer.subscription.updated  (stripe)"
    assert lines[1].startswith("  created 2026-01-15 12:00:00 UTC, received ")
    assert lines[2:] == [
        "  settled, customer cus_ada",
        "",
        "Facts",
        "  subscription sub_ada_1 changed from active, 1 x Pro at 49.00 USD monthly"
        " to active, 1 x Team at 99.00 USD monthly",
        "",
        "Settled together with",
        "  evt_ada_12: in_ada_12, sub_ada_1 and cus_ada belong together",
        "  evt_ada_12: metadata from the subscription as the invoice remembers it, for in_ada_12 and sub_ada_1",
        "  evt_ada_13: in_ada_12, sub_ada_1 and cus_ada belong together",
        "  evt_ada_13: metadata from the subscription as the invoice remembers it, for in_ada_12 and sub_ada_1",
        "  evt_ada_14: payment pi_ada_14: 33.87 USD, possibly for an invoice that it does not name",
        "  evt_ada_15: payment pi_ada_14: 33.87 USD, possibly for an invoice that it does not name",
        "  evt_ada_16: invoice in_ada_12: 33.87 USD paid so far, for a change of subscription sub_ada_1",
        "  evt_ada_17: invoice in_ada_12: 33.87 USD paid so far, for a change of subscription sub_ada_1",
        "  evt_ada_18: payment pi_ada_14: 33.87 USD on invoice in_ada_12",
        "",
        "Ledger before",
        "  sub_ada_1: active, Pro monthly, MRR 49.00 USD",
        "",
        "Notes of the ledger",
        "  sub_ada_1: MRR 49.00 USD -> 99.00 USD: upgrade",
        "  visit found",
        "",
        "Ledger after",
        "  sub_ada_1: active, Team monthly, MRR 99.00 USD",
        "  in_ada_12: 33.87 USD paid, reported as in_ada_12",
        "",
        "Revenue events",
        "  upgrade 33.87 USD, MRR +50.00: pending",
        "",
        "Subscriptions of the customer today",
        "  sub_ada_1 (Team): active, MRR 99.00 USD",
    ]


def test_explain_leaves_out_a_ledger_that_cannot_be_recomputed(cli: Command, lived: Store) -> None:
    before = cli("explain", "evt_ada_11", "--json").json
    with lived.transaction() as tx:
        inbox.purge(tx, datetime.now(UTC), 2)

    after = cli("explain", "evt_ada_11", "--json").json

    assert before["ledger_after"][0] == "sub_ada_1: active, Team monthly, MRR 99.00 USD"
    assert after["ledger_after"] is None
    assert after["notes"] == before["notes"]


def test_explain_shows_why_a_webhook_led_to_nothing(cli: Command, lived: Store) -> None:
    ended = cli("explain", "evt_ada_1", "--json")

    assert ended.json["status"] == "ignored"
    assert ended.json["facts"] == []
    assert ended.json["reason"]
    assert ended.json["revenue_events"] == []


def test_explain_shows_until_when_a_webhook_waits(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    arrive(sqlite_store, "stripe", "one-off", "bert")
    work(sqlite_store, some_settings(sqlite_url, SETTLE_SECONDS="600"))

    ended = cli("explain", "evt_bert_1")

    assert "  waiting, customer cus_bert; will be settled 2" in ended.out
    assert "Notes of the ledger\n  none yet\n" in ended.out


def test_no_personal_detail_is_explained(cli: Command, lived: Store) -> None:
    output = "".join(cli("explain", f"evt_ada_{number}").out for number in range(1, 19))

    assert "@" not in output
    assert "fp_ada" not in output
