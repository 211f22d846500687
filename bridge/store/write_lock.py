"""The write lane of an SQLite file: all writes of all processes pass it one at a time, in turn.

Two reasons. Speed: writers that queue here do not fight over SQLite's own lock, whose busy handler sleeps. Safety:
SQLite 3.7.0 to 3.51.2 can lose commits when two connections write or checkpoint at the same moment (the WAL-reset
bug), so commits, checkpoints, closing and migrations all happen with the lane held.
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

SHORTEST_PAUSE, LONGEST_PAUSE = 0.0001, 0.002
COUNTER_BYTES = 8


class Lane:
    """One process's way into the lane of one database file. Made after the process was forked, never carried over.

    Two locks in a row make it fair: who waits next holds the gate, so that a busy process that comes straight back
    queues behind whoever was waiting.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._paths = (path, path.with_name(f"{path.name.removesuffix('.lane')}.gate.lane"))
        self._files: tuple[int, int] | None = None
        self._lane, self._gate = threading.Lock(), threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Waits for the lane, at most so long, and holds it. Raises `StoreUnavailable` when it does not come free."""
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction within a transaction of the same thread would wait for itself")
        until = time.monotonic() + seconds
        with _held(self._lane, self._gate, until):
            self._holder = threading.get_ident()
            try:
                lane, gate = self._opened()
                with _locked(lane, gate, until):
                    yield
            finally:
                self._holder = None

    def add_up(self, changes: int) -> int:
        """Adds to the changes that all processes have made since the last `start_over`, and gives the sum.

        The count lives in the lane's file, and is read and written with the lane held only.
        """
        lane, _ = self._opened()
        total = int.from_bytes(os.pread(lane, COUNTER_BYTES, 0), "little") + changes
        os.pwrite(lane, total.to_bytes(COUNTER_BYTES, "little"), 0)
        return total

    def start_over(self) -> None:
        """Begins to count changes anew."""
        lane, _ = self._opened()
        os.pwrite(lane, bytes(COUNTER_BYTES), 0)

    def close(self) -> None:
        """Lets go of the files."""
        files, self._files = self._files, None
        for file in files or ():
            os.close(file)

    def _opened(self) -> tuple[int, int]:
        if self._files is None:
            self._files = (_open(self._paths[0]), _open(self._paths[1]))
        return self._files


def _open(path: Path) -> int:
    """The lock file beside the database, made with the database's own permissions."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _share(file, path)
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot open the lock file: {error.strerror}") from error
    return file


def _share(file: int, path: Path) -> None:
    """Whoever may write the database may take its lane: web and worker may be different users of one group."""
    database = path.with_name(path.name.removesuffix(".gate.lane").removesuffix(".lane"))
    if database.exists() and os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, stat.S_IMODE(database.stat().st_mode))


@contextmanager
def _held(lane: threading.Lock, gate: threading.Lock, until: float) -> Iterator[None]:
    """The same two locks among the threads of this process."""
    if not gate.acquire(timeout=max(until - time.monotonic(), 0)):
        raise _taken()
    try:
        free = lane.acquire(timeout=max(until - time.monotonic(), 0))
    finally:
        gate.release()
    if not free:
        raise _taken()
    try:
        yield
    finally:
        lane.release()


@contextmanager
def _locked(lane: int, gate: int, until: float) -> Iterator[None]:
    """The lane's lock, taken while the gate's is held."""
    _lock(gate, until)
    try:
        _lock(lane, until)
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)
    try:
        yield
    finally:
        fcntl.flock(lane, fcntl.LOCK_UN)


def _lock(file: int, until: float) -> None:
    """Asks again and again: a blocking `flock` knows no time limit."""
    pause = SHORTEST_PAUSE
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise _taken() from None
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _taken() -> StoreUnavailable:
    return StoreUnavailable("another process has been writing to the database for too long")
