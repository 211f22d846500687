"""Several services on one database: no lock errors, no duplicates, and one rate limit for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import LoadGenerator
from tests.faults.consistency import check_consistency, integrity
from tests.faults.service import SECRETS, Service, running
from tests.settings import TOKEN

TROUBLE = ("locked", "Traceback", '"level": "error"')
EVENTS = 300
ENOUGH = 800  # where everybody writes at once, the first is refused among the first few hundred


def start_services(
    folder: Path, database_url: str, pulsora: FakePulsora, stack: ExitStack, disabled: str | None = None, **more: str
) -> list[Service]:
    """Two services, one with four web processes, and two more workers, on one database."""
    for name in ("one", "two"):
        (folder / name).mkdir()
    shared = {"database_url": database_url, "endpoint": pulsora.endpoint, "disabled": disabled, **more}
    one = stack.enter_context(running(folder / "one", WEB_WORKERS="4", **shared))
    two = stack.enter_context(running(folder / "two", **shared))
    one.start("worker")
    one.start("worker")
    return [one, two]


def test_two_services_and_four_workers_share_a_postgresql(postgresql_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, postgresql_url, pulsora, stack)
        with LoadGenerator(ports=ports(services), threads=8, pause_seconds=0.01) as clients:
            clients.await_acknowledged(EVENTS, 60)

        assert_consistent(clients, services, postgresql_url, pulsora)


def test_many_clients_at_two_services_and_four_workers_on_one_file_are_served_without_a_refusal(
    sqlite_url: str, tmp_path: Path
) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, sqlite_url, pulsora, stack)
        with LoadGenerator(ports=ports(services), threads=48) as clients:
            clients.await_acknowledged(ENOUGH, 120)

        assert_consistent(clients, services, sqlite_url, pulsora)
    assert integrity(Path(sqlite_url.removeprefix("sqlite:///"))) == "ok"


def test_without_the_write_lock_some_of_many_clients_are_refused(sqlite_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, sqlite_url, pulsora, stack, "no_write_lock")
        with LoadGenerator(ports=ports(services), threads=48) as clients:
            _await(lambda: bool(clients.refused), 120)
        refusals = [line for service in services for line in service.logs_of("another program holds its lock")]

    assert refusals


def test_all_of_them_together_keep_the_budget(sqlite_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, sqlite_url, pulsora, stack, RATE_LIMIT_PER_HOUR="100")
        with LoadGenerator(ports=ports(services), threads=8, customers=10**9) as clients:
            clients.await_acknowledged(200, 60)
        _await(lambda: len(pulsora.received) >= 100)
        time.sleep(2)  # time for requests that must not be sent

        assert len(pulsora.received) == 100


def ports(services: list[Service]) -> tuple[int, ...]:
    return tuple(service.port for service in services)


def assert_consistent(clients: LoadGenerator, services: list[Service], database_url: str, pulsora: FakePulsora) -> None:
    """Everything arrived once, nothing was refused, and no log has an error or a secret."""
    check_consistency([clients], database_url, pulsora).assert_consistent(resends=0)
    assert clients.refused == []
    for service in services:
        assert service.logs_of(*TROUBLE) == []
        assert service.logs_of(*SECRETS) == []


def _await(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.05)
