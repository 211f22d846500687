"""`simulate`: signed webhooks of a lifecycle, sent to a bridge over HTTP, and its responses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug.serving import make_server

from bridge.cli.simulate import TOLERANCE
from bridge.store import Store, inbox, outbox
from bridge.store.outbox import DeliveryStatus
from bridge.web import create_app
from processors import processors
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import work
from tests.bridge.store.builders import statuses
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, some_settings

SIGNUP = [f"evt_ada_{number}" for number in range(1, 11)]


@pytest.fixture(name="url")
def _url(sqlite_store: Store, sqlite_url: str) -> Iterator[str]:
    """The address of a bridge's web side."""
    server = make_server("127.0.0.1", 0, create_app(some_settings(sqlite_url), sqlite_store), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_scenarios_are_listed(bare: Command) -> None:
    for args in (("stripe", "--list"), ("stripe",)):
        ended = bare("simulate", *args)

        assert ended.status == 0
        assert ended.out.startswith("Scenarios of Stripe\n")
        assert "one-off Buys something for 29.00, once." in " ".join(ended.out.split())


def test_a_scenario_arrives_and_each_answer_is_shown(bare: Command, url: str, sqlite_store: Store) -> None:
    ended = bare("simulate", "stripe", "signup", "--url", url, "--secret", STRIPE_SECRET, "--tag", "ada")

    assert ended.status == 0
    assert "  customer.subscription.created  evt_ada_2      200  stored" in ended.out
    assert ended.out.endswith("10 webhooks: 10 x 200 stored\n")
    assert sorted(statuses(sqlite_store)) == sorted(SIGNUP)


def test_the_secret_and_the_address_are_those_of_the_settings(
    bare: Command, url: str, sqlite_store: Store, tmp_path: Path
) -> None:
    port = url.rpartition(":")[2]
    (tmp_path / "own.env").write_text(f"STRIPE_WEBHOOK_SECRET={STRIPE_SECRET},whsec_old\nBIND=0.0.0.0:{port}\n")

    ended = bare("--env-file", str(tmp_path / "own.env"), "simulate", "stripe", "one-off", "--tag", "ada")

    assert ended.status == 0, ended.err
    assert f"Sent to http://127.0.0.1:{port}/webhooks/stripe\n" in ended.out
    assert len(statuses(sqlite_store)) == 3


def test_a_source_of_the_file_has_its_own_route_and_secret(
    bare: Command, httpserver: HTTPServer, tmp_path: Path
) -> None:
    httpserver.expect_request("/webhooks/shop").respond_with_json({"duplicate": False})
    (tmp_path / "own.toml").write_text(f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\n')

    where = ("--source", "shop", "--url", httpserver.url_for("/"))
    ended = bare("simulate", "stripe", "one-off", *where, BRIDGE_CONFIG=str(tmp_path / "own.toml"))

    assert (ended.status, len(httpserver.log)) == (0, 3)
    request = httpserver.log[0][0]
    processors()["stripe"].verify(request.data, dict(request.headers), [STRIPE_SECRET], datetime.now(UTC), TOLERANCE)


def modes(store: Store) -> set[tuple[str, bool]]:
    with store.reading() as tx:
        return {(row.source, row.livemode) for row in inbox.listing(tx)}


@pytest.mark.parametrize(("name", "secret"), [("stripe", STRIPE_SECRET), ("paddle", PADDLE_SECRET)])
def test_a_scenario_is_test_traffic_that_is_not_forwarded(
    bare: Command, url: str, sqlite_store: Store, sqlite_url: str, name: str, secret: str
) -> None:
    ended = bare("simulate", name, "signup", "--url", url, "--secret", secret)
    work(sqlite_store, some_settings(sqlite_url))

    assert ended.status == 0
    assert modes(sqlite_store) == {(name, False)}
    with sqlite_store.reading() as tx:
        assert [one.status for one in outbox.listing(tx)] == [DeliveryStatus.NOT_FORWARDED]


@pytest.mark.parametrize(("name", "secret"), [("stripe", STRIPE_SECRET), ("paddle", PADDLE_SECRET)])
def test_a_scenario_is_live_when_that_is_confirmed(
    bare: Command, url: str, sqlite_store: Store, name: str, secret: str
) -> None:
    bare("simulate", name, "signup", "--url", url, "--secret", secret, "--live", "--yes")

    assert modes(sqlite_store) == {(name, True)}


def test_live_traffic_that_nobody_can_confirm_is_not_sent(bare: Command, url: str, sqlite_store: Store) -> None:
    ended = bare("simulate", "stripe", "signup", "--url", url, "--secret", STRIPE_SECRET, "--live")

    assert ended.status == 2
    assert ended.err == (
        f"The bridge at {url} will send this revenue to its Pulsora project as if it were real. Add --yes to confirm\n"
    )
    assert modes(sqlite_store) == set()


@pytest.mark.parametrize(("answer", "sent"), [(True, {("stripe", True)}), (False, set())])
def test_live_traffic_is_confirmed_on_a_terminal(
    bare: Command,
    url: str,
    sqlite_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    sent: set[tuple[str, bool]],
) -> None:
    monkeypatch.setattr("bridge.cli.confirmation.is_interactive", lambda: True)
    monkeypatch.setattr("bridge.cli.confirmation.ask", lambda question: answer)

    ended = bare("simulate", "stripe", "signup", "--url", url, "--secret", STRIPE_SECRET, "--live")

    assert ended.status == (0 if answer else 1)
    assert modes(sqlite_store) == sent


def test_paddle_classic_cannot_mark_test_traffic_and_needs_to_be_sent_as_live(bare: Command, url: str) -> None:
    ended = bare("simulate", "paddle-classic", "signup", "--url", url, "--secret", "-")

    assert ended.status == 2
    assert ended.err.startswith("Paddle Classic's webhooks do not state whether they are test traffic; ")


def test_a_scenario_arrives_out_of_order_and_twice_when_asked_for(bare: Command, url: str) -> None:
    where = ("--url", f"{url}/webhooks/stripe", "--secret", STRIPE_SECRET, "--tag", "ada")

    ended = bare("simulate", "stripe", "signup", *where, "--shuffle", "--duplicate")

    sent = [line.split()[1] for line in ended.out.splitlines() if " evt_ada_" in line and " 200 " in line]
    assert sorted(sent) == sorted(SIGNUP * 2)
    assert sent != SIGNUP * 2
    assert ended.out.endswith("20 webhooks: 10 x 200 stored, 10 x 200 duplicate\n")


def test_a_wrong_secret_is_shown_and_the_status_is_1(bare: Command, url: str) -> None:
    ended = bare("simulate", "stripe", "one-off", "--url", url, "--secret", "whsec_another_fake_secret")

    assert ended.status == 1
    assert ended.out.endswith("3 webhooks: 3 x 400 The signature matches none of the configured secrets.\n")


def test_a_source_that_is_not_configured_is_shown(bare: Command, url: str) -> None:
    ended = bare("simulate", "stripe", "one-off", "--url", f"{url}/webhooks/other", "--secret", STRIPE_SECRET)

    assert ended.status == 1
    assert "3 webhooks: 3 x 404 " in ended.out


def test_a_bridge_that_does_not_run_is_one_line(bare: Command) -> None:
    ended = bare("simulate", "stripe", "one-off", "--url", "http://127.0.0.1:9", "--secret", STRIPE_SECRET)

    assert ended.status == 1
    assert ended.err.startswith("http://127.0.0.1:9/webhooks/stripe is unreachable: ")
    assert ended.err.endswith("the connection was refused. Is the bridge running?\n")


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(bare: Command, url: str) -> None:
    where = ("--url", url, "--secret", STRIPE_SECRET)

    ended = bare(
        "simulate", "stripe", "one-off", *where, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    )

    assert ended.status == 0


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("stripe", "nothing"), "nothing: no such scenario. Choose one of lifecycle, signup, "),
        (
            ("stripe", "signup"),
            "--secret: STRIPE_WEBHOOK_SECRET is not set; give the secret that the bridge expects, or @FILE",
        ),
        (("stripe", "signup", "--source", "shop"), "--source: shop is no Stripe source of BRIDGE_CONFIG"),
        (("stripe", "signup", "--source", "paddle"), "--source: paddle is no Stripe source of BRIDGE_CONFIG"),
        (("stripe", "signup", "--secret", "@/nowhere"), "--secret: /nowhere cannot be read (FileNotFoundError)"),
    ],
)
def test_what_is_missing_is_said(bare: Command, args: tuple[str, ...], problem: str) -> None:
    ended = bare("simulate", *args)

    assert ended.status == 2
    assert ended.err.startswith(problem)
