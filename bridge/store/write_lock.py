"""The write lock of an SQLite file: all writers of all processes take it, one at a time, in order.

Two reasons. Speed: writers that queue here do not compete for SQLite's own lock, whose busy handler sleeps. Safety:
SQLite 3.7.0 to 3.51.2 can lose commits when two connections write or checkpoint at the same moment (the WAL-reset
bug), so commits, checkpoints, closing and migrations all happen under this lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import StoreUnavailable

MIN_SLEEP, MAX_SLEEP = 0.0001, 0.002
COUNTER_BYTES = 8
LOCK, QUEUE = ".write.lock", ".queue.lock"


class WriteLock:
    """One process's handle on the write lock of a database file. Created after a fork, never inherited.

    Two locks in a row make it fair: the next in line holds the queue's lock while it waits for the write lock, so that
    a busy process that returns at once queues behind those that were waiting.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + LOCK)
        self._database = database
        self._files: tuple[int, int] | None = None
        # flock does not exclude threads of one process that share a file, so each file has a lock among threads too.
        self._write, self._queue = threading.Lock(), threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def hold(self, seconds: float) -> Iterator[None]:
        """Waits for the lock, at most so long, and holds it. Raises `StoreUnavailable` when it is not free in time."""
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction within a transaction of the same thread would wait for itself")
        until = time.monotonic() + seconds
        with _among_threads(self._write, self._queue, until):
            self._holder = threading.get_ident()
            try:
                write, queue = self._opened()
                with _among_processes(write, queue, until):
                    yield
            finally:
                self._holder = None

    def add_changes(self, changes: int) -> int:
        """Adds to the changes that all processes made since the last `reset_changes`, and returns the sum.

        The counter is stored in the lock file, and is read and written only while the lock is held.
        """
        write, _ = self._opened()
        total = int.from_bytes(os.pread(write, COUNTER_BYTES, 0), "little") + changes
        os.pwrite(write, total.to_bytes(COUNTER_BYTES, "little"), 0)
        return total

    def reset_changes(self) -> None:
        """Sets the counter of changes to 0."""
        write, _ = self._opened()
        os.pwrite(write, bytes(COUNTER_BYTES), 0)

    def close(self) -> None:
        """Closes the files."""
        files, self._files = self._files, None
        for file in files or ():
            os.close(file)

    def _opened(self) -> tuple[int, int]:
        if self._files is None:
            queue = self._database.with_name(self._database.name + QUEUE)
            self._files = (_open(self.path, self._database), _open(queue, self._database))
        return self._files


def _open(path: Path, database: Path) -> int:
    """The lock file next to the database, with the database's permissions.

    Every user who may write the database may lock it: web and worker may run as different users of one group.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if database.exists() and os.fstat(file).st_uid == os.geteuid():
            os.fchmod(file, stat.S_IMODE(database.stat().st_mode))
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot open the lock file: {error.strerror}") from error
    return file


@contextmanager
def _among_threads(write: threading.Lock, queue: threading.Lock, until: float) -> Iterator[None]:
    if not queue.acquire(timeout=max(until - time.monotonic(), 0)):
        raise _timed_out()
    try:
        acquired = write.acquire(timeout=max(until - time.monotonic(), 0))
    finally:
        queue.release()
    if not acquired:
        raise _timed_out()
    try:
        yield
    finally:
        write.release()


@contextmanager
def _among_processes(write: int, queue: int, until: float) -> Iterator[None]:
    _flock(queue, until)
    try:
        _flock(write, until)
    finally:
        fcntl.flock(queue, fcntl.LOCK_UN)
    try:
        yield
    finally:
        fcntl.flock(write, fcntl.LOCK_UN)


def _flock(file: int, until: float) -> None:
    """Polls, because a blocking `flock` has no time limit."""
    sleep = MIN_SLEEP
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise _timed_out() from None
        time.sleep(sleep)
        sleep = min(sleep * 1.5, MAX_SLEEP)


def _timed_out() -> StoreUnavailable:
    return StoreUnavailable("another process has been writing to the database for too long")
