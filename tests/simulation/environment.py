"""The clock and the database of a simulation: time that only it advances, and faults at chosen statements."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from bridge.clock import Uptime
from bridge.errors import StoreUnavailable
from bridge.sender import dispatcher, pool
from bridge.settings import Settings
from bridge.store import Store, open_store, sqlite
from bridge.store.group_commit import GroupCommitter, Request
from bridge.store.inbox import EncodedRow
from bridge.store.schema import metadata
from bridge.web import create_app, webhooks
from bridge.web.context import KEY, Context
from tests.simulation.reading import reader


class Killed(BaseException):
    """The process that executes is killed here. No handler of the product catches it."""


@dataclass(kw_only=True)
class Clock:
    """`true` seconds since the beginning; the machine's clock may be set, by `offset` seconds so far."""

    begin: datetime
    true: float = 0.0
    offset: float = 0.0

    def now(self) -> datetime:
        """The time by the machine's clock."""
        return self.begin + timedelta(seconds=self.true + self.offset)

    def uptime(self) -> Uptime:
        """The machine's uptime, which setting the clock does not change."""
        return Uptime(boot="simulated", seconds=1000 + self.true)

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.true

    @contextmanager
    def installed(self, chance: random.Random) -> Iterator[None]:
        """In place of the clocks and the dice that the product reads itself."""
        clock = self

        class VirtualDatetime(datetime):
            @classmethod
            def now(cls, tz: object = None) -> Any:
                return clock.now()

        with (
            patch.object(webhooks, "datetime", VirtualDatetime),
            patch.object(dispatcher, "time", clock),
            patch.object(pool, "time", clock),
            patch.object(pool, "random", chance),
        ):
            yield


WRITES = ("INSERT", "UPDATE", "DELETE")
FAULTS = ("error", "failed commit", "lost commit", "kill", "kill before commit", "kill after commit")


@dataclass(kw_only=True)
class StoreFaults:
    """Fails, or kills, at a later statement or commit: `fault` is one of FAULTS, after `countdown` statements.

    A lost commit is one that succeeds while its caller sees an error, as when a connection breaks.
    PostgreSQL stores a webhook without a transaction: it is stored before any of these faults of the commit.
    """

    countdown: int = 0
    fault: str | None = None
    down: bool = False  # every statement fails
    statements: int = 0
    _writes: bool = False  # since the last commit: a commit without is the end of a read
    on_fault: Callable[[str], None] = field(default=lambda _: None)

    def arm(self, fault: str, countdown: int) -> None:
        """Lets it happen after that many statements."""
        self.fault, self.countdown = fault, countdown

    def disarm(self) -> None:
        """Forgets a fault that has not happened."""
        self.fault, self.down = None, False

    def statement(self, _connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        """Called before each statement."""
        self.statements += 1
        self._writes |= text.startswith(WRITES)
        if self.down:
            raise _failure("the database is down")
        self.countdown -= 1
        if self.countdown <= 0 and self.fault in ("error", "kill"):
            self._happen()

    def commit(self, do_commit: Callable[[Any], None], connection: Any) -> None:
        """Called instead of each commit."""
        is_due = self.countdown <= 0 and self._writes
        fault = self.fault if is_due and self.fault not in ("error", "kill") else None
        self._writes = False
        if fault in ("failed commit", "kill before commit"):
            self._happen()
        do_commit(connection)
        if fault is not None:
            self._happen()

    def _happen(self) -> None:
        fault, self.fault = self.fault or "", None
        self.on_fault(fault)
        if fault.startswith("kill"):
            raise Killed
        raise _failure(fault)


def _failure(why: str) -> OperationalError:
    return OperationalError(f"simulated: {why}", None, sqlite3.OperationalError("disk I/O error"))


class InlineCommitter(GroupCommitter):
    """Stores in the calling thread."""

    def put(self, row: EncodedRow, seconds: float) -> bool:
        """As in the product, without its thread."""
        request = Request(row)
        self._queue.append(request)
        self._store_batch()
        if request.error is not None:
            raise request.error
        if not request.is_reported:
            raise StoreUnavailable("not stored")
        return request.is_new


class _NoTimer:
    """In place of the timer of a counter, whose counts nobody reads here."""

    def is_alive(self) -> bool:
        return True


class Web:
    """The web process: the application, without a server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._app = create_app(settings, store)
        context: Context = self._app.extensions[KEY]
        for counter in (context.arrivals, context.refusals):
            counter._timer = _NoTimer()  # type: ignore[assignment]

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the response."""
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        statuses: list[str] = []
        environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": str(len(body))}
        environ |= {"SERVER_NAME": "bridge.invalid", "SERVER_PORT": "443", "wsgi.url_scheme": "https"}
        streams = {"wsgi.input": BytesIO(body), "wsgi.errors": sys.stderr}
        self._app.wsgi_app({**environ, **streams}, lambda status, *_: statuses.append(status))
        return int(statuses[-1].split()[0])


class Database:
    """One database for many simulations, emptied before each. With the web process of each settings."""

    def __init__(self, url: str) -> None:
        self.faults = StoreFaults()
        self._engines: dict[Path, Engine] = {}
        self._webs: dict[int, Web] = {}
        self._make_engine = sqlite._engine
        sqlite._engine = self._sqlite_engine
        self.store: Store = open_store(url)
        self.reader = reader(url)
        opened = self.store._current()
        opened.committer = InlineCommitter(opened.committer._writing)
        if self.store.dialect == "postgresql":
            self._watch(opened.backend._engine)  # type: ignore[attr-defined]
            self._watch(opened.backend._accept_engine)  # type: ignore[attr-defined]

    def empty(self) -> None:
        """Deletes all rows and begins all ids anew."""
        self.faults.disarm()
        with self.store.transaction() as tx:
            if tx.dialect.name == "postgresql":
                names = ", ".join(table.name for table in metadata.sorted_tables)
                tx.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
            else:
                for table in metadata.sorted_tables:
                    tx.exec_driver_sql(f"DELETE FROM {table.name}")

    def web(self, settings: Settings) -> Web:
        """Made once for settings: compiling the routes takes as long as a webhook from arrival to Pulsora."""
        key = id(settings)  # the settings of simulations are made once, too
        if key not in self._webs:
            self._webs[key] = Web(settings, self.store)
        return self._webs[key]

    def close(self) -> None:
        """Closes the store."""
        self.faults.disarm()
        self.reader.close()
        self.store.close()
        sqlite._engine = self._make_engine

    def _sqlite_engine(self, path: Path) -> Engine:
        # One engine for the file, also after an error: compiling the statements anew would take most of the time.
        if path not in self._engines:
            self._engines[path] = self._make_engine(path)
            self._watch(self._engines[path])
        return self._engines[path]

    def _watch(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self.faults.statement)
        do_commit = engine.dialect.do_commit
        engine.dialect.do_commit = lambda connection: self.faults.commit(do_commit, connection)  # type: ignore[method-assign, assignment]


def opened(url: str) -> Database:
    """A migrated database."""
    store = open_store(url)
    store.migrate()
    store.close()
    return Database(url)


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
