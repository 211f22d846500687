"""`webhooks replay`, `attribute`, `purge`."""

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


def test_a_replayed_event_goes_through_once_more_and_is_not_told_again(
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

    assert ended.out.endswith(": registered.\n")
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


# ---- Purge -----------------------------------------------------------------------------------------------------


def test_purging_drops_the_bodies_of_what_was_settled_long_ago(
    cli: Command, sqlite_store: Store, sqlite_url: str
) -> None:
    ids = arrive(sqlite_store, "stripe", "signup")
    work(sqlite_store, some_settings(sqlite_url))

    young = cli("purge")
    old = cli("purge", "--older-than", "0")
    body = cli("webhooks", "show", ids[0], "--body")
    replay = cli("webhooks", "replay", ids[0])

    assert young.out == "Bodies purged: 0.\n"
    assert old.out == "Bodies purged: 10.\n"
    assert (body.status, body.err) == (2, f"the body of {ids[0]} was purged after RETENTION_DAYS\n")
    assert replay.out == "0 of 1 webhook will be processed again. Not possible, because the body was purged: 1.\n"
