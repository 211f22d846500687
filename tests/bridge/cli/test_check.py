"""`check`: its findings, and that it changes and sends nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from bridge.cli.connectivity import check_clock
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sender.destinations import Destination
from bridge.store import Store, leases, outbox, pauses, refusals, rejected_visits
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from bridge.store.rejected_visits import RejectedVisits
from processors import processors
from processors.values import replace
from tests.bridge.cli.conftest import Command, Ended
from tests.bridge.store.builders import NOON, a_delivery
from tests.fake_processors import STRIPE_KEY, STRIPE_PERMISSIONS, FakeStripe
from tests.settings import TOKEN

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
OFF = "differs by 5 min from the endpoint's. Valid webhook signatures will be rejected as stale: set up NTP"


def found(ended: Ended, about: str) -> list[tuple[str, str]]:
    """The grades and texts of the findings about a subject."""
    return [(one["grade"], one["text"]) for one in ended.json if one["about"] == about]


def test_a_running_bridge_has_no_problem(cli: Command, sqlite_store: Store, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/readyz").respond_with_data("")
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "worker", datetime.now(UTC))

    with FakePulsora(TOKEN) as ingest:
        ended = cli("check", "--json", PULSORA_ENDPOINT=ingest.endpoint, BIND=f"127.0.0.1:{httpserver.port}")

    assert ended.status == 0
    assert {one["grade"] for one in ended.json} == {"ok"}
    assert ingest.received == ()


def test_people_get_a_table(cli: Command) -> None:
    with FakePulsora(TOKEN) as ingest:
        ended = cli("check", PULSORA_ENDPOINT=ingest.endpoint)

    assert ended.status == 1
    assert "  ok       source stripe   webhooks at /webhooks/stripe; 1 webhook secret; Pulsora token set;" in ended.out
    assert "  problem  worker          none is running. Start one: pulsora-bridge serve (or worker)" in ended.out


def test_settings_that_cannot_be_used_are_each_a_problem_and_the_status_is_2(bare: Command) -> None:
    ended = bare("check", "--json", STRIPE_WEBHOOK_SECRET="sk_live_wrong", SENDER_THREADS="many")

    assert ended.status == 2
    assert [(one["about"], one["grade"]) for one in ended.json] == [
        ("SENDER_THREADS", "problem"),
        ("PULSORA_SECRET_TOKEN", "problem"),
        ("STRIPE_WEBHOOK_SECRET", "problem"),
    ]


def test_nothing_secret_is_shown(cli: Command) -> None:
    ended = cli("check", STRIPE_API_KEY="rk_live_fake_key_of_the_tests", ADMIN_TOKEN="short")

    for secret in ("fake_secret", "fake_token", "fake_key", "short\n"):
        assert secret not in ended.out + ended.err


# ---- Settings that are right, and yet… -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("DRY_RUN", "1", "DRY_RUN: webhooks are processed, nothing is sent to Pulsora"),
        (
            "FORWARD_TEST_EVENTS",
            "1",
            "FORWARD_TEST_EVENTS: test-mode revenue is sent to Pulsora as if it were real",
        ),
        (
            "UNATTRIBUTED",
            "drop",
            "UNATTRIBUTED=drop: revenue without attribution is never sent, so Pulsora's totals are too low",
        ),
    ],
)
def test_settings_that_change_the_totals_are_pointed_out(cli: Command, setting: str, value: str, text: str) -> None:
    ended = cli("check", "--json", **{setting: value})

    assert ("warning", text) in found(ended, "source stripe")


def test_a_name_that_is_no_setting_is_a_warning(cli: Command) -> None:
    ended = cli("check", "--json", SETTLE_SECOND="30")

    assert found(ended, "SETTLE_SECOND") == [("warning", "is set, but is not a setting. Did you mean SETTLE_SECONDS?")]


def test_an_admin_token_that_can_be_guessed_is_a_warning(cli: Command) -> None:
    ended = cli("check", "--json", ADMIN_TOKEN="letmein")

    assert found(ended, "admin token") == [("warning", "shorter than 16 characters: choose a longer ADMIN_TOKEN")]


# ---- The database ----------------------------------------------------------------------------------------------


def test_a_database_that_was_not_made_yet_is_no_problem(cli: Command, tmp_path: Path) -> None:
    ended = cli("check", "--json", DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")

    assert found(ended, "database") == [
        ("warning", f"{tmp_path / 'new.db'} does not exist yet. serve and migrate create it")
    ]
    assert not (tmp_path / "new.db").exists()


def test_a_database_in_a_folder_that_cannot_be_made_is_a_problem(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = cli("check", "--json", DATABASE_URL=f"sqlite:///{tmp_path}/file/bridge.db")

    assert ended.status == 1
    assert found(ended, "database") == [
        ("problem", f"{tmp_path}/file cannot be written. Change its owner, or DATABASE_URL")
    ]


def test_settings_and_a_database_that_others_can_read_are_warnings(
    cli: Command, sqlite_store: Store, sqlite_url: str
) -> None:
    Path(".env").write_text("HOLD_HOURS=2\n", encoding="utf-8")
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    for path in (Path(".env"), database):
        path.chmod(0o644)

    ended = cli("check", "--json")

    text = "others on this machine can read it (mode 0644). Run: chmod 600 "
    assert found(ended, ".env") == [("warning", f"{text}.env")]
    assert ("warning", f"{text}{database}") in found(ended, "database")


def test_a_file_that_is_no_database_is_a_problem(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("This is a letter, and no database at all." * 100)

    ended = cli("check", "--json", DATABASE_URL=f"sqlite:///{tmp_path / 'other.db'}")

    assert ended.status == 1
    assert [grade for grade, _ in found(ended, "database")] == ["problem"]


def test_an_empty_database_needs_migrate(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()

    ended = cli("check", "--json", DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")

    assert ended.status == 1
    assert found(ended, "schema") == [("problem", "the database has no tables yet. Run: pulsora-bridge migrate")]


def test_postgresql_is_described(cli: Command, postgresql_url: str) -> None:
    ended = cli("check", "--json", DATABASE_URL=postgresql_url)

    [(grade, text)] = found(ended, "database")
    assert grade == "ok"
    assert text.startswith("postgresql 1")
    assert text.endswith(", synchronous_commit on")


# ---- The endpoint and the clock --------------------------------------------------------------------------------


def test_an_endpoint_that_nobody_listens_at_is_a_problem(cli: Command) -> None:
    ended = cli("check", "--json", PULSORA_ENDPOINT="http://127.0.0.1:9/api/ingest")

    assert ended.status == 1
    [(grade, text)] = found(ended, "endpoint")
    assert grade == "problem"
    assert text.startswith("http://127.0.0.1:9/api/ingest is unreachable: ")
    assert text.endswith("the connection was refused. Check PULSORA_ENDPOINT, the network and any proxy")


def test_the_endpoint_is_asked_options_without_the_token(cli: Command, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/ingest").respond_with_response(Response(status=204))

    cli("check", "--json", PULSORA_ENDPOINT=httpserver.url_for("/api/ingest"))

    [(asked, _)] = httpserver.log
    assert (asked.method, asked.data) == ("OPTIONS", b"")
    assert TOKEN not in str(asked.headers)


def test_an_endpoint_that_redirects_is_a_problem(cli: Command, httpserver: HTTPServer) -> None:
    moved = Response(status=301, headers={"Location": "https://pulsora.example/api/ingest"})
    httpserver.expect_request("/api/ingest").respond_with_response(moved)

    ended = cli("check", "--json", PULSORA_ENDPOINT=httpserver.url_for("/api/ingest"))

    assert [grade for grade, _ in found(ended, "endpoint")] == ["problem"]


@pytest.mark.parametrize(
    ("date", "text"),
    [
        ("Sun, 01 Mar 2026 12:00:00 GMT", ("ok", "within 1 s of the endpoint's")),
        ("Sun, 01 Mar 2026 11:59:40 GMT", ("ok", "within 20 s of the endpoint's")),
        ("Sun, 01 Mar 2026 12:05:00 GMT", ("problem", OFF)),
        ("Sun, 01 Mar 2026 11:55:00 GMT", ("problem", OFF)),
        ("yesterday", ("warning", "could not be compared: the endpoint sends no date")),
        (None, ("warning", "could not be compared: the endpoint sends no date")),
    ],
)
def test_a_clock_that_is_off_is_a_problem(date: str | None, text: tuple[str, str]) -> None:
    finding = check_clock(date, NOON)

    assert (finding.grade, finding.text) == text


# ---- Processors and the public URL -----------------------------------------------------------------------------


def test_a_key_and_an_endpoint_as_they_should_be(cli: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe()
    base = fake.serve(httpserver)
    fake.add(f"{base}/webhooks/stripe", list(processors()["stripe"].event_types))

    ended = cli("check", "--json", STRIPE_API_KEY=STRIPE_KEY, STRIPE_API_BASE=base, PUBLIC_URL=base)

    grades = [one for one in found(ended, "source stripe") if one[0] != "ok"]
    assert grades == []
    assert ("ok", f"the endpoint {base}/webhooks/stripe is enabled and has all needed events") in found(
        ended, "source stripe"
    )


def test_missing_permissions_and_a_wrong_endpoint_are_named(cli: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_coupon_read", "rak_event_read"})
    base = fake.serve(httpserver)

    ended = cli("check", "--json", STRIPE_API_KEY=STRIPE_KEY, STRIPE_API_BASE=base, PUBLIC_URL=base)

    problems = [text for grade, text in found(ended, "source stripe") if grade == "problem"]
    assert ended.status == 1
    assert problems[0].startswith(
        "STRIPE_API_KEY lacks 2 permissions: rak_coupon_read (discounts that lower MRR), rak_event_read (reconcile). "
        "Create a key with all: https://dashboard.stripe.com/"
    )
    assert problems[1] == (
        f"no endpoint has the URL {base}/webhooks/stripe. Run: pulsora-bridge setup stripe --create"
    )  # fmt: skip


def test_a_key_that_the_processor_does_not_know_is_a_problem(cli: Command, httpserver: HTTPServer) -> None:
    ended = cli("check", "--json", STRIPE_API_KEY="rk_live_unknown", STRIPE_API_BASE=FakeStripe().serve(httpserver))

    [text] = [text for grade, text in found(ended, "source stripe") if grade == "problem"]
    assert "responded 401" in text
    assert "rk_live_unknown" not in ended.out


@pytest.mark.parametrize(("status", "grade"), [(200, "ok"), (503, "problem"), (302, "problem")])
def test_the_public_url_is_asked_for_readiness(cli: Command, httpserver: HTTPServer, status: int, grade: str) -> None:
    httpserver.expect_request("/readyz").respond_with_data("", status=status)

    ended = cli("check", "--json", PUBLIC_URL=httpserver.url_for("/"))

    assert [one for one, _ in found(ended, "public URL")] == [grade]
    assert found(ended, "web") == []


@pytest.mark.parametrize(
    ("status", "finding"),
    [
        (200, ("ok", "{url} is ready; set PUBLIC_URL to check the way from the processor, too")),
        (503, ("problem", "{url}/readyz responds 503. The log of the web process says why")),
        (
            404,
            ("warning", "{url}/readyz responds 404: another program may listen there. Correct BIND or set PUBLIC_URL"),
        ),
        (
            None,
            (
                "warning",
                "no web process responds at {url}, so no webhook arrives. Set PUBLIC_URL if it runs elsewhere, "
                "or start it: pulsora-bridge serve",
            ),
        ),
    ],
)
def test_without_a_public_url_the_web_process_of_this_machine_is_asked(
    cli: Command, httpserver: HTTPServer, status: int | None, finding: tuple[str, str]
) -> None:
    httpserver.expect_request("/readyz").respond_with_data("", status=status or 200)
    port = httpserver.port if status else 1  # nothing listens there

    ended = cli("check", "--json", BIND=f"0.0.0.0:{port}")

    grade, text = finding
    assert found(ended, "web") == [(grade, text.format(url=f"http://127.0.0.1:{port}"))]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_WEBHOOK_SECRET", "whsec_…"),
        ("PULSORA_SECRET_TOKEN", "sec_…"),
        ("STRIPE_API_KEY", "sk_live_a_full_key"),
        ("STRIPE_API_KEY", "pk_live_a_public_key"),
        ("PADDLE_API_KEY", "pdl_live_apikey_…"),
    ],
)
def test_placeholders_and_keys_that_are_none_are_refused(cli: Command, name: str, value: str) -> None:
    ended = cli("check", "--json", **{name: value})

    assert ended.status == 2
    assert {one["about"] for one in ended.json} == {name}


# ---- Worker and deliveries -------------------------------------------------------------------------------------


def test_every_webhook_refused_is_a_problem(cli: Command, sqlite_store: Store) -> None:
    now = datetime.now(UTC)
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "worker", now)
        one = Refusals(
            source="stripe", cause="signature_mismatch", hour=now.replace(minute=0), count=34, last_at=now
        )  # fmt: skip
        refusals.add(tx, [one], now)

    with FakePulsora(TOKEN) as ingest:
        ended = cli("check", "--json", PULSORA_ENDPOINT=ingest.endpoint)

    assert ended.status == 1
    text = "34 webhooks of stripe refused in the last hour: signature_mismatch, the webhook secret belongs to another "
    assert found(ended, "webhooks") == [("problem", text + "endpoint, or a proxy changes the body.")]


def test_a_worker_that_has_been_silent_is_a_problem(cli: Command, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "worker", datetime.now(UTC) - timedelta(minutes=10))

    ended = cli("check", "--json")

    assert found(ended, "worker") == [
        ("problem", "last heartbeat 10 min ago. Start one: pulsora-bridge serve (or worker)")
    ]


def test_a_paused_destination_is_a_problem_with_its_end_reason_and_cure(cli: Command, sqlite_store: Store) -> None:
    endpoint = "http://127.0.0.1:9/api/ingest"
    with sqlite_store.transaction() as tx:
        paused = Destination(endpoint=endpoint, token=TOKEN).id
        pauses.pause(tx, paused, NEW_YEAR, "401: Invalid API token", True, now=datetime.now(UTC))

    ended = cli("check", "--json", PULSORA_ENDPOINT=endpoint)

    text = (
        "sending is paused until 2030-01-01 00:00:00 UTC: 401: Invalid API token. "
        "Nothing is lost: correct PULSORA_SECRET_TOKEN or PULSORA_ENDPOINT, and restart"
    )
    assert ("problem", text) in found(ended, "source stripe")


def test_failed_deliveries_are_pointed_at(cli: Command, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        outbox.add(tx, [a_delivery(status=DeliveryStatus.FAILED)])

    ended = cli("check", "--json")

    assert found(ended, "deliveries") == [
        ("warning", "1 revenue event failed. Review: pulsora-bridge deliveries list --status failed")
    ]


def test_a_checkout_without_a_usable_visit_is_pointed_at(cli: Command, sqlite_store: Store) -> None:
    now = datetime.now(UTC)
    rejected = RejectedVisits(
        source="stripe", cause="session_id is undefined", count=3, last_at=now, event_id="evt_9"
    )  # fmt: skip
    with sqlite_store.transaction() as tx:
        old = replace(rejected, source="paddle", last_at=now - timedelta(days=8))
        rejected_visits.add(tx, [rejected, old])

    ended = cli("check", "--json")

    text = "session_id is undefined: 3 webhooks so far without a visit, the latest evt_9. "
    text += "The checkout is created before the visit is known: see docs/attribution.md"
    assert ("warning", text) in found(ended, "source stripe")
    assert not [one for one in found(ended, "source paddle") if "undefined" in one[1]]
