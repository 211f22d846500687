"""The intake: one thread of each process stores what has arrived, everything that waits at the moment in one commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog
from sqlalchemy import Connection

from bridge.errors import StoreUnavailable
from bridge.store import inbox
from bridge.store.inbox import Ready

log = structlog.get_logger()

MOST_AT_ONCE = 500


class Request:
    """One row on its way to the disk. `is_new` or `error` is set before `done`. `given_up`: nobody waits any more."""

    __slots__ = ("done", "error", "given_up", "is_new", "row")

    def __init__(self, row: Ready) -> None:
        self.row = row
        self.done = threading.Event()
        self.is_new = False
        self.error: StoreUnavailable | None = None
        self.given_up = False


Turn = Callable[[], AbstractContextManager[Connection]]


class Intake:
    """Takes rows of many threads, stores them batch by batch, and tells each thread of its own."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._waiting: deque[Request] = deque()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def put(self, row: Ready, seconds: float) -> bool:
        """Whether the row is new, once it is on disk. Raises `StoreUnavailable` when it is not within the time."""
        request = Request(row)
        with self._arrived:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
                self._thread.start()
            self._waiting.append(request)
            self._arrived.notify()
        if not request.done.wait(seconds):
            request.given_up = True
            raise StoreUnavailable(f"the database took nothing for {seconds:.1f} seconds")
        if request.error is not None:
            raise request.error
        return request.is_new

    def close(self, seconds: float) -> None:
        """Stores what still waits, and ends the thread."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while self._some_wait():
            self._store_waiting()

    def _some_wait(self) -> bool:
        with self._arrived:
            while not self._waiting and not self._closing:
                self._arrived.wait()
            return bool(self._waiting)

    def _store_waiting(self) -> None:
        """Takes what waits only once the way is free, so that what arrived meanwhile goes along."""
        batch: list[Request] = []
        try:
            with self._turn() as tx:
                batch = self._taken()
                _store(tx, batch)
        except StoreUnavailable as error:
            log.warning("not_stored", reason=str(error))
            _refuse(batch or self._taken(), error)
        except Exception as error:  # whatever it is, the thread lives on and nobody waits in vain
            log.error("not_stored", reason=f"{type(error).__name__}: {error}")
            self._store_singly(batch or self._taken())

    def _store_singly(self, batch: Sequence[Request]) -> None:
        """Stores what can be stored of a batch that failed as a whole: one odd row must not take others with it."""
        for request in batch:
            try:
                with self._turn() as tx:
                    _store(tx, [request])
            except Exception as error:
                reason = f"this event could not be stored: {type(error).__name__}"
                _refuse([request], error if isinstance(error, StoreUnavailable) else StoreUnavailable(reason))

    def _taken(self) -> list[Request]:
        with self._arrived:
            count = min(len(self._waiting), MOST_AT_ONCE)
            taken = [self._waiting.popleft() for _ in range(count)]
        return [request for request in taken if not request.given_up]


def _store(tx: Connection, batch: Sequence[Request]) -> None:
    """One commit for all; then each is told."""
    with tx.begin():
        fresh = inbox.store(tx, [request.row for request in batch])
    for request, is_new in zip(batch, fresh, strict=True):
        request.is_new = is_new
        request.done.set()


def _refuse(batch: Sequence[Request], error: StoreUnavailable) -> None:
    for request in batch:
        if not request.done.is_set():
            request.error = error
            request.done.set()
