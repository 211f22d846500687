"""`init` end to end, against fakes of both APIs that check each request as documented."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import Store
from processors import processors
from tests.bridge.cli.conftest import Command, Ended
from tests.bridge.cli.working import arrive
from tests.fake_processors import (
    PADDLE_KEY,
    STRIPE_KEY,
    STRIPE_PERMISSIONS,
    STRIPE_TEST_KEY,
    FakePaddle,
    FakeStripe,
)
from tests.settings import ADMIN_TOKEN, TOKEN

PUBLIC = "https://127.0.0.1:9"
EVENTS = list(processors()["stripe"].event_types)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.http_client.MAX_WAIT_SECONDS", 0.0)  # the waits between attempts


def init(bare: Command, base: str, *args: str, key: str = STRIPE_KEY, processor: str = "stripe") -> Ended:
    name = f"{processor.upper()}_API_BASE"
    with FakePulsora(TOKEN) as ingest:
        return bare(
            "init", "--processor", processor, "--api-key", key, "--pulsora-token", TOKEN, "--url", PUBLIC, "--no-wait",
            *args, **{name: base, "PULSORA_ENDPOINT": ingest.endpoint},
        )  # fmt: skip


def settings_in(path: str = ".env") -> dict[str, str]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_from_nothing_to_a_checked_bridge(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()

    ended = init(bare, fake.serve(httpserver))

    assert ended.status == 0, ended.out + ended.err
    stored = settings_in()
    assert len(stored.pop("ADMIN_TOKEN")) == 48
    assert stored == {
        "STRIPE_API_KEY": STRIPE_KEY,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PUBLIC_URL": PUBLIC,
        "STRIPE_WEBHOOK_SECRET": "whsec_fake_of_we_1",
    }
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert [(one["url"], one["enabled_events"]) for one in fake.endpoints] == [(f"{PUBLIC}/webhooks/stripe", EVENTS)]
    assert "STRIPE_API_KEY has every permission that the bridge needs" in ended.out
    assert "whsec_fake" not in ended.out + ended.err


def test_it_can_be_run_again(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    base = fake.serve(httpserver)
    init(bare, base)
    before = Path(".env").read_text(encoding="utf-8")

    ended = init(bare, base)

    assert ended.status == 0
    assert Path(".env").read_text(encoding="utf-8") == before
    assert len(fake.endpoints) == 1


def test_an_existing_endpoint_is_completed_and_its_other_events_stay(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    fake.add(f"{PUBLIC}/webhooks/stripe", ["payout.paid"], status="disabled")

    ended = init(bare, fake.serve(httpserver), "--webhook-secret", "whsec_from_the_dashboard")

    assert ended.status == 0, ended.out + ended.err
    assert settings_in()["STRIPE_WEBHOOK_SECRET"] == "whsec_from_the_dashboard"
    assert [one["enabled_events"] for one in fake.endpoints] == [["payout.paid", *EVENTS]]


def test_an_existing_endpoint_without_its_secret_says_where_the_secret_is(
    bare: Command, httpserver: HTTPServer
) -> None:
    fake = FakeStripe()
    fake.add(f"{PUBLIC}/webhooks/stripe", EVENTS)

    ended = init(bare, fake.serve(httpserver))

    assert ended.status == 2
    assert "Open we_1 in the dashboard of Stripe, reveal its secret" in ended.err
    assert ended.err.endswith("--webhook-secret: is missing. Give it as an option, or run init on a terminal\n")


def test_a_network_fault_midway_doubles_nothing(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe(lost=4)  # the endpoint is made, and all four responses are lost
    base = fake.serve(httpserver)

    first = init(bare, base)
    again = init(bare, base)

    assert first.status == 1
    assert first.err.endswith("responded 502. Run init again: nothing is done twice\n")
    assert again.status == 0, again.out + again.err
    assert settings_in()["STRIPE_WEBHOOK_SECRET"] == "whsec_fake_of_we_1"
    assert len(fake.endpoints) == 1


def test_a_missing_permission_is_named_and_nothing_is_made(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_webhook_write", "rak_plan_read"})

    ended = init(bare, fake.serve(httpserver))

    assert ended.status == 1
    assert "The API key lacks the permission rak_plan_read: tiers and intervals of prices will not work." in ended.err
    assert "The Stripe API key lacks the permission rak_webhook_write" in ended.err
    assert fake.endpoints == []


def test_a_key_of_test_mode_has_to_be_meant(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    base = fake.serve(httpserver)

    refused = init(bare, base, key=STRIPE_TEST_KEY)
    meant = init(bare, base, "--test", key=STRIPE_TEST_KEY)

    assert refused.status == 2
    assert refused.err.startswith("--api-key: is of test mode")
    assert meant.status == 0, meant.out + meant.err
    assert [one["livemode"] for one in fake.endpoints] == [False]


def test_a_wrong_key_is_asked_for_again_before_anything_is_stored(
    bare: Command, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([STRIPE_KEY, "none"])  # the key, the service file
    monkeypatch.setattr("bridge.cli.init.is_interactive", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))

    ended = init(bare, FakeStripe().serve(httpserver), key=STRIPE_TEST_KEY)

    assert ended.status == 0, ended.err
    assert "Stripe API key: is of test mode: its webhooks are test traffic." in ended.err
    assert settings_in()["STRIPE_API_KEY"] == STRIPE_KEY


def test_paddle_end_to_end_and_again_after_a_lost_response(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakePaddle(lost=1)
    base = fake.serve(httpserver)

    first = init(bare, base, key=PADDLE_KEY, processor="paddle")
    again = init(bare, base, key=PADDLE_KEY, processor="paddle")

    assert (first.status, again.status) == (0, 0), first.out + first.err
    assert settings_in()["PADDLE_WEBHOOK_SECRET"] == "pdl_ntfset_fake_of_1"
    assert [one["destination"] for one in fake.settings] == [f"{PUBLIC}/webhooks/paddle"]


def test_another_file_of_settings_keeps_its_other_lines(bare: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    Path("live.env").write_text("# ours\nHOLD_HOURS=2\nPUBLIC_URL=https://old.example.com\n", encoding="utf-8")
    with FakePulsora(TOKEN) as ingest:
        ended = bare(
            "--env-file", "live.env", "init", "--processor", "stripe", "--url", PUBLIC, "--no-wait",
            STRIPE_API_BASE=fake.serve(httpserver), STRIPE_API_KEY=STRIPE_KEY, PULSORA_SECRET_TOKEN=TOKEN,
            PULSORA_ENDPOINT=ingest.endpoint, ADMIN_TOKEN=ADMIN_TOKEN,
        )  # fmt: skip

    assert ended.status == 0, ended.out + ended.err
    assert Path("live.env").read_text(encoding="utf-8") == (
        f"# ours\nHOLD_HOURS=2\nPUBLIC_URL={PUBLIC}\nSTRIPE_WEBHOOK_SECRET=whsec_fake_of_we_1\n"
    )
    assert not Path(".env").exists()


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("systemd", "pulsora-bridge.service", '/.env" serve\n'),
        ("compose", "compose.yaml", "      127.0.0.1 {\n"),
    ],
)
def test_the_service_file_is_written_and_a_foreign_one_is_left(
    bare: Command, httpserver: HTTPServer, kind: str, name: str, text: str
) -> None:
    base = FakeStripe().serve(httpserver)

    init(bare, base, "--service", kind)
    assert text in Path(name).read_text(encoding="utf-8")
    Path(name).write_text("ours", encoding="utf-8")
    init(bare, base, "--service", kind)

    assert Path(name).read_text(encoding="utf-8") == "ours"
    assert text in Path(f"{name}.new").read_text(encoding="utf-8")


def test_it_waits_for_the_first_signed_webhook(
    bare: Command, httpserver: HTTPServer, sqlite_store: Store, sqlite_url: str
) -> None:
    base = FakeStripe().serve(httpserver)
    later = threading.Timer(1.0, lambda: arrive(sqlite_store, "stripe", "signup"))
    later.start()

    with FakePulsora(TOKEN) as ingest:
        ended = bare(
            "init", "--processor", "stripe", "--api-key", STRIPE_KEY, "--pulsora-token", TOKEN, "--url", PUBLIC,
            STRIPE_API_BASE=base, PULSORA_ENDPOINT=ingest.endpoint, DATABASE_URL=sqlite_url,
        )  # fmt: skip
    later.join()

    assert ended.status == 0, ended.out + ended.err
    assert f"Waiting for the first signed webhook at {PUBLIC}/webhooks/stripe" in ended.out
    assert ended.out.endswith("stripe is connected.\n")


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "--processor: is missing"),
        (("--processor", "stripe", "--api-key", "sk_live_all"), "--api-key: is a full secret key (sk_live_…)"),
        (("--processor", "stripe", "--api-key", "rk_live_…"), "--api-key: is still the placeholder"),
        (
            ("--processor", "stripe", "--api-key", STRIPE_KEY, "--pulsora-token", "pub_x"),
            "--pulsora-token: is a public token",
        ),
    ],
)
def test_a_script_gets_an_error_that_names_what_is_missing_or_wrong(
    bare: Command, args: tuple[str, ...], error: str
) -> None:
    ended = bare("init", *args)

    assert ended.status == 2
    assert error in ended.err
    assert not Path(".env").exists()
