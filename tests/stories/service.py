"""The real service in processes of its own, with a stand-in for Pulsora behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from bridge.store import open_store
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 40
Command = Sequence[str]

SERVE: Command = ("-m", "bridge.cli", "serve")
WORKER: Command = ("-m", "bridge.cli", "worker")
GUNICORN: Command = ("-m", "gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "wsgi:app")


@contextmanager
def running(commands: Sequence[Command], folder: Path, database_url: str, endpoint: str, **more: str) -> Iterator[str]:
    """Runs the commands until the block ends; the service's address. Everything is killed with its process group."""
    port = _free_port()
    environ = _environ(database_url, endpoint, port) | more
    store = open_store(database_url)
    store.migrate()
    store.close()
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((folder / f"{number}.log").open("wb"))
            stack.enter_context(_process(command, folder, environ, log.fileno()))
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, folder)
        yield url


@contextmanager
def _process(command: Command, folder: Path, environ: Mapping[str, str], log: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=dict(environ), stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environ(database_url: str, endpoint: str, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PULSORA_ENDPOINT": endpoint,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": database_url,
        "SETTLE_SECONDS": "1",
        "BIND": f"127.0.0.1:{port}",
        "LOG_FORMAT": "json",
    }


def _await_ready(url: str, folder: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            answer = requests.get(f"{url}/readyz", timeout=2)
            if answer.ok and answer.json()["worker_seen_seconds_ago"] is not None:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    logs = "\n".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.log")))
    raise AssertionError(f"the service did not come up:\n{logs[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
