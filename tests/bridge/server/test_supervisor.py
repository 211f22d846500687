"""`serve`: child processes that are restarted, and one signal that stops them all."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge.errors import UsageError
from bridge.server.supervisor import Child, listen, worker_targets
from tests.faults.clients import charge, signed
from tests.faults.service import Service, running

UNREACHABLE = "http://127.0.0.1:9/unreachable"


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, database_url=sqlite_url, endpoint=UNREACHABLE) as service:
        yield service


def test_serve_runs_as_many_workers_as_configured() -> None:
    assert (list(worker_targets(1)), list(worker_targets(3))) == (["worker"], ["worker", "worker 2", "worker 3"])


# ---- Restarts ------------------------------------------------------------------------------------------------


class Process:
    """A fake child process."""

    exitcode = 1

    def __init__(self) -> None:
        self.is_running = True

    def is_alive(self) -> bool:
        return self.is_running


class Clock:
    """Checks on one child, tick by tick, and records its starts."""

    def __init__(self) -> None:
        self.child = Child("worker", lambda settings, parent: None)
        self.now = 1000.0
        self.started: list[float] = []

    def start(self, child: Child) -> Any:
        self.started.append(self.now)
        return Process()

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.child.keep_alive(self.start, self.now)

    def die(self) -> None:
        self.child.process.is_running = False  # type: ignore[union-attr]  # our own Process


def test_repeated_failures_delay_each_restart_longer() -> None:
    clock = Clock()
    clock.tick()

    for _ in range(8):
        clock.die()
        while not clock.child.process or not clock.child.process.is_alive():
            clock.tick(0.5)

    latencies = [later - earlier for earlier, later in zip(clock.started, clock.started[1:], strict=False)]
    assert [wait - 0.5 for wait in latencies] == [0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 30.0, 30.0]


def test_a_child_that_ran_long_is_restarted_with_the_first_delay() -> None:
    clock = Clock()
    clock.tick()
    for _ in range(3):
        clock.die()
        clock.tick(0.5)
        clock.tick(30)

    clock.tick(61)
    clock.die()
    clock.tick()
    clock.tick(0.5)

    assert clock.started[-1] == clock.now


def test_a_running_child_is_not_started_again() -> None:
    clock = Clock()

    for _ in range(5):
        clock.tick(1)

    assert clock.started == [1001.0]


# ---- One command -----------------------------------------------------------------------------------------------


def everything(service: Service) -> list[psutil.Process]:
    return [process for group in service.processes().values() for process in group]


def gone(processes: list[psutil.Process], seconds: float = 5) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_one_signal_ends_all_processes(service: Service) -> None:
    processes = everything(service)

    statuses = service.stop()

    assert len(processes) >= 4
    assert statuses == [0]
    assert gone(processes)


def test_a_request_in_progress_is_finished_before_the_end(service: Service) -> None:
    webhook = signed(charge(1))
    fields = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Content-Length: {len(webhook.body)}\r\n\r\n".encode()

    top = service.processes()["serve"][0]
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head + webhook.body[:10])
        time.sleep(0.3)  # it has to arrive before the signal
        top.terminate()
        time.sleep(0.3)
        connection.sendall(webhook.body[10:])
        response = connection.recv(4096)

    assert response.startswith(b"HTTP/1.1 200")
    assert gone([top], 20)


def test_a_second_signal_stops_at_once(service: Service) -> None:
    processes = everything(service)
    top = service.processes()["serve"][0]
    worker = service.processes()["worker"][0]
    worker.suspend()  # so that it cannot finish

    top.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert top.is_running()
    top.send_signal(signal.SIGTERM)

    assert gone(processes, 10)  # the first signal alone would wait three times as long for the worker


def test_an_occupied_address_is_reported_in_one_line(sqlite_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other_port = other.getsockname()[1]
        service = Service(tmp_path, database_url=sqlite_url, endpoint=UNREACHABLE, BIND=f"127.0.0.1:{other_port}")
        status = service.start().wait(30)

    (line,) = service.logged().splitlines()  # nothing says that it listens
    assert status == 2
    assert line == (
        f"BIND: cannot listen on 127.0.0.1:{other_port}: Address already in use."
        " Stop the other program, or choose another port: --port"
    )


def test_a_unix_socket_that_cannot_be_made_is_reported_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/web\.sock: its folder does not exist\."):
        listen(f"unix:{tmp_path}/nowhere/web.sock")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match=r"file: there is a file, and it is no socket\."):
        listen(f"unix:{tmp_path}/file")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "taken"))
        other.listen()
        with pytest.raises(UsageError, match=r"taken: another program listens there\."):
            listen(f"unix:{tmp_path}/taken")

    assert listen(f"unix:{tmp_path}/taken") is None  # a socket that nobody listens on is replaced by gunicorn
    assert listen(f"unix:{tmp_path}/new") is None


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("203.0.113.7:8000", "203.0.113.7:8000: Cannot assign requested address. Example: BIND=127.0.0.1:8000"),
        ("no.such.invalid:1", "no.such.invalid:1: Name or service not known. Example: BIND=127.0.0.1:8000"),
    ],
)
def test_an_address_of_another_machine_is_reported_in_one_line(bind: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        listen(bind)

    assert str(raised.value) == f"BIND: cannot listen on {message}"
