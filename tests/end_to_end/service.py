"""Runs the real service in its own processes, with a fake Pulsora."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bridge.store import open_store
from tests.faults.service import free_port
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 40
Command = Sequence[str]

SERVE: Command = ("-m", "bridge.cli", "serve")
WORKER: Command = ("-m", "bridge.cli", "worker")
GUNICORN: Command = ("-m", "gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "bridge:create_app()")


@dataclass(kw_only=True)
class Service:
    """Commands that run in `folder` with the same settings. `url`: the address of the web server."""

    folder: Path
    url: str
    environ: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, command: Command) -> subprocess.Popen[bytes]:
        """Starts one of the commands in its own process group."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def await_ready(self) -> None:
        """Waits until the web server is ready and a worker has reported."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with suppress(requests.RequestException):
                response = requests.get(f"{self.url}/readyz", timeout=2)
                if response.ok and response.json()["worker_seen_seconds_ago"] is not None:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the service did not start:\n{self.logged()[-4000:]}")

    def stop(self) -> list[int]:
        """Sends SIGTERM to all, then kills the rest. Returns the exit statuses."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [_ended(process) for process in self.processes]

    def logged(self) -> str:
        """The output of the commands."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


@contextmanager
def running(
    commands: Sequence[Command], folder: Path, database_url: str, endpoint: str, **more: str
) -> Iterator[Service]:
    """Runs the commands until the block ends."""
    port = free_port()
    service = Service(
        folder=folder, url=f"http://127.0.0.1:{port}", environ=_environ(database_url, endpoint, port) | more
    )
    store = open_store(database_url)
    store.migrate()
    store.close()
    try:
        for command in commands:
            service.start(command)
        service.await_ready()
        yield service
    finally:
        service.stop()


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _environ(database_url: str, endpoint: str, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return inherited | {
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
