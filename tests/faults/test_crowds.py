"""Several services on one database: nobody is told that it is locked, nothing is sent twice, the budget holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import Crowd
from tests.faults.reckoning import integrity, reckon
from tests.faults.service import SECRETS, Service, running
from tests.settings import TOKEN

TROUBLE = ("locked", "Traceback", '"level": "error"')
EVENTS = 600


def crowded(
    folder: Path, database_url: str, ingest: FakePulsora, stack: ExitStack, guard: str | None = None, **more: str
) -> list[Service]:
    """Two services, one with four web processes, and two more workers, on one database."""
    for name in ("one", "two"):
        (folder / name).mkdir()
    shared = {"database_url": database_url, "endpoint": ingest.endpoint, "guard": guard, **more}
    one = stack.enter_context(running(folder / "one", WEB_WORKERS="4", **shared))
    two = stack.enter_context(running(folder / "two", **shared))
    one.start("worker")
    one.start("worker")
    return [one, two]


def test_two_services_and_four_workers_share_one_database(database_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as ingest, ExitStack() as stack:
        services = crowded(tmp_path, database_url, ingest, stack)
        ports = tuple(service.port for service in services)
        with Crowd(ports=ports, threads=8, pause_seconds=0.01) as crowd:
            crowd.await_acknowledged(EVENTS, 60)
        found = reckon([crowd], database_url, ingest)

        found.demand_truth(resends=0)
        assert crowd.refused == []
        for service in services:
            assert service.logs_of(*TROUBLE) == []
            assert service.logs_of(*SECRETS) == []
    if database_url.startswith("sqlite"):
        assert integrity(Path(database_url.removeprefix("sqlite:///"))) == "ok"


@pytest.mark.parametrize("guard", [None, "lane"])
def test_a_throng_is_served_without_a_refusal_and_is_not_where_everybody_writes_at_once(
    sqlite_url: str, tmp_path: Path, guard: str | None
) -> None:
    with FakePulsora(TOKEN) as ingest, ExitStack() as stack:
        services = crowded(tmp_path, sqlite_url, ingest, stack, guard)
        with Crowd(ports=tuple(service.port for service in services), threads=48) as throng:
            throng.await_acknowledged(3000, 120)
        told = [line for service in services for line in service.logs_of("another program holds its lock")]

    assert bool(throng.refused) == bool(told) == (guard == "lane")


def test_all_of_them_together_keep_the_budget(sqlite_url: str, tmp_path: Path) -> None:
    with FakePulsora(TOKEN) as ingest, ExitStack() as stack:
        services = crowded(tmp_path, sqlite_url, ingest, stack, RATE_LIMIT_PER_HOUR="100")
        with Crowd(ports=(services[0].port, services[1].port), threads=8, customers=10**9) as crowd:
            crowd.await_acknowledged(300, 60)
        _await(lambda: len(ingest.received) >= 100)
        time.sleep(2)  # for what must not come

        assert len(ingest.received) == 100


def _await(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)
