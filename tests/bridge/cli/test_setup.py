"""`setup` and `reconcile`: configuring a processor, and webhooks that never arrived."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from bridge.store import Store, outbox
from processors.stripe.simulation.customer import Customer
from processors.stripe.simulation.payloads import listed
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import BORN, work
from tests.settings import STRIPE_SECRET, some_settings

KEY = "rk_live_fake_key_of_the_tests"
STRIPE = "https://api.stripe.com/v1"


@pytest.fixture(name="stripe")
def _stripe() -> Iterator[responses.RequestsMock]:
    """Stripe's API, as this process sees it."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def mrr(store: Store) -> list[tuple[str, str, str]]:
    with store.reading() as tx:
        return [(one.event_type, str(one.amount), str(one.mrr_impact)) for one in outbox.listing(tx)]


# ---- Reconcile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("import", "--no-send"), ("reconcile",)])
def test_without_a_key_there_is_nothing_to_ask_with(cli: Command, command: tuple[str, ...]) -> None:
    ended = cli(*command, "--source", "stripe")

    assert ended.status == 2
    assert ended.err == "source stripe has no API key to read Stripe: set STRIPE_API_KEY to a read-only key\n"


def test_the_key_that_a_source_of_the_file_lacks_is_named_as_it_is_written_there(cli: Command, tmp_path: Path) -> None:
    table = f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\n'
    (tmp_path / "own.toml").write_text(table, encoding="utf-8")

    ended = cli("import", "--no-send", "--source", "shop", BRIDGE_CONFIG=str(tmp_path / "own.toml"))

    assert ended.status == 2
    assert ended.err == "source shop has no API key to read Stripe: set [sources.shop] api_key to a read-only key\n"


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


def test_days_whose_events_are_no_longer_listed_are_named_with_what_to_do(
    cli: Command, stripe: responses.RequestsMock
) -> None:
    stripe.add("GET", re.compile(f"{STRIPE}/events"), json=listed([]))

    ended = cli("reconcile", "--source", "stripe", "--days", "60", STRIPE_API_KEY=KEY)

    first = (datetime.now(UTC) - timedelta(days=60)).date()
    asked = [parse_qs(urlsplit(str(call.request.url)).query)["created[gte]"][0] for call in stripe.calls]
    oldest = datetime.fromtimestamp(min(map(int, asked)), UTC)
    assert timedelta(days=29, hours=23) < datetime.now(UTC) - oldest < timedelta(days=30, minutes=5)
    assert ended.out == "0 events in the last 30 days; 0 were missing and are now stored.\n"
    assert ended.err == (
        "Stripe keeps events for 30 days, so earlier ones were not looked at. Compare the payments, refunds and"
        " subscriptions of these days, and store what is missing:"
        f" pulsora-bridge audit --source stripe --from {first} --repair\n"
    )
