"""Everything that knows SQL: the store, and beside it a module for each thing that it keeps.

`with store.transaction() as tx:` gives what the functions of `inbox`, `streams`, `outbox`, `budget`, `pauses`,
`catalog` and `leases` take first. `store.accept(arrival)` is the web's own way in.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from bridge.errors import WrongUsage
from bridge.store import inbox, migrations
from bridge.store.inbox import NewWebhook
from bridge.store.group_commit import Intake
from bridge.store.postgres import Postgres
from bridge.store.sqlite import Sqlite

__all__ = ["Store", "open_store"]

ACCEPT_SECONDS = 3.5  # so that a processor has its answer within four
EXAMPLES = "Examples: sqlite:///bridge.db, postgresql://user@host/name"


class Backend(Protocol):
    """What a store needs of its database. Both implementations pass the same tests."""

    name: str

    def reading(self) -> AbstractContextManager[Connection]: ...

    def transaction(self) -> AbstractContextManager[Connection]: ...

    def turn(self, seconds: float) -> AbstractContextManager[Connection]: ...

    def migrating(self) -> AbstractContextManager[Connection]: ...

    def describe(self) -> Mapping[str, object]: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Opened:
    """What one process has open of a store. A forked process opens its own."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.intake = Intake(lambda: backend.turn(ACCEPT_SECONDS))


class Store:
    """The database, for any number of threads. Nothing is opened before it is used."""

    def __init__(self, dialect: str, connect: Callable[[], Backend]) -> None:
        self.dialect = dialect
        self._connect = connect
        self._opening = threading.Lock()
        self._opened: Opened | None = None
        _stores.add(self)

    def accept(self, arrival: NewWebhook) -> bool:
        """Stores a webhook; on return it is on disk. True: it is new, False: it was there before.

        Raises `StoreUnavailable` within four seconds when it could not be stored.
        """
        return self._here().intake.put(inbox.ready(arrival), ACCEPT_SECONDS)

    def transaction(self) -> AbstractContextManager[Connection]:
        """A write transaction. On SQLite nobody else writes meanwhile, so keep it short. Raises `StoreUnavailable`."""
        return self._here().backend.transaction()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads. Raises `StoreUnavailable`."""
        return self._here().backend.reading()

    def migrate(self) -> None:
        """Brings the schema to this program's version, from nothing or from an older one. Does nothing when it is."""
        with self._here().backend.migrating() as tx:
            migrations.upgrade(tx)

    def schema_fits(self) -> bool:
        """Whether the schema is this program's."""
        with self.reading() as tx:
            return migrations.current(tx) == migrations.newest()

    def describe(self) -> Mapping[str, object]:
        """What an operator may want to know: dialect, version, path, size, and how it is written to."""
        return self._here().backend.describe()

    def close(self) -> None:
        """Stores what still waits, and closes all connections of this process. Later use opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.intake.close(ACCEPT_SECONDS)
            opened.backend.close()

    def _here(self) -> Opened:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = Opened(self._connect())
        return self._opened

    def _after_fork(self) -> None:
        """In the child: forgets what the parent has open, without closing it."""
        self._opening = threading.Lock()
        if self._opened is not None:
            self._opened.backend.abandon()
            _inherited.append(self._opened)
        self._opened = None


_stores: WeakSet[Store] = WeakSet()
_inherited: list[Opened] = []  # kept for good: closing what a parent opened would disturb the parent


def _forked() -> None:
    for store in _stores:
        store._after_fork()


os.register_at_fork(after_in_child=_forked)


def open_store(url: str) -> Store:
    """The store at a `DATABASE_URL`: `sqlite:///bridge.db` or `postgresql://user@host/name`. Migrates nothing."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "").absolute().resolve()
        return Store("sqlite", lambda: Sqlite(path))
    if find_spec("psycopg") is None:
        raise WrongUsage("DATABASE_URL: PostgreSQL needs a driver: pip install 'pulsora-bridge[postgres]'")
    return Store("postgresql", lambda: Postgres(parsed.set(drivername="postgresql+psycopg")))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(f"postgresql://{url.removeprefix('postgres://')}" if url.startswith("postgres://") else url)
    except ArgumentError:
        raise WrongUsage(f"DATABASE_URL: not a URL. {EXAMPLES}") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise WrongUsage(f"DATABASE_URL: {parsed.drivername} is not supported; sqlite and postgresql are")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise WrongUsage("DATABASE_URL: SQLite needs a file that several processes can share: sqlite:///bridge.db")
    return parsed
