"""The clock and the database of a simulation: time that only it advances, and faults at chosen statements."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from bridge.clock import Uptime
from bridge.errors import StoreUnavailable
from bridge.sender import dispatcher, pool
from bridge.store import Store, open_store, sqlite
from bridge.store.group_commit import GroupCommitter, Request
from bridge.store.inbox import EncodedRow
from bridge.store.schema import metadata
from bridge.web import webhooks


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
    on_fault: Callable[[str], None] = field(default=lambda _: None)

    def arm(self, fault: str, countdown: int) -> None:
        """Lets it happen after that many statements."""
        self.fault, self.countdown = fault, countdown

    def disarm(self) -> None:
        """Forgets a fault that has not happened."""
        self.fault, self.down = None, False

    def statement(self, *_: Any) -> None:
        """Called before each statement."""
        self.statements += 1
        if self.down:
            raise _failure("the database is down")
        self.countdown -= 1
        if self.countdown <= 0 and self.fault in ("error", "kill"):
            self._happen()

    def commit(self, do_commit: Callable[[Any], None], connection: Any) -> None:
        """Called instead of each commit."""
        fault = self.fault if self.countdown <= 0 and self.fault not in ("error", "kill") else None
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


class Database:
    """One database for many simulations, emptied before each."""

    def __init__(self, url: str) -> None:
        self.faults = StoreFaults()
        self._engines: dict[Path, Engine] = {}
        self._make_engine = sqlite._engine
        sqlite._engine = self._sqlite_engine
        self.store: Store = open_store(url)
        opened = self.store._current()
        opened.committer = InlineCommitter(opened.committer._writing)
        if self.store.dialect == "postgresql":
            self._watch(opened.backend._engine)  # type: ignore[attr-defined]
            self._watch(opened.backend._accept_engine)  # type: ignore[attr-defined]

    def empty(self) -> None:
        """Deletes all rows and begins all ids anew."""
        self.faults.disarm()
        with self.store.transaction() as tx:
            self._empty(tx)

    def close(self) -> None:
        """Closes the store."""
        self.faults.disarm()
        self.store.close()
        sqlite._engine = self._make_engine

    def _empty(self, tx: Connection) -> None:
        if tx.dialect.name == "postgresql":
            names = ", ".join(table.name for table in metadata.sorted_tables)
            tx.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
            return
        for table in metadata.sorted_tables:
            tx.execute(table.delete())

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


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
