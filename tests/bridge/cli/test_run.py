"""`migrate`: the schema, and moving to another database. `serve` and `worker` are tested in tests/end_to_end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bridge.store import Store, leases, open_store
from tests.bridge.cli.conftest import Command
from tests.bridge.store.builders import statuses, stored


def test_migrate_makes_the_database_and_does_no_harm_again(cli: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    for _ in range(2):
        ended = cli("migrate", DATABASE_URL=url)

        assert (ended.status, ended.out, ended.err) == (0, "The schema matches this version.\n", "")
    assert open_store(url).schema_fits()


def test_everything_can_be_moved_to_another_database(
    cli: Command, sqlite_store: Store, postgresql_url: str, tmp_path: Path
) -> None:
    stored(sqlite_store, "evt_1", "evt_2")

    ended = cli("migrate", "--to", postgresql_url, "--json")

    assert ended.json["copied"]["inbox"] == 2
    moved = open_store(postgresql_url)
    assert statuses(moved) == {"evt_1": "received", "evt_2": "received"}
    moved.close()


def test_nothing_is_copied_into_a_database_that_holds_something(
    cli: Command, sqlite_store: Store, postgresql_url: str
) -> None:
    stored(sqlite_store, "evt_1")
    assert cli("migrate", "--to", postgresql_url).status == 0

    ended = cli("migrate", "--to", postgresql_url)

    assert ended.status == 2
    assert "empty" in ended.err


def test_a_target_that_is_no_database_is_wrong_usage(cli: Command) -> None:
    ended = cli("migrate", "--to", "mysql://127.0.0.1/bridge")

    assert ended.status == 2
    assert "sqlite and postgresql are" in ended.err


def test_nothing_is_copied_while_a_worker_runs(cli: Command, sqlite_store: Store, tmp_path: Path) -> None:
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "worker", datetime.now(UTC))

    ended = cli("migrate", "--to", f"sqlite:///{tmp_path / 'copy.db'}")

    assert ended.status == 1
    assert ended.err.startswith("a worker is running: what arrives during the copy would stay behind.")
    assert not (tmp_path / "copy.db").exists()


def test_after_the_copy_the_next_step_is_named(cli: Command, sqlite_store: Store, tmp_path: Path) -> None:
    ended = cli("migrate", "--to", f"sqlite:///{tmp_path / 'copy.db'}")

    assert ended.out.endswith("Now set DATABASE_URL to the new database and start the bridge. "
                              "The old database is unchanged.\n")  # fmt: skip
