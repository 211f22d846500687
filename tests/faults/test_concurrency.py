"""Several services on one database: no lock errors, no duplicates, and one rate limit for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import LoadGenerator
from tests.faults.consistency import check_consistency, integrity
from tests.faults.service import SECRETS, Service, running
from tests.settings import TOKEN

TROUBLE = ("locked", "Traceback", '"level": "error"')
EVENTS = 600
ENOUGH = 2000  # where everybody writes at once, the first is refused among the first few hundred


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


def test_two_services_and_four_workers_share_one_database(database_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, database_url, pulsora, stack)
        ports = tuple(service.port for service in services)
        with LoadGenerator(ports=ports, threads=8, pause_seconds=0.01) as clients:
            clients.await_acknowledged(EVENTS, 60)
        found = check_consistency([clients], database_url, pulsora)

        found.assert_consistent(resends=0)
        assert clients.refused == []
        for service in services:
            assert service.logs_of(*TROUBLE) == []
            assert service.logs_of(*SECRETS) == []
    if database_url.startswith("sqlite"):
        assert integrity(Path(database_url.removeprefix("sqlite:///"))) == "ok"


@pytest.mark.parametrize("disabled", [None, "no_write_lock"])
def test_a_throng_is_served_without_a_refusal_and_is_not_where_everybody_writes_at_once(
    sqlite_url: str, tmp_path: Path, disabled: str | None
) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, sqlite_url, pulsora, stack, disabled)
        with LoadGenerator(ports=tuple(service.port for service in services), threads=48) as clients:
            # where nothing is to be refused, many; else until something is
            _await(lambda: len(clients.acknowledged) >= ENOUGH or bool(disabled and clients.refused), 120)
        refusals = [line for service in services for line in service.logs_of("another program holds its lock")]

    assert bool(clients.refused) == bool(refusals) == (disabled == "no_write_lock")


def test_all_of_them_together_keep_the_budget(sqlite_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as pulsora, ExitStack() as stack:
        services = start_services(tmp_path, sqlite_url, pulsora, stack, RATE_LIMIT_PER_HOUR="100")
        with LoadGenerator(ports=(services[0].port, services[1].port), threads=8, customers=10**9) as clients:
            clients.await_acknowledged(300, 60)
        _await(lambda: len(pulsora.received) >= 100)
        time.sleep(2)  # time for requests that must not be sent

        assert len(pulsora.received) == 100


def _await(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.05)
