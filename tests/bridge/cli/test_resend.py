"""`deliveries retry`, also with another amount, and `deliveries send` after a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bridge.cli import confirmation
from bridge.cli.resend import offer_kept_back
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.store import Store, outbox
from bridge.store.outbox import DeliveryStatus
from processors import processors
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.bridge.sender.rounds import rounds
from tests.bridge.store.builders import a_delivery, added, an_outcome
from tests.settings import TOKEN, some_settings

POSITIVE = {"REFUND_AMOUNT": "positive", "MOVEMENT_AMOUNT": "mrr"}


@pytest.fixture(name="strict")
def _strict() -> Iterator[FakePulsora]:
    """A Pulsora that takes only positive amounts."""
    with FakePulsora(TOKEN, positive_only=True) as pulsora:
        yield pulsora


def deliver(store: Store, pulsora: FakePulsora) -> None:
    """Sends everything that can be sent."""
    destination = Destination(endpoint=pulsora.endpoint, token=TOKEN)
    dispatcher = Dispatcher(
        store, {"stripe": destination, "paddle": destination}, owner="sender", threads=2, per_hour=0
    )
    rounds(dispatcher, datetime.now(UTC) + timedelta(hours=2))
    dispatcher.close(2)


def delivery_statuses(store: Store) -> list[str]:
    with store.reading() as tx:
        return [one.status.value for one in outbox.listing(tx, limit=1000)]


# ---- Retry -----------------------------------------------------------------------------------------------------


def test_failed_deliveries_are_sent_once_more(cli: Command, sqlite_store: Store) -> None:
    first, second = added(sqlite_store, a_delivery("payment:pi_1"), a_delivery("payment:pi_2"))
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(first, DeliveryStatus.FAILED)])

    by_id = cli("deliveries", "retry", str(first), str(second))

    assert (by_id.status, by_id.out) == (0, "2 of 2 revenue events will be sent now.\n")
    assert delivery_statuses(sqlite_store) == ["pending", "pending"]


def test_what_cannot_be_sent_again_is_named_and_fails(cli: Command, sqlite_store: Store) -> None:
    delivered, held = added(
        sqlite_store,
        a_delivery("payment:pi_1"),
        a_delivery("payment:pi_2", status=DeliveryStatus.HELD, hold_until=datetime.now(UTC) + timedelta(hours=1)),
    )
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(delivered, DeliveryStatus.DELIVERED)])

    ended = cli("deliveries", "retry", str(delivered), str(held))

    assert (ended.status, ended.out) == (
        1,
        "0 of 2 revenue events will be sent now. Not sent: 1 delivered, 1 held. "
        "To release held ones: pulsora-bridge deliveries send --held\n",
    )
    assert delivery_statuses(sqlite_store) == ["held", "delivered"]


def test_a_pending_delivery_does_not_wait_for_its_next_attempt(cli: Command, sqlite_store: Store) -> None:
    (row_id,) = added(sqlite_store, a_delivery("payment:pi_1"))
    later = datetime.now(UTC) + timedelta(hours=6)
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(row_id, DeliveryStatus.PENDING, next_at=later)])

    cli("deliveries", "retry", str(row_id))

    with sqlite_store.reading() as tx:
        found = outbox.find(tx, row_id)
    assert found is not None
    assert found.next_at is not None
    assert found.next_at <= datetime.now(UTC)


def test_an_id_that_no_delivery_has_is_an_error(cli: Command, sqlite_store: Store) -> None:
    (row_id,) = added(sqlite_store, a_delivery("payment:pi_1"))
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(row_id, DeliveryStatus.FAILED)])

    ended = cli("deliveries", "retry", str(row_id), "9999")

    assert ended.status == 1
    assert ended.out == "1 of 2 revenue events will be sent now.\n"
    assert "no delivery has the id 9999. See: pulsora-bridge deliveries list" in ended.err
    assert delivery_statuses(sqlite_store) == ["pending"]


def test_all_failed_deliveries_can_be_retried_at_once(cli: Command, sqlite_store: Store) -> None:
    ids = added(sqlite_store, a_delivery("payment:pi_1"), a_delivery("payment:pi_2"))
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(one, DeliveryStatus.FAILED) for one in ids])

    ended = cli("deliveries", "retry", "--failed", "--json")

    assert ended.json == {"asked": 2, "retried": 2, "rewritten": 0}


def test_retrying_nothing_in_particular_is_wrong_usage(cli: Command) -> None:
    ended = cli("deliveries", "retry")

    assert (ended.status, ended.err) == (2, "give the ids of deliveries, --failed or --rewrite\n")


# ---- Rewrite ---------------------------------------------------------------------------------------------------


def every_scenario_arrives(store: Store) -> None:
    for name in ("stripe", "paddle"):
        for scenario in processors()[name].scenarios:
            arrive(store, name, scenario, f"{name}-{scenario}")


def test_every_scenario_passes_a_strict_pulsora_over_http(
    sqlite_store: Store, sqlite_url: str, strict: FakePulsora
) -> None:
    every_scenario_arrives(sqlite_store)
    work(sqlite_store, some_settings(sqlite_url, **POSITIVE))

    deliver(sqlite_store, strict)

    assert set(delivery_statuses(sqlite_store)) == {"delivered"}
    assert len(strict.accepted) == len(delivery_statuses(sqlite_store)) > 50
    assert min(data["amount"] for data in strict.accepted) > 0


def test_what_a_strict_pulsora_rejected_is_cured_by_the_setting_that_is_named(
    cli: Command, sqlite_store: Store, sqlite_url: str, strict: FakePulsora
) -> None:
    # Signs up for 49.00, is given 20.00 back; signs up, cancels 49.00 a month.
    arrive(sqlite_store, "stripe", "refund", "ada")
    arrive(sqlite_store, "stripe", "cancel", "bert")
    work(sqlite_store, some_settings(sqlite_url))
    deliver(sqlite_store, strict)
    rejected, status, check = cli("deliveries", "list", "--json").json, cli("status").out, cli("check")

    errors = {one["event_type"]: one["last_error"] for one in rejected if one["status"] == "failed"}
    assert "set REFUND_AMOUNT=positive," in errors["refund"]
    assert "set MOVEMENT_AMOUNT=mrr," in errors["churn"]
    assert "REJECTED because of the amount: 1. To cure it, set REFUND_AMOUNT=positive, restart the bridge, " in status
    assert "REJECTED because of the amount: 1. To cure it, set MOVEMENT_AMOUNT=mrr, restart the bridge, " in status
    assert "set REFUND_AMOUNT=positive" in check.out
    assert check.status == 1

    unchanged = cli("deliveries", "retry", "--rewrite")
    ended = cli("deliveries", "retry", "--rewrite", **POSITIVE)
    deliver(sqlite_store, strict)

    assert unchanged.out == "0 of 0 revenue events will be sent now. With another amount: 0.\n"
    assert ended.out == "2 of 2 revenue events will be sent now. With another amount: 2.\n"
    assert set(delivery_statuses(sqlite_store)) == {"delivered"}
    # Two customers, whose events are sent at once.
    assert sorted((one["event_type"], one["amount"]) for one in strict.accepted) == [
        ("churn", 49), ("refund", 20), ("subscription", 49), ("subscription", 49),
    ]  # fmt: skip
    assert "REJECTED" not in cli("status").out


# ---- Send ------------------------------------------------------------------------------------------------------


def test_held_deliveries_are_released_without_attribution_after_a_question(cli: Command, sqlite_store: Store) -> None:
    hold_until = datetime.now(UTC) + timedelta(hours=1)
    added(sqlite_store, a_delivery("payment:pi_1", status=DeliveryStatus.HELD, hold_until=hold_until))

    asked, done = cli("deliveries", "send", "--held"), cli("deliveries", "send", "--held", "--yes")

    assert asked.status == 2
    assert "1 held revenue event will be sent to Pulsora without attribution (" in asked.err
    assert done.out == "1 held revenue event will be sent.\n"
    assert delivery_statuses(sqlite_store) == ["pending"]
    assert cli("deliveries", "send", "--held", "--json").json == {"asked": 0}


def test_sending_asks_which_ones(cli: Command) -> None:
    ended = cli("deliveries", "send")

    assert (ended.status, ended.err) == (2, "give --not-forwarded or --held\n")


def after_a_dry_run(store: Store, url: str) -> None:
    """Signs up in a dry run, and cancels after it."""
    arrive(store, "stripe", "cancel", "ada", slice(0, 10))
    work(store, some_settings(url, DRY_RUN="1"))


def test_what_a_dry_run_kept_back_is_sent_in_order(
    cli: Command, sqlite_store: Store, sqlite_url: str, strict: FakePulsora
) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)
    arrive(sqlite_store, "stripe", "cancel", "ada", slice(10, None))
    work(sqlite_store, some_settings(sqlite_url, **POSITIVE))
    assert delivery_statuses(sqlite_store) == ["pending", "not_forwarded"]  # newest first

    ended = cli("deliveries", "send", "--not-forwarded", "--yes")
    deliver(sqlite_store, strict)

    assert ended.out == "1 revenue event that had not been forwarded will be sent.\n"
    assert [one["event_type"] for one in strict.accepted] == ["subscription", "churn"]


def test_without_a_yes_nothing_is_sent(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)

    ended = cli("deliveries", "send", "--not-forwarded")

    assert ended.status == 2
    assert ended.err == "1 revenue event will be sent to Pulsora (49.00 USD, MRR +49.00 USD). Add --yes to confirm\n"
    assert delivery_statuses(sqlite_store) == ["not_forwarded"]


def test_a_bridge_that_still_runs_dry_sends_nothing(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)

    ended = cli("deliveries", "send", "--not-forwarded", "--yes", DRY_RUN="1")

    assert (ended.status, ended.err) == (
        2,
        "DRY_RUN is set, so nothing is sent to Pulsora. Remove it and restart the bridge first\n",
    )


@pytest.mark.parametrize(("forward", "sent"), [("0", 0), ("1", 1)])
def test_test_traffic_stays_back_unless_it_is_forwarded(
    cli: Command, sqlite_store: Store, forward: str, sent: int
) -> None:
    added(sqlite_store, a_delivery("k:1", status=DeliveryStatus.NOT_FORWARDED, livemode=False, scope="stripe||test"))

    ended = cli("deliveries", "send", "--not-forwarded", "--yes", "--json", FORWARD_TEST_EVENTS=forward)

    assert ended.json == ({"asked": 1, "pending": 1} if sent else {"asked": 0})


@pytest.mark.parametrize(("choice", "status"), [("send", "pending"), ("drop", "dropped"), ("hold", "held")])
def test_what_is_unattributed_is_treated_as_the_setting_says(
    cli: Command, sqlite_store: Store, choice: str, status: str
) -> None:
    body = '{"amount":49,"metadata":{"attribution":"none"}}'
    now = datetime.now(UTC)
    added(sqlite_store, a_delivery("k:1", status=DeliveryStatus.NOT_FORWARDED, body=body, created_at=now))

    cli("deliveries", "send", "--not-forwarded", "--yes", UNATTRIBUTED=choice)

    assert delivery_statuses(sqlite_store) == [status]


# ---- The question at the first start -------------------------------------------------------------------------

COMMAND = "not sent. To send: pulsora-bridge deliveries send --not-forwarded\n"


@pytest.fixture(name="answers")
def _answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The answers on a terminal, one for each question."""
    answers: list[bool] = []
    monkeypatch.setattr("bridge.cli.resend.is_interactive", lambda: True)
    monkeypatch.setattr("bridge.cli.resend.ask", lambda question: answers.pop(0))
    return answers


