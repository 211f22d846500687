"""Fixtures for a store on SQLite and PostgreSQL, a browser, and the scan of test output for secrets."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sqlalchemy import URL, Connection, create_engine, make_url

from bridge.store import Store, open_store
from bridge.store.schema import metadata
from tests import secrets_scan
from tests.postgres import postgres_server

DIALECTS = ("sqlite", "postgresql")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the scan for secrets."""
    config.pluginmanager.register(secrets_scan)
    gc.disable()  # until the tests are collected: ten thousand of them, which stay until the end
    # Otherwise each of some hundred child processes compiles the bridge: half a second of CPU.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    examples = int(os.environ.get("PROPERTY_EXAMPLES", "50"))
    hypothesis.settings.register_profile("bridge", deadline=None, max_examples=examples)  # a busy machine fails no test
    hypothesis.settings.load_profile("bridge")


def pytest_collection_finish() -> None:
    """Takes what was collected out of all later searches for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty, migrated database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A migrated store on SQLite and on PostgreSQL."""
    store = open_store(database_url)
    yield store
    store.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """A migrated store on SQLite, for tests of something else."""
    store = open_store(sqlite_url)
    yield store
    store.close()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'bridge.db')}"


@pytest.fixture
def postgresql_url(postgres: Postgres) -> str:
    """The URL of a migrated PostgreSQL database, shared by all tests and emptied before each."""
    return postgres.empty()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, which is faster than a migration per test."""
    path = tmp_path_factory.mktemp("template") / "bridge.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the session."""
    with postgres_server() as server:
        postgres = Postgres(make_url(server.get_uri()))
        yield postgres
        postgres.close()


class Postgres:
    """A server that creates databases."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._names = (f"bridge_{number}" for number in itertools.count())
        with self.admin() as connection:
            for setting in ("fsync", "full_page_writes"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        self._shared = self.new()
        _migrate(self._shared)
        own = make_url(self._shared).set(drivername="postgresql+psycopg")
        self._cleaner = create_engine(own, pool_pre_ping=True)  # tests may kill connections

    def admin(self) -> Connection:
        """A connection as superuser."""
        return self._engine.connect()

    def new(self) -> str:
        """The URL of a new database without any tables."""
        name = next(self._names)
        with self.admin() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def empty(self) -> str:
        """Empties the shared, migrated database. Returns its URL."""
        with self._cleaner.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        return self._shared

    def close(self) -> None:
        """Closes the connections."""
        self._cleaner.dispose()
        self._engine.dispose()


def _migrate(url: str) -> None:
    store = open_store(url)
    store.migrate()
    store.close()


def chromium() -> str:
    """The browser's program. Skips the test if there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("no Chromium: install Debian's package chromium, or set CHROMIUM to the program")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, one for all tests: a second Playwright in one process fails."""
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
