"""A real gunicorn with the shipped configuration: its settings, and requests over sockets."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from bridge.server.gunicorn_config import gunicorn_options
from bridge.web import create_app
from bridge.web.context import KEY
from tests.faults.clients import charge, signed
from tests.faults.service import free_port
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN, some_settings

ROOT = Path(__file__).resolve().parents[3]
COMMAND = ["gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "bridge:create_app()"]
SERVE = ["bridge.cli", "serve"]


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        **more,
    }


def ended(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environ_of(folder, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def configuration(folder: Path, **more: str) -> dict[str, str]:
    """gunicorn's own view of its options."""
    printed = ended([*COMMAND, "--print-config"], folder, **more)
    assert printed.returncode == 0, printed.stderr
    return dict(line.split("=", 1) for line in printed.stdout.replace(" ", "").splitlines() if "=" in line)


# ---- Settings --------------------------------------------------------------------------------------------------


def test_gunicorn_accepts_every_option_of_the_shipped_configuration(tmp_path: Path) -> None:
    accepted = configuration(tmp_path, WEB_THREADS="7")

    options = gunicorn_options(some_settings("sqlite:///bridge.db"))
    assert accepted["threads"] == "7"
    assert sorted(set(options) - set(accepted)) == []
    assert accepted["worker_connections"] == str(options["worker_connections"])