def test_the_first_start_without_it_asks_and_a_yes_sends(
    sqlite_store: Store, sqlite_url: str, answers: list[bool]
) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)
    answers.append(True)

    offer_kept_back(some_settings(sqlite_url), may_ask=True)

    assert delivery_statuses(sqlite_store) == ["pending"]


def test_after_a_no_the_next_start_names_the_command_and_asks_no_more(
    sqlite_store: Store, sqlite_url: str, answers: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)
    answers.append(False)

    offer_kept_back(some_settings(sqlite_url), may_ask=True)
    offer_kept_back(some_settings(sqlite_url), may_ask=True)

    assert delivery_statuses(sqlite_store) == ["not_forwarded"]
    assert capsys.readouterr().err.count(COMMAND) == 2


def test_after_another_dry_run_it_is_asked_again(sqlite_store: Store, sqlite_url: str, answers: list[bool]) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)
    answers += [False, True]

    offer_kept_back(some_settings(sqlite_url), may_ask=True)
    offer_kept_back(some_settings(sqlite_url, DRY_RUN="1"), may_ask=True)
    offer_kept_back(some_settings(sqlite_url), may_ask=True)

    assert delivery_statuses(sqlite_store) == ["pending"]


def test_where_nobody_can_answer_a_warning_names_the_command(
    sqlite_store: Store, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    after_a_dry_run(sqlite_store, sqlite_url)
    assert not confirmation.is_interactive()

    offer_kept_back(some_settings(sqlite_url), may_ask=True)

    assert capsys.readouterr().err == (f"1 revenue event kept back by DRY_RUN (49.00 USD, MRR +49.00 USD): {COMMAND}")


def test_where_nothing_was_kept_back_nothing_is_said(
    sqlite_store: Store, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    added(sqlite_store, a_delivery("k:1"))

    offer_kept_back(some_settings(sqlite_url), may_ask=True)

    assert capsys.readouterr().err == ""
