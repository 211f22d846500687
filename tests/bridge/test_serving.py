"""Serving: one truth for gunicorn, two processes that are kept alive, one command that stops them both."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge.serving import Part, gunicorn_options
from tests.faults.clients import charge, signed
from tests.faults.service import Service, free_port, running
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9/nobody-listens-here"


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, database_url=sqlite_url, endpoint=NOBODY) as service:
        yield service


# ---- gunicorn's options ----------------------------------------------------------------------------------------


def test_the_shipped_configuration_is_one_that_gunicorn_takes(sqlite_url: str, tmp_path: Path) -> None:
    environ = os.environ | {
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "DATABASE_URL": sqlite_url,
        "PYTHONPATH": str(ROOT),
        "WEB_THREADS": "7",
    }
    command = ["gunicorn", "--print-config", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "wsgi:app"]

    told = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )

    taken = dict(line.split("=", 1) for line in told.stdout.replace(" ", "").splitlines() if "=" in line)
    options = gunicorn_options({})
    assert taken["threads"] == "7"
    assert sorted(set(options) - set(taken)) == []
    assert taken["worker_connections"] == str(options["worker_connections"])


def test_options_are_read_without_anything_heavy_before_workers_fork() -> None:
    program = "import sys, bridge.serving as s; s.gunicorn_options(); print(*sys.modules)"

    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {"flask", "sqlalchemy", "stripe", "requests", "bridge.web"} & set(told.stdout.split())


# ---- Kept alive ------------------------------------------------------------------------------------------------


class Process:
    """Stands in for a process of the service."""

    exitcode = 1

    def __init__(self) -> None:
        self.lives = True

    def is_alive(self) -> bool:
        return self.lives


class Clock:
    """Looks after one part, tick by tick, and notes when it was started."""

    def __init__(self) -> None:
        self.part = Part("worker", lambda settings, parent: None)
        self.now = 1000.0
        self.started: list[float] = []

    def start(self, part: Part) -> Any:
        self.started.append(self.now)
        return Process()

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.part.keep_alive(self.start, self.now)

    def die(self) -> None:
        self.part.process.lives = False  # type: ignore[union-attr]  # our own Process


def test_what_dies_again_and_again_is_started_ever_more_slowly() -> None:
    clock = Clock()
    clock.tick()

    for _ in range(8):
        clock.die()
        while not clock.part.process or not clock.part.process.is_alive():
            clock.tick(0.5)

    waits = [later - earlier for earlier, later in zip(clock.started, clock.started[1:], strict=False)]
    assert [wait - 0.5 for wait in waits] == [0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 30.0, 30.0]


def test_what_lived_long_is_started_again_at_once() -> None:
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


def test_what_runs_is_left_alone() -> None:
    clock = Clock()

    for _ in range(5):
        clock.tick(1)

    assert clock.started == [1001.0]


# ---- One command -----------------------------------------------------------------------------------------------


def everything(service: Service) -> list[psutil.Process]:
    return [process for part in service.processes().values() for process in part]


def gone(processes: list[psutil.Process], seconds: float = 5) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_one_signal_ends_everything_in_order(service: Service) -> None:
    processes = everything(service)

    statuses = service.stop()

    assert len(processes) >= 4
    assert statuses == [0]
    assert gone(processes)


def test_a_request_that_is_under_way_is_finished_before_the_end(service: Service) -> None:
    webhook = signed(charge(1))
    fields = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Content-Length: {len(webhook.body)}\r\n\r\n".encode()

    top = service.processes()["serve"][0]
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head + webhook.body[:10])
        time.sleep(0.3)  # it has to be there before the signal
        top.terminate()
        time.sleep(0.3)
        connection.sendall(webhook.body[10:])
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200")
    assert gone([top], 20)


def test_a_second_signal_stops_at_once(service: Service) -> None:
    processes = everything(service)
    top = service.processes()["serve"][0]
    worker = service.processes()["worker"][0]
    worker.suspend()  # it cannot finish by itself

    top.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert top.is_running()
    began = time.monotonic()
    top.send_signal(signal.SIGTERM)

    assert gone(processes, 10)
    assert time.monotonic() - began < 5


def test_an_address_that_is_taken_is_told_in_one_line(sqlite_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        service = Service(
            tmp_path, database_url=sqlite_url, endpoint=NOBODY, BIND=f"127.0.0.1:{other.getsockname()[1]}"
        )
        status = service.start().wait(30)

    assert status == 2
    assert "BIND: cannot listen on 127.0.0.1:" in service.logged()
    assert "Traceback" not in service.logged()


# ---- Over the wire ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real gunicorn with small limits."""
    folder = tmp_path_factory.mktemp("wire")
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:///{shutil.copy(sqlite_template, folder / 'bridge.db')}",
        "MAX_BODY_BYTES": "20000",
        "BIND": f"127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "wsgi:app"]
    process = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(20)


def asked(port: int, request: bytes, *, then_close: bool = False) -> tuple[int, dict[str, Any]]:
    """The answer's status and JSON. `then_close`: nothing more will come."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        if then_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while not answer.endswith(b"}\n") and (more := connection.recv(65536)):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, json.loads(body) if body.startswith(b"{") else {}


def request_of(event: dict[str, Any], *, chunked: bool = False, length: int | None = None) -> bytes:
    """A signed webhook as bytes on the wire. `length`: what its Content-Length says instead of the truth."""
    webhook = signed(event)
    fields = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
    if not chunked:
        said = len(webhook.body) if length is None else length
        return (
            f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Content-Length: {said}\r\n\r\n".encode()
            + webhook.body
        )
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode()
    parts = [webhook.body[start : start + 700] for start in range(0, len(webhook.body), 700)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_body_in_chunks_is_taken_whole(web: int) -> None:
    status, told = asked(web, request_of(charge(1, "chunks", bytes_wanted=5000), chunked=True))

    assert (status, told) == (200, {"received": "evt_chunks_1", "duplicate": False})


def test_chunks_without_end_are_cut_at_the_limit(web: int) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, told = asked(web, head + b"3e8\r\n" + b"x" * 1000 + (b"\r\n3e8\r\n" + b"x" * 1000) * 3000)

    assert (status, told["error"]) == (413, "too_large")


def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(web: int) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\nContent-Length: 99999999999\r\n\r\n"

    status, told = asked(web, head)

    assert (status, told["error"]) == (413, "too_large")


def test_a_body_that_ends_before_its_length_is_never_stored(web: int) -> None:
    event = charge(1, "short")
    cut = asked(web, request_of(event, length=19_000), then_close=True)

    whole = asked(web, request_of(event))

    assert cut[0] in (0, 400)
    assert whole == (200, {"received": "evt_short_1", "duplicate": False})


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: abc\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Bad Header : x\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(web: int, fields: bytes) -> None:
    status, _ = asked(
        web, b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n" + fields + b"\r\nhello0\r\n\r\n", then_close=True
    )

    assert status == 400