def test_gunicorn_reads_the_env_file_and_secret_files_as_serve_does(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_THREADS=9\nWEB_WORKERS=3\n")
    (tmp_path / "bind").write_text("127.0.0.1:7654\n")

    accepted = configuration(tmp_path, BIND_FILE=str(tmp_path / "bind"), WEB_WORKERS="4")

    assert (accepted["threads"], accepted["workers"]) == ("9", "4")
    assert accepted["bind"] == "['127.0.0.1:7654']"


def test_invalid_settings_end_gunicorn_as_they_end_serve(tmp_path: Path) -> None:
    wrong = {"WEB_THREADS": "many", "BIND": "nowhere", "PULSORA_SECRET_TOKEN": "pub_fake"}

    gunicorn, serve = ended(COMMAND, tmp_path, **wrong), ended(SERVE, tmp_path, **wrong)

    assert gunicorn.returncode == serve.returncode == 2
    assert gunicorn.stderr == serve.stderr
    assert [line.partition(":")[0] for line in gunicorn.stderr.splitlines()] == [
        "BIND",
        "WEB_THREADS",
        "PULSORA_SECRET_TOKEN",
    ]


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("bridge.server.gunicorn_config", {"flask", "sqlalchemy", "stripe", "requests", "bridge.web"}),
        (
            "bridge.web",
            {"marshmallow", "prometheus_client", "apprise", "bridge.alerts.monitor", "bridge.ledger.emission"},
        ),
    ],
)
def test_a_web_process_imports_at_its_start_only_what_all_requests_need(module: str, unused: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not unused & set(ran.stdout.split())


def test_serve_imports_neither_rich_nor_what_only_commands_need() -> None:
    program = """
import sys
import bridge.cli.run
from bridge import log
log.configure()
import bridge.web, bridge.worker.loop
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {"rich", "alembic", "stripe", "apprise", "bridge.cli.dev"} & set(ran.stdout.split())


def test_the_records_of_a_web_process_are_values_which_take_no_time_to_define() -> None:
    program = """
import inspect, sys
import bridge.cli.run, bridge.web
packages = ("bridge.store", "bridge.monitoring", "bridge.web", "bridge.reconciliation", "bridge.privacy")
for name, module in sys.modules.items():
    for _, one in inspect.getmembers(module, inspect.isclass) if name.startswith(packages) else ():
        if one.__module__ == name and "__dataclass_params__" in vars(one) and one.__dataclass_params__.frozen:
            print(one)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == ""


def test_a_web_process_opens_the_database_before_it_serves(sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "bridge.db")
    settings = some_settings(f"sqlite:///{tmp_path / 'bridge.db'}")
    app = create_app(settings)
    store = app.extensions[KEY].store

    gunicorn_options(settings)["post_worker_init"](SimpleNamespace(wsgi=app))

    assert store._opened.backend._engine.pool.checkedin() == 1
    store.close()


def test_a_web_process_serves_without_a_database_and_with_any_application(tmp_path: Path) -> None:
    settings = some_settings(f"sqlite:///{tmp_path / 'missing.db'}")
    started = gunicorn_options(settings)["post_worker_init"]

    applications: list[object] = [create_app(settings), Flask("another"), lambda environ, start_response: []]
    for application in applications:
        started(SimpleNamespace(wsgi=application))

    assert not (tmp_path / "missing.db").exists()


# ---- Over sockets ----------------------------------------------------------------------------------------------


@contextmanager
def gunicorn(template: Path, folder: Path, **more: str) -> Iterator[int]:
    """The port of a running gunicorn."""
    port = free_port()
    shutil.copy(template, folder / "bridge.db")
    environ = environ_of(folder, BIND=f"127.0.0.1:{port}", **more)
    process = subprocess.Popen([sys.executable, "-m", *COMMAND], cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def web(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a gunicorn with a small limit."""
    with gunicorn(sqlite_template, tmp_path_factory.mktemp("small"), MAX_BODY_BYTES="20000") as port:
        yield port


@pytest.fixture(scope="module")
def large(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a gunicorn with a large limit and a single thread."""
    only_one = {"WEB_WORKERS": "1", "WEB_THREADS": "1"}
    with gunicorn(sqlite_template, tmp_path_factory.mktemp("large"), MAX_BODY_BYTES="8388608", **only_one) as port:
        yield port


def post(port: int, request: bytes, *, then_close: bool = False) -> tuple[int, dict[str, Any]]:
    """The response's status and JSON. `then_close`: half closes the connection after the request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        if then_close:
            connection.shutdown(socket.SHUT_WR)
        response = b""
        while not response.endswith(b"}\n") and (more := connection.recv(65536)):
            response += more
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, json.loads(body) if body.startswith(b"{") else {}


def request_of(event: dict[str, Any], *, chunked: bool = False, length: int | None = None) -> bytes:
    """A signed webhook as an HTTP request. `length`: a false Content-Length."""
    webhook = signed(event)
    fields = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
    if not chunked:
        declared = len(webhook.body) if length is None else length
        return (
            f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Content-Length: {declared}\r\n\r\n".encode()
            + webhook.body
        )
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode()
    parts = [webhook.body[start : start + 700] for start in range(0, len(webhook.body), 700)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_body_in_chunks_is_taken_whole(web: int) -> None:
    status, response = post(web, request_of(charge(1, "chunks", min_bytes=5000), chunked=True))

    assert (status, response) == (200, {"received": "evt_chunks_1", "duplicate": False})


def test_chunks_without_end_are_cut_at_the_limit(web: int) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, response = post(web, head + b"3e8\r\n" + b"x" * 1000 + (b"\r\n3e8\r\n" + b"x" * 1000) * 3000)

    assert (status, response["error"]) == (413, "too_large")


def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(web: int) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\nContent-Length: 99999999999\r\n\r\n"

    status, response = post(web, head)

    assert (status, response["error"]) == (413, "too_large")


def test_a_body_that_ends_before_its_length_is_never_stored(web: int) -> None:
    event = charge(1, "short")
    cut = post(web, request_of(event, length=19_000), then_close=True)

    whole = post(web, request_of(event))

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
    status, _ = post(
        web, b"POST /webhooks/stripe HTTP/1.1\r\nHost: b\r\n" + fields + b"\r\nhello0\r\n\r\n", then_close=True
    )

    assert status == 400


# ---- One limit for bodies with a length and bodies in chunks -----------------------------------------------------

THREE_MB = 3_000_000


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_body_of_3_mb_is_stored_when_the_limit_allows_it(large: int, chunked: bool) -> None:
    tag = f"large_{chunked}".lower()

    status, response = post(large, request_of(charge(1, tag, min_bytes=THREE_MB), chunked=chunked))

    assert (status, response) == (200, {"received": f"evt_{tag}_1", "duplicate": False})


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_body_of_3_mb_is_refused_when_the_limit_is_lower(web: int, chunked: bool) -> None:
    status, response = post(web, request_of(charge(1, "refused", min_bytes=THREE_MB), chunked=chunked))

    assert (status, response["error"]) == (413, "too_large")


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_slow_sender_of_3_mb_holds_no_thread(large: int, chunked: bool) -> None:
    tag = f"slow_{chunked}".lower()
    slow = request_of(charge(1, tag, min_bytes=THREE_MB), chunked=chunked)

    with socket.create_connection(("127.0.0.1", large), timeout=30) as connection:
        connection.sendall(slow[:-1000])
        other, _ = post(large, request_of(charge(2, tag)))  # before the slow one has sent all
        connection.sendall(slow[-1000:])
        response = connection.recv(65536)

    assert other == 200
    assert response.startswith(b"HTTP/1.1 200")
