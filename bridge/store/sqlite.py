"""SQLite: one file, any number of readers, and one write lane for all processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, FromClause, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from bridge.errors import StoreUnavailable
from bridge.store.write_lock import Lane

BUSY_SECONDS = 2.5  # for another program that holds SQLite's own lock
PATIENCE_SECONDS = 30.0  # of a worker or a command, for the lane
CHANGES_A_CHECKPOINT = 4000  # rows changed; under full load a checkpoint every few seconds
KEPT_WAL_BYTES = 64 * 1024 * 1024

PRAGMAS = (
    "PRAGMA synchronous = FULL",  # a commit is on disk before it is acknowledged
    "PRAGMA wal_autocheckpoint = 0",  # only with the lane held
    f"PRAGMA journal_size_limit = {KEPT_WAL_BYTES}",
    "PRAGMA cache_size = -8000",
    "PRAGMA temp_store = MEMORY",
)

ADVICE: Mapping[str, str] = {
    "no such table": "it has no tables yet; run `pulsora-bridge migrate`",
    "no such column": "its tables are of another version; run `pulsora-bridge migrate`",
    "database is locked": "another program holds its lock",
    "disk is full": "the disk is full",
    "readonly": "it cannot be written to; see the permissions of the file and its folder",
    "unable to open": "it cannot be opened; see the permissions of the file and its folder",
}


class Sqlite:
    """One process's connections to an SQLite file."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lane = Lane(path.with_name(f"{path.name}.lane"))
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None  # which file it was when the engine was made

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the file, whoever writes meanwhile."""
        with self._plain_errors(), self._current().connect() as tx, tx.begin():
            yield tx

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction, with the lane held."""
        with self.turn(PATIENCE_SECONDS) as tx, tx.begin():
            yield tx

    @contextmanager
    def turn(self, seconds: float) -> Iterator[Connection]:
        """The lane, with a connection on which a write transaction may begin. Now and then a checkpoint ends it."""
        with self._plain_errors(), self._lane.turn(seconds), self._writing() as tx:
            before = _driver(tx).total_changes
            yield tx
            self._now_and_then(_driver(tx), before)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write transaction for the schema; the file is made if there is none, and its journal mode set for good."""
        if not self._path.parent.is_dir():
            raise StoreUnavailable(f"{self._path}: its folder does not exist")
        with self._plain_errors(), self._lane.turn(PATIENCE_SECONDS):
            self._initialise()
            with self._writing() as tx:
                with tx.begin():
                    yield tx
                self._checkpoint(_driver(tx))

    def describe(self) -> dict[str, object]:
        """What an operator may want to know of it."""
        with self.reading() as tx:
            mode = tx.exec_driver_sql("PRAGMA journal_mode").scalar()
        return {
            "dialect": self.name,
            "version": sqlite3.sqlite_version,
            "path": str(self._path),
            "bytes": self._path.stat().st_size,
            "journal_mode": mode,
            "lane": str(self._lane.path),
            "has_wal_reset_bug": (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3),
        }

    def close(self) -> None:
        """Closes all connections, with the lane held: the last one to close a file checkpoints it."""
        with suppress(StoreUnavailable), self._lane.turn(BUSY_SECONDS):
            self._dispose()
        self._lane.close()

    def abandon(self) -> None:
        """For a process that was forked: lets go of the parent's lane; its connections are not ours to close."""
        self._lane.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A connection for writing. After trouble all are opened anew: one that found a file read-only stays so."""
        engine = self._current()
        try:
            with engine.connect() as tx:
                yield tx.execution_options(writes=True)
        except (DBAPIError, sqlite3.Error):
            with self._opening:
                self._dispose()
            raise

    def _current(self) -> Engine:
        """The connections to the file that lies there now: one that was replaced is opened anew."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            advice = "restore it, or run `pulsora-bridge migrate`"
            raise StoreUnavailable(f"{self._path}: {error.strerror}; {advice}") from error
        file = (found.st_dev, found.st_ino)
        with self._opening:
            if self._file != file:
                self._demand_clean_change()
                self._dispose()
            if self._engine is None:
                self._engine, self._file = _engine(self._path), file
            return self._engine

    def _demand_clean_change(self) -> None:
        """A new file beside the old one's log is not opened: SQLite would replay that log into it."""
        log = Path(f"{self._path}-wal")
        if self._file is not None and log.exists() and log.stat().st_size:
            advice = f"stop everything, remove {log.name}, start again"
            raise StoreUnavailable(f"{self._path}: was replaced while in use; {advice}")

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    def _initialise(self) -> None:
        with _connected(self._path, "rwc") as connection:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")

    def _now_and_then(self, connection: sqlite3.Connection, before: int) -> None:
        """Counts what was changed; after some thousand changes, by whomever, a checkpoint is due."""
        with suppress(OSError):  # a full disk
            if self._lane.add_up(connection.total_changes - before) >= CHANGES_A_CHECKPOINT:
                self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):  # what was committed is on disk in any case
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._lane.start_over()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Says what the operator can do about an error of the file, the disk or a lock. Our own mistakes pass."""
        try:
            yield
        except (DBAPIError, sqlite3.Error, PoolExhausted) as error:
            if not _is_trouble(error):
                raise
            reason = str(getattr(error, "orig", error))
            advice = next((advice for sign, advice in ADVICE.items() if sign in reason), reason)
            raise StoreUnavailable(f"{self._path}: {advice}") from error


def _is_trouble(error: Exception) -> bool:
    """Whether it is the file's fault, and not that of a statement or a value."""
    return isinstance(error, OperationalError | PoolExhausted | sqlite3.Error) or type(error) is DatabaseError


class Hinted(SQLiteCompiler):
    """Writes `INDEXED BY` where a statement asks for it: SQLite knows nothing of how many rows have which status."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


def _engine(path: Path) -> Engine:
    pool = {"poolclass": QueuePool, "pool_size": 8, "max_overflow": 24, "pool_timeout": 2}
    engine = create_engine("sqlite://", creator=lambda: _open(path, "rw"), **pool)
    engine.dialect.statement_compiler = Hinted
    event.listen(engine, "begin", _begin)
    return engine


def _begin(tx: Connection) -> None:
    """Write transactions take SQLite's lock at once: one that reads first could not be let through later.

    The others cannot write at all, since they have no lane.
    """
    writes = bool(tx.get_execution_options().get("writes"))
    tx.exec_driver_sql(f"PRAGMA query_only = {int(not writes)}")
    tx.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in which `begin` is ours to say. Mode `rw` never makes an empty file in place of a lost one.

    SQLite would open a read-only file too, and leave read-only files beside it that outlast the mistake.
    """
    if path.exists() and not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise sqlite3.OperationalError("readonly")
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    connection = _open(path, mode)
    try:
        yield connection
    finally:
        connection.close()


def _driver(tx: Connection) -> sqlite3.Connection:
    connection = tx.connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection
