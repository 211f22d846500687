"""`setup`: the steps by hand, and the endpoint through the API, against fakes of both."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from processors import processors
from tests.bridge.cli.conftest import Command
from tests.fake_processors import (
    PADDLE_KEY,
    STRIPE_KEY,
    STRIPE_PERMISSIONS,
    STRIPE_TEST_KEY,
    FakePaddle,
    FakeStripe,
)

URL = "https://hooks.example.com/webhooks/stripe"
EVENTS = list(processors()["stripe"].event_types)


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


def test_an_address_that_is_the_route_already_is_not_doubled(bare: Command) -> None:
    assert bare("setup", "stripe", "--json", "--url", URL).json["url"] == URL


@pytest.mark.parametrize(
    "url", ["hooks.example.com", "http://hooks.example.com", "https://hooks.example.com/webhooks/x"]
)
def test_an_address_that_no_processor_can_use_is_refused(bare: Command, url: str) -> None:
    ended = bare("setup", "stripe", "--url", url)

    assert ended.status == 2
    assert ended.err.startswith("--url: must be")


def test_an_unknown_name_is_refused(bare: Command) -> None:
    ended = bare("setup", "shop")

    assert ended.status == 2
    assert ended.err.startswith("shop is neither a processor (stripe, paddle, paddle-classic) nor a source")


# ---- Through the API -------------------------------------------------------------------------------------------


def test_create_makes_the_endpoint_once_and_stores_its_secret(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    settings = {"STRIPE_API_BASE": fake.serve(httpserver), "STRIPE_API_KEY": STRIPE_KEY, "PUBLIC_URL": URL[:25]}

    first = bare("setup", "stripe", "--create", **settings)
    again = bare("setup", "stripe", "--create", **settings)

    count = len(EVENTS)
    assert first.out == (
        f"Created the endpoint we_1 for {URL} with {count} events.\nIts secret is in .env as STRIPE_WEBHOOK_SECRET.\n"
    )
    assert again.out.startswith(f"The endpoint we_1 for {URL} exists and has all needed events.\n")
    assert Path(".env").read_text(encoding="utf-8") == "STRIPE_WEBHOOK_SECRET=whsec_fake_of_we_1\n"
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert [(one["url"], one["enabled_events"]) for one in fake.endpoints] == [(URL, EVENTS)]


def test_update_merges_events_enables_and_keeps_those_of_others(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    fake.add(URL, ["payout.paid", EVENTS[0]], status="disabled")
    settings = {"STRIPE_API_BASE": fake.serve(httpserver), "STRIPE_API_KEY": STRIPE_KEY, "PUBLIC_URL": URL[:25]}

    ended = bare("setup", "stripe", "--update", STRIPE_WEBHOOK_SECRET="whsec_fake", **settings)

    assert ended.status == 0
    assert fake.endpoints[0]["status"] == "enabled"
    assert fake.endpoints[0]["enabled_events"] == ["payout.paid", *EVENTS]


def test_update_makes_no_endpoint(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()

    ended = bare("setup", "stripe", "--update", "--url", URL, STRIPE_API_BASE=fake.serve(httpserver),
                 STRIPE_API_KEY=STRIPE_KEY)  # fmt: skip

    assert (ended.status, fake.endpoints) == (1, [])
    assert ended.err == f"no endpoint has the URL {URL}. Create it: pulsora-bridge setup stripe --create\n"


def test_the_secret_of_an_endpoint_made_by_hand_is_asked_for(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    fake.add(URL, EVENTS)

    ended = bare("setup", "stripe", "--create", "--url", URL, STRIPE_API_BASE=fake.serve(httpserver),
                 STRIPE_API_KEY=STRIPE_KEY)  # fmt: skip

    assert ended.status == 1
    assert "Open we_1 in the dashboard of Stripe, reveal its secret and set STRIPE_WEBHOOK_SECRET" in ended.out


def test_two_endpoints_of_one_address_are_left_alone(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    for _ in range(2):
        fake.add(URL, EVENTS)

    ended = bare("setup", "stripe", "--create", "--url", URL, STRIPE_API_BASE=fake.serve(httpserver),
                 STRIPE_API_KEY=STRIPE_KEY)  # fmt: skip

    assert (ended.status, len(fake.endpoints)) == (1, 2)
    assert ended.err.startswith("2 endpoints have this URL (we_1, we_2): each webhook arrives more than once.")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, ""),
        ({"status": "disabled"}, "we_1 is disabled: nothing is sent. Cure it: pulsora-bridge setup stripe --update"),
        ({"livemode": False}, "we_1 is an endpoint of test mode, not of live mode"),
        ({"url": "https://old.example.com/webhooks/stripe"}, f"no endpoint has the URL {URL}. There is https://old"),
        ({"enabled_events": EVENTS[1:]}, f"we_1 does not send {EVENTS[0]}"),
    ],
)
def test_check_names_each_fault(bare: Command, httpserver: HTTPServer, more: dict[str, object], text: str) -> None:
    fake = FakeStripe()
    fake.add(URL, EVENTS)
    fake.endpoints[0].update(more)

    ended = bare("setup", "stripe", "--check", "--url", URL, STRIPE_API_BASE=fake.serve(httpserver),
                 STRIPE_API_KEY=STRIPE_KEY)  # fmt: skip

    assert ended.status == (1 if text else 0)
    assert ended.out.startswith(text or f"The endpoint {URL} is enabled")


def test_a_key_of_the_other_mode_is_refused(bare: Command, httpserver: HTTPServer) -> None:
    base = FakeStripe().serve(httpserver)

    test = bare("setup", "stripe", "--create", "--url", URL, STRIPE_API_BASE=base, STRIPE_API_KEY=STRIPE_TEST_KEY)
    live = bare("setup", "stripe", "--create", "--test", "--url", URL, STRIPE_API_KEY=STRIPE_KEY)

    assert test.err.startswith("STRIPE_API_KEY: is of test mode: its webhooks are test traffic. ")
    assert live.err.startswith("STRIPE_API_KEY: is of live mode: leave out --test")
    assert (test.status, live.status) == (2, 2)


def test_the_key_of_a_source_of_the_file_is_named_as_it_is_written_there(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[sources.shop]\nprocessor = "stripe"\n', encoding="utf-8")

    ended = bare(
        "setup", "shop", "--create", "--url", "https://hooks.example.com", BRIDGE_CONFIG=str(tmp_path / "own.toml")
    )

    assert ended.status == 2
    assert ended.err.startswith("[sources.shop] api_key: is not set. Create one: https://dashboard.stripe.com/apikeys/")


def test_a_missing_permission_is_named(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_webhook_write"})

    ended = bare("setup", "stripe", "--create", "--url", URL, STRIPE_API_BASE=fake.serve(httpserver),
                 STRIPE_API_KEY=STRIPE_KEY)  # fmt: skip

    assert ended.status == 1
    assert ended.err == "The Stripe API key lacks the permission rak_webhook_write, to write webhook endpoints\n"


def test_a_source_of_the_configuration_file_has_its_secret_in_a_file(
    bare: Command, httpserver: HTTPServer, tmp_path: Path
) -> None:
    fake = FakePaddle()
    config = tmp_path / "bridge.toml"
    config.write_text(
        f'[sources.shop]\nprocessor = "paddle"\napi_key = "{PADDLE_KEY}"\n'
        f'paddle_api_base = "{fake.serve(httpserver)}"\n',
        encoding="utf-8",
    )

    ended = bare("setup", "shop", "--create", BRIDGE_CONFIG=str(config), PUBLIC_URL="https://hooks.example.com")

    secret = tmp_path / "shop.webhook_secret"
    assert fake.settings[0]["destination"] == "https://hooks.example.com/webhooks/shop"
    assert secret.read_text(encoding="utf-8") == "pdl_ntfset_fake_of_1\n"
    assert ended.out.endswith(f'In [sources.shop] set: webhook_secret_file = "{secret}"\n')
