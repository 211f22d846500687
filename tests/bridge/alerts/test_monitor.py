"""Looks at the store, sends through apprise to a real server, and shows no secret of an address."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.alerts import delivery
from bridge.alerts.causes import Cause
from bridge.alerts.delivery import Sent
from bridge.alerts.lifecycle import Kind, Message
from bridge.alerts.monitor import LEASE_NAME, Monitor
from bridge.alerts.notices import read_notices
from bridge.errors import SettingsError
from bridge.settings import Settings, declarations
from bridge.settings.declarations import alert_urls
from bridge.store import Store, alerts, leases, outbox, reconciliations
from bridge.store.outbox import DeliveryStatus
from bridge.store.reconciliations import Run
from bridge.web.worker_watch import WorkerWatch
from tests.bridge.cli.conftest import Command, _bare, _cli
from tests.bridge.store.builders import a_delivery, added
from tests.settings import some_settings

__all__ = ["_bare", "_cli"]

NOW = datetime.now(UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SECRET = "token-of-the-tests-0123"
MESSAGE = Message(cause=Cause.SILENT, kind=Kind.RAISED, title="A source is silent", body="stripe")


@dataclass
class Outbox:
    """Takes the place of apprise."""

    messages: list[Message] = field(default_factory=list)
    problem: str | None = None
    before: Callable[[], object] = lambda: None

    def send(self, urls: Sequence[str], message: Message) -> list[Sent]:
        self.before()
        if self.problem is None:
            self.messages.append(message)
        return [Sent(name="1 (json)", problem=self.problem)]


@pytest.fixture(name="settings")
def _settings(sqlite_url: str) -> Settings:
    return some_settings(sqlite_url, ALERT_URLS=f"json://127.0.0.1:9/{SECRET}", PUBLIC_URL="https://hooks.example.com")


def monitor(store: Store, settings: Settings, sent: Outbox, owner: str = "worker") -> Monitor:
    return Monitor(store=store, settings=settings, owner=owner, send=sent.send)


def working(store: Store, at: datetime = NOW) -> None:
    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", at)


def rejected(store: Store) -> None:
    added(store, a_delivery(status=DeliveryStatus.FAILED))


def states(store: Store) -> dict[str, alerts.AlertState]:
    with store.reading() as tx:
        return alerts.all_states(tx)


def test_a_rejected_delivery_is_reported_once_and_cleared_when_it_is_retried(store: Store, settings: Settings) -> None:
    sent = Outbox()
    working(store)
    rejected(store)
    watching = monitor(store, settings, sent)

    counts = [watching.look(NOW + number * MINUTE) for number in range(0, 1)]
    with store.transaction() as tx:
        outbox.retry(tx, [row.id for row in outbox.listing(tx)], NOW)
    for number in range(1, 8):
        working(store, NOW + number * MINUTE)
        watching.look(NOW + number * MINUTE)

    assert counts == [1]
    assert [(one.cause, one.kind) for one in sent.messages] == [("rejected", "raised"), ("rejected", "cleared")]
    assert sent.messages[0].body.endswith("https://hooks.example.com/admin/deliveries?status=failed")


def test_while_nothing_changes_nothing_is_written(sqlite_store: Store, settings: Settings) -> None:
    working(sqlite_store)
    rejected(sqlite_store)
    watching = monitor(sqlite_store, settings, Outbox())
    watching.look(NOW)
    before = states(sqlite_store)
    version = data_version(sqlite_store)

    for number in range(50):
        watching.look(NOW + timedelta(seconds=number))

    assert states(sqlite_store) == before
    assert data_version(sqlite_store) == version


def data_version(store: Store) -> object:
    """Changes with every commit to the file."""
    with store.reading() as tx:
        return tx.exec_driver_sql("PRAGMA data_version").scalar()


def test_two_processes_that_look_at_the_same_time_send_one_message(store: Store, settings: Settings) -> None:
    working(store)
    rejected(store)
    sent = Outbox()
    second = monitor(store, settings, sent, "web")
    found = []
    sent.before = lambda: found.append(second.look(NOW))
    first = monitor(store, settings, sent)

    count = first.look(NOW)
    sent.before = lambda: None
    later = second.look(NOW)

    assert (count, found, later) == (1, [0], 0)
    assert len(sent.messages) == 1


def test_a_process_that_waited_for_the_lease_looks_again(store: Store, settings: Settings) -> None:
    working(store)
    rejected(store)
    sent = Outbox()
    first, second = monitor(store, settings, sent), monitor(store, settings, sent, "web")
    acquire = second._acquire
    looked = []

    def acquire_late(now: datetime) -> bool:
        if not looked:
            looked.append(first.look(now))  # after the second has seen what is due
        return acquire(now)

    second._acquire = acquire_late  # type: ignore[method-assign]

    assert second.look(NOW) == 0
    assert looked == [1]
    assert len(sent.messages) == 1


def test_a_message_that_no_address_accepts_is_kept_and_tried_again(sqlite_store: Store, settings: Settings) -> None:
    working(sqlite_store)
    rejected(sqlite_store)
    sent = Outbox(problem="the connection was refused")
    watching = monitor(sqlite_store, settings, sent)

    assert watching.look(NOW) == 0
    assert states(sqlite_store)["rejected"].error == "1 (json): the connection was refused"
    sent.problem = None
    assert [watching.look(NOW + seconds * timedelta(seconds=1)) for seconds in (30, 59, 60)] == [0, 0, 1]
    assert states(sqlite_store)["rejected"].error is None


def test_a_web_process_reports_a_worker_that_is_gone_after_two_minutes(sqlite_store: Store, settings: Settings) -> None:
    sent = Outbox()
    watch = WorkerWatch(sqlite_store, settings, sent.send)
    working(sqlite_store)

    looks = [watch.look(NOW)]
    with sqlite_store.transaction() as tx:
        leases.delete_heartbeat(tx, "worker")  # as a worker does that stops
    looks += [watch.look(NOW + minutes * MINUTE) for minutes in (1, 2, 3, 3.1)]

    assert looks == [0, 0, 0, 0, 1]
    assert [one.title for one in sent.messages] == ["No worker is running"]
    assert sent.messages[0].body.startswith("It was stopped, or has never been started.")


def test_a_process_that_sends_releases_the_lease(sqlite_store: Store, settings: Settings) -> None:
    working(sqlite_store)
    rejected(sqlite_store)
    monitor(sqlite_store, settings, Outbox()).look(NOW)

    with sqlite_store.transaction() as tx:
        assert leases.acquire(tx, LEASE_NAME, "another", NOW, NOW + HOUR)


# ---- apprise --------------------------------------------------------------------------------------------------


def test_a_message_arrives_through_apprise(httpserver: HTTPServer) -> None:
    received = []

    def respond(request: Request) -> Response:
        received.append(request.get_json())
        return Response(status=200)

    httpserver.expect_request(f"/{SECRET}").respond_with_handler(respond)

    sent = delivery.send([f"json://{httpserver.host}:{httpserver.port}/{SECRET}"], MESSAGE)

    assert sent == [Sent(name="1 (json)", problem=None)]
    assert [(one["title"], one["message"], one["type"]) for one in received] == [
        ("Pulsora bridge: A source is silent", "stripe", "failure")
    ]


def test_what_is_not_accepted_is_explained_without_a_part_of_the_address(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request(f"/{SECRET}").respond_with_data(f"no such hook: {SECRET}", status=403)
    urls = [
        f"json://user-of-the-tests:{SECRET}@{httpserver.host}:{httpserver.port}/{SECRET}",
        f"json://127.0.0.1:9/{SECRET}",
        f"slack://{SECRET}",
    ]

    sent = delivery.send(urls, MESSAGE)

    assert [one.name for one in sent] == ["1 (json)", "2 (json)", "3 (slack)"]
    assert all(one.problem for one in sent)
    written = capsys.readouterr()
    own_log = "".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")
    for part in (SECRET, "user-of-the-tests"):
        assert part not in repr(sent) + written.out + written.err + own_log


def test_addresses_that_apprise_does_not_understand_are_found() -> None:
    found = delivery.unusable([f"json://127.0.0.1:9/{SECRET}", f"slack://{SECRET}", f"nonsense://{SECRET}"])

    assert [one.name for one in found] == ["2 (slack)", "3 (nonsense)"]
    assert SECRET not in repr(found)


# ---- Settings -------------------------------------------------------------------------------------------------


def test_addresses_are_separated_at_commas_before_the_next_one() -> None:
    value = "mailtos://u:p@example.com?to=a@example.com,b@example.com, slack://a/b/c,json://host"

    assert alert_urls(value) == (
        "mailtos://u:p@example.com?to=a@example.com,b@example.com",
        "slack://a/b/c",
        "json://host",
    )


def test_an_address_without_a_kind_is_named_by_its_place() -> None:
    with pytest.raises(SettingsError) as raised:
        some_settings("sqlite:///x.db", ALERT_URLS=f"{SECRET}/hook")

    assert raised.value.problems == (
        "ALERT_URLS: address 1 does not begin with a kind such as mailtos:// or slack://. "
        "Example: ALERT_URLS=mailtos://user:password@example.com, slack://…",
    )


def test_without_the_extra_the_start_fails_and_says_what_to_install(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declarations, "find_spec", lambda name: None)

    ended = cli("serve", ALERT_URLS="json://host")

    assert ended.status == 2
    assert ended.err == (
        "ALERT_URLS: needs the library apprise: pip install 'pulsora-bridge[alerts]'. "
        "Example: ALERT_URLS=mailtos://user:password@example.com, slack://…\n"
    )


def test_the_addresses_are_in_no_representation(settings: Settings) -> None:
    assert SECRET not in repr(settings)


# ---- Notices and commands -------------------------------------------------------------------------------------


def test_the_first_page_states_what_was_fetched_and_what_is_lost(sqlite_store: Store, settings: Settings) -> None:
    working(sqlite_store)
    run = Run(
        source="stripe", at=NOW - HOUR, since=NOW - 30 * 24 * HOUR, until=NOW - HOUR, reason="start of the worker",
        listed=400, stored=214, lost_since=NOW - 60 * 24 * HOUR, faults=("we_1 is disabled: nothing is sent",),
    )  # fmt: skip
    with sqlite_store.transaction() as tx:
        reconciliations.add(tx, run)
    keyed = some_settings(settings.database_url, STRIPE_API_KEY="rk_live_fake_key_of_the_tests")

    with sqlite_store.reading() as tx:
        texts = [one.text for one in read_notices(tx, keyed, NOW)]

    assert texts[0].startswith("A webhook endpoint is wrong. stripe: we_1 is disabled: nothing is sent.")
    assert texts[1] == (
        "214 webhooks of stripe that never arrived were fetched from the processor's list, the last 60 min ago "
        "(start of the worker)."
    )
    assert "cannot be fetched: the processor deleted them" in texts[2]


def test_the_command_lists_the_causes_and_names_addresses_by_place(cli: Command, sqlite_store: Store) -> None:
    rejected(sqlite_store)

    listed = cli("alerts", "list", "--json")
    table = cli("alerts", "list")
    tested = cli("alerts", "test", ALERT_URLS=f"json://127.0.0.1:9/{SECRET}")

    assert [(one["cause"], one["sent_at"]) for one in listed.json] == [("worker", None), ("rejected", None)]
    assert "ALERT_URLS is not set" in table.out
    assert tested.status == 1
    assert tested.out.startswith("1 (json): not sent: ")
    assert SECRET not in tested.out + tested.err + json.dumps(listed.json)


def test_a_test_without_addresses_says_what_to_set(cli: Command) -> None:
    ended = cli("alerts", "test")

    assert (ended.status, ended.err) == (
        2,
        "ALERT_URLS: is not set. Example: ALERT_URLS=mailtos://user:password@example.com\n",
    )


def test_check_names_addresses_that_cannot_be_used(cli: Command) -> None:
    ended = cli("check", "--json", ALERT_URLS=f"slack://{SECRET}")

    found = [one["text"] for one in ended.json if one["about"] in ("ALERT_URLS", "alerts")]
    assert found[0].startswith("address 1 (slack): ")
    assert found[1] == "sent to 1 (slack). Try it: pulsora-bridge alerts test"
    assert SECRET not in ended.out
