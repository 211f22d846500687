"""All SQL: the store, and a module per table or queue.

`with store.transaction() as tx:` gives the connection that the functions of `inbox`, `streams`, `outbox`, `rate_limit`,
`pauses`, `catalog` and `leases` take first. The web stores webhooks with `store.accept(webhook)`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from bridge.errors import StoreUnavailable, UsageError
from bridge.store import inbox, migrations
from bridge.store.group_commit import GroupCommitter
from bridge.store.inbox import NewWebhook
from bridge.store.postgres import Postgres
from bridge.store.sqlite import Sqlite

__all__ = ["Store", "open_store"]

ACCEPT_SECONDS = 3.5  # a processor gets its response within four seconds
EXAMPLES = "Examples: sqlite:///bridge.db, postgresql://user@host/name"


class Backend(Protocol):
    """The interface of a database. Both implementations pass the same tests."""

    name: str

    def reading(self) -> AbstractContextManager[Connection]: ...

    def transaction(self) -> AbstractContextManager[Connection]: ...

    def writing(self, seconds: float) -> AbstractContextManager[Connection]: ...

    def migrating(self) -> AbstractContextManager[Connection]: ...

    def describe(self) -> Mapping[str, object]: ...

    def compact(self, whole: bool) -> None: ...

    def shrink(self) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Opened:
    """The open connections of one process. A forked process opens its own."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.committer = GroupCommitter(lambda: backend.writing(ACCEPT_SECONDS))


class Store:
    """The database, for any number of threads. Opened on first use."""

    def __init__(self, dialect: str, connect: Callable[[], Backend]) -> None:
        self.dialect = dialect
        self._connect = connect
        self._opening = threading.Lock()
        self._opened: Opened | None = None
        _stores.add(self)

    def accept(self, webhook: NewWebhook) -> bool:
        """Stores a webhook; on return it is on disk. True: it is new, False: it was stored before.

        Raises `StoreUnavailable` within four seconds when it could not be stored.
        """
        return self._current().committer.put(inbox.encode_row(webhook), ACCEPT_SECONDS)

    def connect(self) -> None:
        """Opens the connection that stores webhooks: the first ones would wait for it. Without a database they do."""
        with suppress(StoreUnavailable), self._current().backend.writing(0.0):
            pass

    def transaction(self) -> AbstractContextManager[Connection]:
        """A write transaction. On SQLite it excludes all other writers, so keep it short. Raises `StoreUnavailable`."""
        return self._current().backend.transaction()

    def reading(self) -> AbstractContextManager[Connection]:
        """A read-only transaction. Raises `StoreUnavailable`."""
        return self._current().backend.reading()

    def migrate(self) -> None:
        """Creates or upgrades the schema to this program's version. Raises `SchemaMismatch` when it is newer."""
        with self._current().backend.migrating() as tx:
            migrations.upgrade(tx)

    def schema_fits(self) -> bool:
        """Whether the schema is this program's version."""
        return self.schema_mismatch() is None

    def schema_mismatch(self) -> str | None:
        """Why the schema is not this program's, and what to do; None: it is."""
        with self.reading() as tx:
            return migrations.mismatch(tx)

    def describe(self) -> Mapping[str, object]:
        """Facts for the operator: dialect, version, path, size, and durability."""
        return self._current().backend.describe()

    def compact(self, whole: bool = True) -> None:
        """Removes deleted data from the write-ahead log and, if `whole`, from the free pages, by rewriting the file.

        Raises `StoreUnavailable` when others use the database for too long; what is deleted stays deleted.
        """
        self._current().backend.compact(whole)

    def shrink(self) -> None:
        """Gives the space of deleted data back to the disk, if possible without keeping webhooks waiting."""
        self._current().backend.shrink()

    def close(self) -> None:
        """Stores the webhooks that still wait, and closes all connections of this process. Later use reopens them."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.committer.close(ACCEPT_SECONDS)
            opened.backend.close()

    def _current(self) -> Opened:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = Opened(self._connect())
        return self._opened

    def _after_fork(self) -> None:
        """In a forked child: forgets the parent's connections without closing them."""
        self._opening = threading.Lock()
        if self._opened is not None:
            self._opened.backend.abandon()
            _inherited.append(self._opened)
        self._opened = None


_stores: WeakSet[Store] = WeakSet()
_inherited: list[Opened] = []  # never freed: closing a connection of the parent would break it there


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
        raise UsageError("DATABASE_URL: PostgreSQL needs a driver: pip install 'pulsora-bridge[postgres]'")
    return Store("postgresql", lambda: Postgres(parsed.set(drivername="postgresql+psycopg")))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(f"postgresql://{url.removeprefix('postgres://')}" if url.startswith("postgres://") else url)
    except ArgumentError:
        raise UsageError(f"DATABASE_URL: not a URL. {EXAMPLES}") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(f"DATABASE_URL: {parsed.drivername} is not supported; sqlite and postgresql are")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError("DATABASE_URL: SQLite needs a file that several processes can share: sqlite:///bridge.db")
    return parsed
