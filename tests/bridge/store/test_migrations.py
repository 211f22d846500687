"""From an empty database to this program's tables, once, however many processes migrate and however often."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from bridge.errors import SchemaMismatch, StoreUnavailable
from bridge.store import Store, migrations, open_store
from bridge.store.schema import metadata
from tests.bridge.store.builders import a_webhook
from tests.bridge.store.processes import ended, started


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables; on SQLite, without a file."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.db'}"
    return str(request.getfixturevalue("postgres").new())


def test_an_empty_database_becomes_usable(empty_url: str) -> None:
    store = open_store(empty_url)

    store.migrate()

    assert store.schema_fits() is True
    assert store.accept(a_webhook()) is True
    store.close()


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.accept(a_webhook())

    store.migrate()

    assert store.schema_fits() is True
    assert store.accept(a_webhook()) is False


def test_before_the_first_migration_the_error_names_the_command_to_run(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    store = open_store(empty_url)

    assert store.schema_mismatch() == "the database has no tables yet. Run: pulsora-bridge migrate"
    with pytest.raises(StoreUnavailable, match="pulsora-bridge migrate"):
        store.accept(a_webhook())

    store.migrate()
    assert store.accept(a_webhook()) is True
    store.close()


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    answers = ended(started("migrate", empty_url, "p0,p1", threads=2))

    assert answers == ["True"] * 4


def test_the_migrations_lead_to_the_tables_that_the_code_uses(store: Store) -> None:
    with store.reading() as tx:
        differences = compare_metadata(MigrationContext.configure(tx), metadata)

    assert differences == []


def test_a_newer_database_is_left_alone(store: Store) -> None:
    with store.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert store.schema_fits() is False
    assert store.schema_mismatch() == (
        f"the database has schema version 9999 of a newer program; this program knows versions up to"
        f" {migrations.newest()}. Install the newer program, or restore the backup from before its migration"
    )
    with pytest.raises(SchemaMismatch, match="9999 of a newer program"):
        store.migrate()

    with store.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": migrations.newest()})


def test_an_older_database_names_both_versions_and_the_command(store: Store) -> None:
    with store.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    assert store.schema_mismatch() == (
        f"the database has schema version 0001, this program needs {migrations.newest()}. Run: pulsora-bridge migrate"
    )

    with store.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": migrations.newest()})


def test_a_folder_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/missing/bridge.db")

    store.migrate()

    assert stat.S_IMODE((tmp_path / "missing").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "missing" / "bridge.db").stat().st_mode) == 0o600
    store.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = open_store(f"sqlite:///{tmp_path}/file/bridge.db")

    with pytest.raises(StoreUnavailable, match="cannot be created"):
        store.migrate()


def test_the_newest_version_is_the_one_that_alembic_ends_at() -> None:
    config = Config()
    config.set_main_option("script_location", "bridge.store:migrations")

    assert migrations.newest() == ScriptDirectory.from_config(config).get_current_head()
