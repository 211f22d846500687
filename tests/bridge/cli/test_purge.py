"""`purge`: what is deleted, what is asked, and what it frees."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.store import Store
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.settings import some_settings


@pytest.fixture(name="ids")
def _ids(sqlite_store: Store, sqlite_url: str) -> list[str]:
    """The ids of ten settled webhooks."""
    ids = arrive(sqlite_store, "stripe", "signup")
    work(sqlite_store, some_settings(sqlite_url))
    return ids


def test_purging_deletes_the_bodies_of_what_was_settled_long_ago(cli: Command, ids: list[str]) -> None:
    young = cli("purge")
    old = cli("purge", "--older-than", "0", "--yes")
    body = cli("webhooks", "show", ids[0], "--body")
    replay = cli("webhooks", "replay", ids[0])

    assert young.out == "0 bodies purged.\n"
    assert old.out.splitlines()[0] == "10 bodies purged."
    assert (body.status, body.err) == (2, f"the body of {ids[0]} was purged after RETENTION_DAYS\n")
    assert replay.out == "0 of 1 webhook will be processed again. Not possible, because the body was purged: 1.\n"


def test_younger_bodies_than_the_worker_would_delete_are_deleted_only_after_a_yes(cli: Command, ids: list[str]) -> None:
    refused = cli("purge", "--older-than", "0")
    kept = cli("webhooks", "show", ids[0], "--body")

    assert refused.status == 2
    assert refused.err == (
        "10 bodies (4 kB) will be deleted. Their webhooks can never be replayed. Add --yes to confirm\n"
    )
    assert kept.status == 0


def test_compacting_gives_the_space_back(cli: Command, ids: list[str], sqlite_store: Store, sqlite_url: str) -> None:
    for tag in ("ada", "bert", "cleo"):
        arrive(sqlite_store, "stripe", "lifecycle", tag)
    work(sqlite_store, some_settings(sqlite_url))
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    sqlite_store.compact()
    before = path.stat().st_size

    ended = cli("purge", "--older-than", "0", "--yes", "--compact", "--json")

    assert ended.json["purged"] > len(ids)
    assert ended.json["freed_bytes"] == before - path.stat().st_size > 0
