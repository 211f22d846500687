"""`setup`, `import`, `reconcile`: configuring a processor, existing subscriptions, webhooks that never arrived."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from bridge.store import Store, inbox, outbox
from processors import processors
from processors.stripe.simulation.customer import Customer
from processors.stripe.simulation.payloads import item, listed, price, subscription
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import BORN, work
from tests.bridge.store.builders import statuses
from tests.settings import some_settings

KEY = "rk_live_fake_key_of_the_tests"
STRIPE = "https://api.stripe.com/v1"


@pytest.fixture(name="stripe")
def _stripe() -> Iterator[responses.RequestsMock]:
    """Stripe's API, as this process sees it."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def running(ident: str, minor: int) -> dict[str, Any]:
    """An active monthly subscription of a customer of its own."""
    priced = price(f"price_{ident}", minor=minor, nickname="Pro")
    period = (BORN, BORN.replace(month=2))
    row = item(f"si_{ident}", priced, subscription=f"sub_{ident}", period=period)
    return subscription(f"sub_{ident}", customer=f"cus_{ident}", items=[row], started_at=BORN, period=period)


def mrr(store: Store) -> list[tuple[str, str, str]]:
    with store.reading() as tx:
        return [(one.event_type, str(one.amount), str(one.mrr_impact)) for one in outbox.listing(tx)]


# ---- Setup -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(processors()))
def test_setup_says_where_to_click_which_events_and_where_the_secret_goes(bare: Command, name: str) -> None:
    processor = processors()[name]

    lines = bare("setup", name, "--url", "https://hooks.example.org/").out.splitlines()

    assert any(f"https://hooks.example.org/webhooks/{name}" in line for line in lines)
    assert [line.strip() for line in lines if line.startswith("     ")] == list(processor.event_types)
    assert lines[-2].partition(". ")[2].startswith("Put the secret into your settings: ")
    assert processor.secret.name in lines[-2]


def test_setup_for_programs(bare: Command) -> None:
    ended = bare("setup", "paddle", "--json")

    assert ended.json["url"] == "https://hooks.example.com/webhooks/paddle"
    assert ended.json["setting"] == "PADDLE_WEBHOOK_SECRET"
    assert "transaction.completed" in ended.json["events"]


# ---- Import ----------------------------------------------------------------------------------------------------


def test_imported_subscriptions_are_silent_baselines(
    cli: Command, sqlite_store: Store, sqlite_url: str, stripe: responses.RequestsMock
) -> None:
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada", 4900), running("bert", 9900)]))

    first = cli("import", "--source", "stripe", STRIPE_API_KEY=KEY)
    again = cli("import", "--source", "stripe", STRIPE_API_KEY=KEY)
    work(sqlite_store, some_settings(sqlite_url))

    assert first.out.startswith(
        "2 subscriptions imported from stripe, 2 of them new. A worker turns each into a baseline"
    )
    assert again.out.startswith("2 subscriptions imported from stripe, 0 of them new. ")
    assert mrr(sqlite_store) == []


def test_an_imported_subscription_is_known_when_it_moves(
    cli: Command, sqlite_store: Store, sqlite_url: str, stripe: responses.RequestsMock
) -> None:
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada_1", 4900)]))
    cli("import", "--source", "stripe", STRIPE_API_KEY=KEY)
    work(sqlite_store, some_settings(sqlite_url))

    explained = [cli("explain", event_id).out for event_id in statuses(sqlite_store)]

    [text] = explained
    assert "sub_ada_1 (Pro): active, MRR 49.00 USD, of which 49.00 USD baseline" in text


def test_imported_subscriptions_are_told_when_asked_for(
    cli: Command, sqlite_store: Store, sqlite_url: str, stripe: responses.RequestsMock
) -> None:
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada", 4900)]))

    cli("import", "--source", "stripe", "--send", STRIPE_API_KEY=KEY)
    work(sqlite_store, some_settings(sqlite_url))

    assert mrr(sqlite_store) == [("subscription", "0.00", "49.00")]


def test_test_mode_has_a_ledger_of_its_own(
    cli: Command, sqlite_store: Store, sqlite_url: str, stripe: responses.RequestsMock
) -> None:
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada", 4900)]))

    cli("import", "--source", "stripe", "--test", STRIPE_API_KEY=KEY)

    with sqlite_store.reading() as tx:
        assert [row.scope for row in inbox.listing(tx)] == ["stripe||test"]


def test_what_was_taken_before_the_api_failed_is_told(
    cli: Command, stripe: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # Stripe's API is asked again, with waits
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada", 4900)], has_more=True))
    stripe.get(f"{STRIPE}/subscriptions", status=403, json={"error": {"message": "no"}})

    ended = cli("import", "--source", "stripe", STRIPE_API_KEY=KEY)

    assert ended.status == 1
    assert ended.err.endswith("1 subscription imported. Run it again; nothing is imported twice\n")
    assert KEY not in ended.err


@pytest.mark.parametrize("command", ["import", "reconcile"])
def test_without_a_key_there_is_nothing_to_ask_with(cli: Command, command: str) -> None:
    ended = cli(command, "--source", "stripe")

    assert ended.status == 2
    assert ended.err == "source stripe has no API key to read Stripe: set STRIPE_API_KEY to a read-only key\n"


# ---- Reconcile -------------------------------------------------------------------------------------------------


def test_what_never_arrived_is_stored_as_if_it_had(
    cli: Command, sqlite_store: Store, sqlite_url: str, stripe: responses.RequestsMock
) -> None:
    bodies = Customer.begin("ada", BORN).subscribe().webhooks
    today = int(datetime.now(UTC).timestamp()) - 3600
    happened = [{**json.loads(body), "created": today} for body in bodies]

    def response(request: Any) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(request.url).query)
        since, until = int(asked["created[gte]"][0]), int(asked["created[lt]"][0])
        found = [one for one in happened if since <= one["created"] < until and one["type"] in asked["types[]"]]
        return 200, {}, json.dumps(listed(found))

    stripe.add_callback("GET", re.compile(f"{STRIPE}/events"), callback=response)

    first = cli("reconcile", "--source", "stripe", "--days", "1", STRIPE_API_KEY=KEY)
    again = cli("reconcile", "--source", "stripe", "--days", "1", STRIPE_API_KEY=KEY)
    work(sqlite_store, some_settings(sqlite_url))

    assert first.out.endswith(" were missing and are now stored.\n")
    assert again.out.endswith("; 0 were missing and are now stored.\n")
    assert mrr(sqlite_store) == [("subscription", "49.00", "49.00")]
