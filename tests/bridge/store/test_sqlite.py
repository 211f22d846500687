"""One file, one write lock: no writer starves, nothing is lost, and an error of the file ends with its cause."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from bridge.errors import StoreUnavailable
from bridge.store import Store, inbox, leases, open_store, sqlite
from tests.bridge.store.builders import NOON, SOON, a_webhook, statuses
from tests.bridge.store.processes import ended, started

NOBODY = 65534
Trouble = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture
def path(sqlite_store: Store) -> Path:
    return Path(str(sqlite_store.describe()["path"]))


# ---- Trouble ---------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds SQLite's own lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file can grow any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def vanished(path: Path) -> Iterator[None]:
    """The file is moved away, and comes back."""
    away = path.with_name("away.db")
    path.rename(away)
    yield
    assert not path.exists()
    away.rename(path)


@pytest.mark.parametrize("trouble", [locked, full_disk, vanished])
def test_while_there_is_trouble_nothing_is_accepted_and_afterwards_everything(
    sqlite_store: Store, path: Path, trouble: Trouble
) -> None:
    sqlite_store.accept(a_webhook("evt_before"))
    began = time.monotonic()

    with trouble(path), pytest.raises(StoreUnavailable):
        sqlite_store.accept(a_webhook("evt_meanwhile", body=os.urandom(100_000)))

    assert time.monotonic() - began < SOON
    assert sqlite_store.accept(a_webhook("evt_meanwhile")) is True
    assert set(statuses(sqlite_store)) == {"evt_before", "evt_meanwhile"}


@pytest.mark.parametrize("trouble", [locked, full_disk, vanished])
def test_a_worker_gets_an_error_meanwhile_and_continues_afterwards(
    sqlite_store: Store, path: Path, trouble: Trouble
) -> None:
    big = os.urandom(1_000_000).hex()

    with trouble(path), pytest.raises(StoreUnavailable), sqlite_store.transaction() as tx:
        leases.heartbeat(tx, big, NOON)

    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)
    with sqlite_store.reading() as tx:
        assert leases.heartbeats(tx) == {"worker": NOON}


def test_a_crowd_that_waits_for_a_locked_database_is_answered_in_time(sqlite_store: Store, path: Path) -> None:
    waited: list[float] = []

    def send(number: int) -> None:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            sqlite_store.accept(a_webhook(f"evt_{number}"))
        waited.append(time.monotonic() - began)

    with locked(path):
        threads = [threading.Timer(number / 20, send, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(waited) == 40
    assert max(waited) < SOON


def test_a_file_that_was_read_only_is_written_again_once_it_may_be() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    store = open_store(f"sqlite:///{folder}/bridge.db")
    with as_nobody():
        store.migrate()
        store.accept(a_webhook("evt_before"))
        store.close()
        (folder / "bridge.db").chmod(0o444)

        with pytest.raises(StoreUnavailable, match="permissions"):
            store.accept(a_webhook("evt_meanwhile"))

        (folder / "bridge.db").chmod(0o644)
        assert store.accept(a_webhook("evt_after")) is True
        store.close()
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_was_replaced_is_opened_anew(sqlite_store: Store, sqlite_template: Path, path: Path) -> None:
    sqlite_store.accept(a_webhook("evt_old"))
    sqlite_store.close()

    os.replace(shutil.copy(sqlite_template, path.with_name("restored.db")), path)

    assert statuses(sqlite_store) == {}
    assert sqlite_store.accept(a_webhook("evt_new")) is True


def test_a_file_replaced_next_to_the_log_of_the_old_one_is_refused(
    sqlite_store: Store, sqlite_template: Path, path: Path
) -> None:
    sqlite_store.accept(a_webhook("evt_old"))

    os.replace(shutil.copy(sqlite_template, path.with_name("restored.db")), path)

    with pytest.raises(StoreUnavailable, match="replaced while in use"):
        sqlite_store.accept(a_webhook("evt_new"))
    path.with_name("bridge.db-wal").unlink()
    path.with_name("bridge.db-shm").unlink()
    assert sqlite_store.accept(a_webhook("evt_new")) is True


# ---- The write lock --------------------------------------------------------------------------------------------


def test_a_busy_process_does_not_starve_another(sqlite_store: Store, sqlite_url: str) -> None:
    busy = started("hold", sqlite_url, count=10_000)
    assert busy.stdout is not None
    assert busy.stdout.readline() == "holding\n"

    waits = []
    for number in range(20):
        began = time.monotonic()
        sqlite_store.accept(a_webhook(f"evt_{number}"))
        waits.append(time.monotonic() - began)

    busy.kill()
    busy.communicate()
    assert sorted(waits)[10] < 1


def test_a_busy_thread_does_not_starve_another(sqlite_store: Store) -> None:
    stop = threading.Event()

    def hold() -> None:
        while not stop.is_set():
            with sqlite_store.transaction() as tx:
                leases.heartbeat(tx, "busy", NOON)
                time.sleep(0.01)

    busy = threading.Thread(target=hold)
    busy.start()
    began = time.monotonic()
    for number in range(20):
        sqlite_store.accept(a_webhook(f"evt_{number}"))
    took = time.monotonic() - began

    stop.set()
    busy.join()
    assert took < SOON


def test_a_process_that_is_killed_while_it_writes_leaves_the_lock_free(sqlite_store: Store, sqlite_url: str) -> None:
    busy = started("hold", sqlite_url, count=10_000)
    assert busy.stdout is not None
    busy.stdout.readline()

    busy.kill()
    busy.communicate()

    assert sqlite_store.accept(a_webhook("evt_1")) is True


def test_a_transaction_within_a_transaction_is_an_error_and_no_standstill(sqlite_store: Store) -> None:
    with (
        sqlite_store.transaction(),
        pytest.raises(RuntimeError, match="within a transaction"),
        sqlite_store.transaction(),
    ):
        pass

    assert sqlite_store.accept(a_webhook("evt_1")) is True


def test_all_commits_are_on_disk_and_only_the_lock_holder_checkpoints(sqlite_store: Store) -> None:
    facts = sqlite_store.describe()

    with sqlite_store.transaction() as tx:
        pragmas = {name: tx.execute(text(f"PRAGMA {name}")).scalar() for name in ("synchronous", "wal_autocheckpoint")}

    assert facts["journal_mode"] == "wal"
    assert pragmas == {"synchronous": 2, "wal_autocheckpoint": 0}


def test_the_log_does_not_grow_for_ever(sqlite_store: Store, path: Path) -> None:
    sizes = []
    for batch in range(30):
        rows = [inbox.encode_row(a_webhook(f"evt_{batch}_{number}", body=os.urandom(1000))) for number in range(500)]
        with sqlite_store.transaction() as tx:
            inbox.insert_new(tx, rows)
        sizes.append(path.with_name("bridge.db-wal").stat().st_size)

    assert sizes[-1] < 1.01 * sizes[len(sizes) // 2]  # a few pages more, as the indexes grow
    assert path.stat().st_size > 10_000_000


def test_closing_leaves_one_whole_file(sqlite_store: Store, path: Path) -> None:
    sqlite_store.accept(a_webhook("evt_1"))

    sqlite_store.close()

    assert not path.with_name("bridge.db-wal").exists()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT event_id FROM inbox").fetchall() == [("evt_1",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///bridge.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    store.migrate()

    assert (tmp_path / "bridge.db").exists()
    store.close()


def test_a_path_with_odd_characters_is_fine(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a ?b#c%20é.db")

    store.migrate()

    assert store.accept(a_webhook("evt_1")) is True
    store.close()


def test_readers_in_other_processes_do_not_stop_writers(sqlite_store: Store, sqlite_url: str) -> None:
    with sqlite_store.reading() as tx:
        inbox.counts(tx)

        ended(started("accept", sqlite_url, count=5))

        assert inbox.counts(tx) == {}
    assert len(statuses(sqlite_store)) == 5


# ---- Space -----------------------------------------------------------------------------------------------------


def filled_and_emptied(store: Store) -> None:
    """Leaves some hundred pages free."""
    with store.transaction() as tx:
        tx.execute(text("CREATE TABLE filling (content BLOB)"))
        tx.execute(text("INSERT INTO filling VALUES (zeroblob(1000000))"))
        tx.execute(text("DROP TABLE filling"))


def test_space_is_given_back_in_steps_between_which_others_write(
    sqlite_store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_and_emptied(sqlite_store)
    sqlite_store.compact(whole=False)
    before = path.stat().st_size
    others: list[bool] = []

    def other_writes(seconds: float) -> None:
        others.append(sqlite_store.accept(a_webhook(f"evt_{len(others)}")))

    monkeypatch.setattr(sqlite, "PAGES_A_STEP", 50)
    monkeypatch.setattr(sqlite, "time", SimpleNamespace(sleep=other_writes))
    sqlite_store.shrink()

    assert len(others) >= 3  # 1,000,000 bytes are 244 pages
    assert all(others)
    assert before - path.stat().st_size > 900_000


def test_a_file_that_cannot_give_back_space_in_steps_is_written_anew(sqlite_store: Store, path: Path) -> None:
    sqlite_store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM; PRAGMA journal_mode = WAL")
        assert old.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    filled_and_emptied(sqlite_store)
    sqlite_store.compact(whole=False)
    before = path.stat().st_size

    sqlite_store.shrink()

    assert before - path.stat().st_size > 900_000
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert new.execute("PRAGMA journal_mode").fetchone() == ("wal",)
