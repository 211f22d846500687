"""SQLite: one file, one write lock for all processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, FromClause, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from bridge.errors import StoreUnavailable
from bridge.store.write_lock import WriteLock

BUSY_SECONDS = 2.5  # how long to wait for another program that holds SQLite's own lock
WRITE_SECONDS = 30.0  # how long a worker or a command waits for the write lock
CHANGES_PER_CHECKPOINT = 4000  # rows changed; at full load a checkpoint every few seconds
CHECKPOINT_MILLISECONDS = 10_000  # how long an erasure waits for readers
INCREMENTAL = 2
PAGES_A_STEP = 100  # a step holds the write lock
PAUSE_SECONDS = 0.02  # at least as long as a step, so that those who wait get the lock
MAX_IDLE_WAL_BYTES = 64 * 1024 * 1024

PRAGMAS = (
    "PRAGMA synchronous = FULL",  # a commit is on disk before it is acknowledged
    "PRAGMA wal_autocheckpoint = 0",  # only under the write lock: see write_lock.py
    f"PRAGMA journal_size_limit = {MAX_IDLE_WAL_BYTES}",
    "PRAGMA cache_size = -8000",
    "PRAGMA temp_store = MEMORY",
)

ADVICE: Mapping[str, str] = {
    "no such table": "it has no tables yet; run `pulsora-bridge migrate`",
    "no such column": "its tables are of another version; run `pulsora-bridge migrate`",
    "database is locked": "another program holds its lock",
    "disk is full": "the disk is full",
    "readonly": "it cannot be written; check the permissions of the file and its folder",
    "unable to open": "it cannot be opened; check the permissions of the file and its folder",
}


class Sqlite:
    """One process's connections to an SQLite file."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = WriteLock(path)
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None  # device and inode when the engine was made

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads one snapshot of the file, whatever is written meanwhile."""
        with self._translated_errors(), self._current().connect() as tx, tx.begin():
            yield tx

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction, under the write lock."""
        with self.writing(WRITE_SECONDS) as tx, tx.begin():
            yield tx

    @contextmanager
    def writing(self, seconds: float) -> Iterator[Connection]:
        """A connection for write transactions, under the write lock. Runs a checkpoint when one is due."""
        with self._translated_errors(), self._lock.hold(seconds), self._connection() as tx:
            before = _driver(tx).total_changes
            yield tx
            self._checkpoint_if_due(_driver(tx), before)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write transaction for the schema. Creates a missing file and sets its journal mode, which is permanent."""
        self._create()
        with self._translated_errors(), self._lock.hold(WRITE_SECONDS):
            self._initialise()
            with self._connection() as tx:
                with tx.begin():
                    yield tx
                self._checkpoint(_driver(tx))

    def _create(self) -> None:
        """Creates the missing folder and file, which hold personal data, for their owner alone."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Only if it is missing: closing any descriptor of the file drops the locks that this process has on it, and
            # another process could then delete the log under an open connection.
            if not self._path.exists():
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's other files get the same mode
        except OSError as error:
            cure = "Create it for the user that runs the bridge, or change DATABASE_URL"
            raise StoreUnavailable(f"{self._path}: cannot be created: {error.strerror}. {cure}") from error

    def describe(self) -> dict[str, object]:
        """Facts for the operator."""
        with self.reading() as tx:
            mode = tx.exec_driver_sql("PRAGMA journal_mode").scalar()
        return {
            "dialect": self.name,
            "version": sqlite3.sqlite_version,
            "path": str(self._path),
            "bytes": self._path.stat().st_size,
            "journal_mode": mode,
            "write_lock": str(self._lock.path),
            "has_wal_reset_bug": (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3),
        }

    def compact(self, whole: bool) -> None:
        """Writes the log into the file and empties it; before that, if `whole`, writes the file anew."""
        with self._translated_errors(), self._lock.hold(WRITE_SECONDS), self._connection() as tx:
            connection = _driver(tx)
            connection.execute("PRAGMA query_only = OFF")
            if whole:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # for a file of an older version
                connection.execute("PRAGMA temp_store = FILE")  # the whole file may not fit into memory
                connection.execute("VACUUM")
                connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_MILLISECONDS}")  # readers of an older state
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
            self._lock.reset_changes()
            if is_busy and whole:
                raise StoreUnavailable(f"{self._path}: a long read keeps its log from being emptied")

    def shrink(self) -> None:
        """Gives free pages back to the disk, some at a time, so that webhooks are stored in between."""
        with self.reading() as tx:
            is_stepwise = tx.exec_driver_sql("PRAGMA auto_vacuum").scalar() == INCREMENTAL
        if not is_stepwise:  # a file of an older version, which this changes
            self.compact(whole=True)
            return
        while self._free_pages(PAGES_A_STEP):
            time.sleep(PAUSE_SECONDS)
        self.compact(whole=False)

    def _free_pages(self, number: int) -> int:
        """Moves used pages from the end of the file and cuts it there. The number of pages that are still free."""
        with self.writing(WRITE_SECONDS) as tx:
            connection = _driver(tx)
            connection.execute("PRAGMA query_only = OFF")
            connection.executescript(f"PRAGMA incremental_vacuum({number})")  # execute() would free one page
            self._checkpoint(connection)  # the log would grow by the size of the file
            return int(connection.execute("PRAGMA freelist_count").fetchone()[0])

    def close(self) -> None:
        """Closes all connections, under the write lock: closing the last one of a file checkpoints it."""
        with suppress(StoreUnavailable), self._lock.hold(BUSY_SECONDS):
            self._dispose()
        self._lock.close()

    def abandon(self) -> None:
        """In a forked child: closes the inherited lock files; the parent's connections must not be closed here."""
        self._lock.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection for writing. After an error all are reopened: one that saw a read-only file would stay so."""
        engine = self._current()
        try:
            with engine.connect() as tx:
                yield tx.execution_options(writes=True)
        except (DBAPIError, sqlite3.Error):
            with self._opening:
                self._dispose()
            raise

    def _current(self) -> Engine:
        """The connections to the file at the path now: a replaced file is opened anew."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            advice = "restore it, or run `pulsora-bridge migrate`"
            raise StoreUnavailable(f"{self._path}: {error.strerror}; {advice}") from error
        file = (found.st_dev, found.st_ino)
        with self._opening:
            if self._file != file:
                self._refuse_stale_wal()
                self._dispose()
            if self._engine is None:
                self._engine, self._file = _engine(self._path), file
            return self._engine

    def _refuse_stale_wal(self) -> None:
        """Refuses a new file next to the old file's WAL: SQLite would replay that log into it."""
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
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only in a new file, and for good
                connection.execute("PRAGMA journal_mode = WAL")

    def _checkpoint_if_due(self, connection: sqlite3.Connection, before: int) -> None:
        """Counts the changed rows of all processes; after some thousand a checkpoint is due."""
        with suppress(OSError):  # a full disk
            if self._lock.add_changes(connection.total_changes - before) >= CHANGES_PER_CHECKPOINT:
                self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):  # commits are on disk in the WAL in any case
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._lock.reset_changes()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raises `StoreUnavailable` with advice for an error of the file, the disk or a lock; bugs pass unchanged."""
        try:
            yield
        except (DBAPIError, sqlite3.Error, PoolExhausted) as error:
            if not _is_unavailable(error):
                raise
            reason = str(getattr(error, "orig", error))
            advice = next((advice for sign, advice in ADVICE.items() if sign in reason), reason)
            raise StoreUnavailable(f"{self._path}: {advice}") from error


def _is_unavailable(error: Exception) -> bool:
    """Whether the file is the cause, not a statement or a value."""
    return isinstance(error, OperationalError | PoolExhausted | sqlite3.Error) or type(error) is DatabaseError


class HintCompiler(SQLiteCompiler):
    """Writes the `INDEXED BY` hints of statements: SQLite has no statistics on how many rows have which status."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


def _engine(path: Path) -> Engine:
    pool = {"poolclass": QueuePool, "pool_size": 8, "max_overflow": 24, "pool_timeout": 2}
    engine = create_engine("sqlite://", creator=lambda: _open(path, "rw"), **pool)
    engine.dialect.statement_compiler = HintCompiler
    event.listen(engine, "begin", _begin)
    return engine


def _begin(tx: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and writes later fails with SQLITE_BUSY_SNAPSHOT when another one has
    # committed in between. Readers are query_only, since they do not hold the write lock.
    writes = bool(tx.get_execution_options().get("writes"))
    tx.exec_driver_sql(f"PRAGMA query_only = {int(not writes)}")
    tx.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """A connection without implicit transactions. Mode `rw` never creates an empty file in place of a missing one."""
    # SQLite would open a read-only file too, and create read-only -wal and -shm files that outlast the mistake.
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
