"""`webhooks replay`, `attribute`."""

from __future__ import annotations

import pytest

from bridge.store import Store, inbox, outbox
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.bridge.store.builders import statuses
from tests.settings import some_settings


def delivery_statuses(store: Store) -> list[str]:
    with store.reading() as tx:
        return [one.status.value for one in outbox.listing(tx)]


# ---- Replay ----------------------------------------------------------------------------------------------------


def test_a_replayed_webhook_is_processed_again_and_not_reported_again(
    cli: Command, sqlite_store: Store, sqlite_url: str
) -> None:
    ids = arrive(sqlite_store, "stripe", "signup")
    work(sqlite_store, some_settings(sqlite_url))

    ended = cli("webhooks", "replay", *ids)
    work(sqlite_store, some_settings(sqlite_url))

    assert ended.out == "10 of 10 webhooks will be processed again.\n"
    assert delivery_statuses(sqlite_store) == ["pending"]


def test_all_that_failed_can_be_replayed_at_once(cli: Command, sqlite_store: Store) -> None:
    arrive(sqlite_store, "stripe", "one-off", "ada")
    with sqlite_store.transaction() as tx:
        first, second, _ = inbox.listing(tx)
        inbox.fail(tx, first.id, "odd", None)
        inbox.fail(tx, second.id, "odd", None)

    ended = cli("webhooks", "replay", "--failed", "--json")

    assert ended.json == {"asked": 2, "replayed": 2}
    assert set(statuses(sqlite_store).values()) == {"received"}


def test_replaying_nothing_in_particular_is_wrong_usage(cli: Command) -> None:
    ended = cli("webhooks", "replay")

    assert ended.status == 2
    assert ended.err.startswith("give ")


# ---- Attribute -------------------------------------------------------------------------------------------------


def test_an_attribution_by_hand_releases_what_was_held(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    settings = some_settings(sqlite_url, FINGERPRINT_KEY="another_key")  # so that the webhooks name no visit
    arrive(sqlite_store, "stripe", "signup", "ada")
    work(sqlite_store, settings)
    assert delivery_statuses(sqlite_store) == ["held"]

    options = ("--source", "stripe", "--customer", "cus_ada", "--fingerprint", "fp_1", "--session", "ses_1")
    ended = cli("attribute", *options, FINGERPRINT_KEY="another_key")
    again = cli("attribute", *options)
    work(sqlite_store, settings)

    assert ended.out.endswith(": registered. The customer has 1 held revenue event.\n")
    assert again.out.endswith(": was already registered.\n")
    assert delivery_statuses(sqlite_store) == ["pending"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--customer", "cus_1"), "--source: choose one of paddle, stripe\n"),
        (("--source", "stripe"), "give at least one of --customer, --subscription, --transaction\n"),
    ],
)
def test_an_attribution_must_say_of_what(cli: Command, args: tuple[str, ...], problem: str) -> None:
    ended = cli("attribute", *args, "--fingerprint", "fp_1", "--session", "ses_1")

    assert (ended.status, ended.err) == (2, problem)


def test_an_id_that_no_webhook_named_is_refused_unless_it_is_ahead(cli: Command, sqlite_store: Store) -> None:
    options = ("--source", "stripe", "--customer", "cus_typo", "--fingerprint", "fp_1", "--session", "ses_1")

    refused = cli("attribute", *options)
    ahead = cli("attribute", *options, "--ahead", "--json")

    assert refused.status == 1
    assert refused.err == (
        "no webhook of stripe has named cus_typo; nothing was registered. Check the id, or add --ahead to register it"
        " before the first webhook\n"
    )
    assert (ahead.status, ahead.json["registered"], ahead.json["held"]) == (0, True, 0)
    assert list(statuses(sqlite_store)) == [ahead.json["id"]]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (("cus_…", "fp_1", "ses_1"), "--customer: cus_… is a placeholder. Give the real id\n"),
        (("cus_1", "undefined", "ses_1"), "--fingerprint: undefined is a placeholder. Give the real id\n"),
        (("cus_1", "fp_1", "cs_live_1"), "--session: cs_live_1 is a placeholder. Give the real id\n"),
    ],
)
def test_a_placeholder_is_no_attribution(cli: Command, values: tuple[str, str, str], problem: str) -> None:
    customer, fingerprint, session = values

    ended = cli(
        "attribute", "--source", "stripe", "--customer", customer, "--fingerprint", fingerprint, "--session", session
    )

    assert (ended.status, ended.err) == (2, problem)
